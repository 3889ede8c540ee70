/**
 * Sending exactly once.  What stands in the box is a draft; pressing Enter
 * makes an attempt of it, which carries the names under which the server
 * remembers the outcome.  A retry of the same words has the same names,
 * also after a reload or from another tab; other words get new ones.
 *
 * @typedef {object} Attempt
 * @property {string} text
 * @property {string} key	begins each Idempotency-Key
 * @property {string} item	id of the message: the item itself can be
 *				stored only once, for as long as it exists
 *
 * @typedef {{text: string, attempt: Attempt|null}} Draft
 */

/** @type {Draft} */
export const NO_DRAFT = {text: '', attempt: null};

/**
 * @param {Draft} draft
 * @param {string} text
 * @param {() => string} mint makes a random name
 * @returns {Attempt}
 */
export function attemptFor(draft, text, mint) {
	if (draft.attempt?.text === text)
		return draft.attempt;
	return {text, key: mint(), item: `msg_${mint()}`};
}

/**
 * The draft after a key stroke.  The attempt stays even while the words
 * differ: typing them again must not send twice what may have arrived.
 *
 * @param {Draft} draft
 * @param {string} text
 * @returns {Draft}
 */
export function retype(draft, text) {
	return text === '' && !draft.attempt ? NO_DRAFT : {...draft, text};
}

/**
 * @param {Draft} draft
 * @returns {boolean} these very words were tried, and nothing came back
 */
export function isUnconfirmed(draft) {
	return draft.attempt !== null && draft.attempt.text === draft.text;
}

/**
 * @param {Draft} draft
 * @param {{id: string}[]} items
 * @returns {boolean} the words stand in the conversation already
 */
export function hasArrived(draft, items) {
	const attempt = draft.attempt;

	return attempt !== null && items.some(item => item.id === attempt.item);
}

/** @param {Attempt} attempt */
export function messageOf(attempt) {
	return {
		type: 'message',
		id: attempt.item,
		role: 'user',
		content: [{type: 'input_text', text: attempt.text}],
	};
}

/**
 * @param {unknown} stored what the browser kept
 * @returns {Draft} NO_DRAFT for anything that is not one
 */
export function draftFrom(stored) {
	const draft = /** @type {any} */ (stored);
	const attempt = draft?.attempt;

	if (typeof draft?.text !== 'string')
		return NO_DRAFT;
	return {
		text: draft.text,
		attempt: typeof attempt?.text === 'string' &&
		    typeof attempt.key === 'string' &&
		    typeof attempt.item === 'string' ? attempt : null,
	};
}
