/**
 * The few words in which views speak to the document.  Text goes in as text
 * everywhere; markup stands in index.html alone, as templates.
 */

/** @type {WeakMap<Node, string>} the key under which a node was listed */
const keys = new WeakMap();

/**
 * @param {string} id of a <template>
 * @returns {HTMLElement} a copy of the one element in it
 */
export function stamp(id) {
	const template = /** @type {HTMLTemplateElement} */ (
	    document.getElementById(id));

	return /** @type {HTMLElement} */ (
	    template.content.firstElementChild?.cloneNode(true));
}

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector of something that is there
 * @returns {T}
 */
export function find(root, selector) {
	const found = root.querySelector(selector);

	if (!found)
		throw new Error(`nothing matches ${selector}`);
	return /** @type {T} */ (found);
}

/**
 * Set text only where it differs, which keeps a reader's selection.
 *
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string|null} value null removes
 */
export function setAttribute(element, name, value) {
	if (value === null)
		element.removeAttribute(name);
	else if (element.getAttribute(name) !== value)
		element.setAttribute(name, value);
}

/**
 * Tell whoever listens further up.
 *
 * @param {Element} from
 * @param {string} name
 * @param {unknown} [detail]
 */
export function emit(from, name, detail) {
	from.dispatchEvent(new CustomEvent(name, {bubbles: true, detail}));
}

/**
 * Make the children of parent show entries, in order.  A child whose key is
 * still wanted is kept and moved only if it must be, so that focus, selection
 * and folded parts stay as the reader left them.
 *
 * @template E
 * @param {HTMLElement} parent whose children come from here alone
 * @param {E[]} entries
 * @param {(entry: E) => string} keyOf unique among entries
 * @param {(entry: E) => HTMLElement} make
 * @param {(node: HTMLElement, entry: E) => void} update
 */
export function keyed(parent, entries, keyOf, make, update) {
	const wanted = new Set(entries.map(keyOf));
	const had = new Map();

	for (const node of [...parent.children]) {
		const key = keys.get(node);

		if (key !== undefined && wanted.has(key))
			had.set(key, node);
		else
			node.remove();
	}

	let next = parent.firstElementChild;

	for (const entry of entries) {
		const key = keyOf(entry);
		const node = had.get(key) ?? make(entry);

		keys.set(node, key);
		if (node === next)
			next = next.nextElementSibling;
		else
			place(parent, node, next);
		update(node, entry);
	}
}

/**
 * @param {HTMLElement} parent
 * @param {HTMLElement} node
 * @param {Element|null} before
 */
function place(parent, node, before) {
	const focused = document.activeElement;

	parent.insertBefore(node, before);

	/* A node that moves loses the focus, which belongs to the reader. */
	if (focused instanceof HTMLElement && node.contains(focused))
		focused.focus({preventScroll: true});
}
