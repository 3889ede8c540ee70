/**
 * The list of conversations, newest first, as far as it was read.  Every
 * function returns a new list and leaves the old one alone.
 *
 * The server's order is kept as it came: times are whole seconds, so sorting
 * here could only lose what the server knew.
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string|null} [title]
 * @property {string|null} [preview]
 * @property {number} created_at seconds
 * @property {number} [updated_at] seconds
 * @property {number} [version]	rises with each change
 * @property {number} [item_count]
 *
 * @typedef {{data: Conversation[], has_more: boolean, last_id: string|null,
 *     next_after?: string|null}} Page
 *
 * @typedef {object} List
 * @property {Conversation[]} rows
 * @property {string|null} after	where the next page begins
 * @property {boolean} hasMore		rows are left to read behind the last
 * @property {boolean} isKnown		a first page has been read
 */

/** @type {List} */
export const EMPTY_LIST = {
	rows: [],
	after: null,
	hasMore: false,
	isKnown: false,
};

/** @param {Page} page */
const cursorOf = page => page.next_after || page.last_id || null;

/** @param {Conversation} c */
const timeOf = c => c.updated_at ?? c.created_at;

/**
 * The next page goes behind what is there.  A conversation that moved
 * between two pages keeps its first place.
 *
 * @param {List} list
 * @param {Page} page
 * @returns {List}
 */
export function appendPage(list, page) {
	const known = new Set(list.rows.map(c => c.id));

	return {
		rows: [...list.rows,
		    ...page.data.filter(c => !known.has(c.id))],
		after: cursorOf(page) ?? list.after,
		hasMore: page.has_more,
		isKnown: true,
	};
}

/**
 * The first page was read anew.  When it reaches down to something known that
 * has not moved, what follows that is still right and stays; otherwise the
 * list starts over, since there may be a gap.
 *
 * @param {List} list
 * @param {Page} page
 * @returns {List}
 */
export function refreshTop(list, page) {
	const last = page.data.at(-1);
	const at = last ? list.rows.findIndex(c => c.id === last.id &&
	    timeOf(c) === timeOf(last)) : -1;
	const fresh = new Set(page.data.map(c => c.id));

	if (at === -1 || !page.has_more)
		return appendPage(EMPTY_LIST, page);
	return {
		...list,
		rows: [...page.data,
		    ...list.rows.slice(at + 1).filter(c => !fresh.has(c.id))],
	};
}

/**
 * A conversation as it is now.  It comes to the top when it is new or was
 * changed last of all; otherwise it keeps its place.
 *
 * @param {List} list
 * @param {Conversation} conversation
 * @returns {List}
 */
export function putRow(list, conversation) {
	const old = list.rows.find(c => c.id === conversation.id);
	const time = timeOf(conversation);
	/* Within one second, what changed now is later than what had. */
	const isLast = !old || time > timeOf(old) ||
	    ((conversation.version ?? 0) > (old.version ?? 0) &&
	    time >= timeOf(list.rows[0]));

	if (!isLast) {
		return {...list, rows: list.rows.map(c =>
		    c.id === conversation.id ? conversation : c)};
	}
	return {...list, rows: [conversation,
	    ...list.rows.filter(c => c.id !== conversation.id)]};
}

/**
 * @param {List} list
 * @param {string} id
 * @returns {List}
 */
export function dropRow(list, id) {
	return {...list, rows: list.rows.filter(c => c.id !== id)};
}

/**
 * The words by which a person knows a conversation.
 *
 * @param {Conversation|null|undefined} conversation
 * @returns {string}
 */
export function nameOf(conversation) {
	return oneLine(conversation?.title ?? '') ||
	    oneLine(conversation?.preview ?? '') || 'Untitled conversation';
}

/**
 * A title for a conversation that begins with text: its first line with
 * words in it, cut between words.
 *
 * @param {string} text
 * @returns {string}
 */
export function titleFrom(text) {
	const line = oneLine(text.split('\n').find(l => l.trim() !== '') ?? '');
	const letters = [...line];

	if (letters.length <= 60)
		return line;
	const cut = letters.slice(0, 59).join('');
	const space = cut.lastIndexOf(' ');

	return (space > 30 ? cut.slice(0, space) : cut).trimEnd() + '…';
}

/** @param {string} text */
function oneLine(text) {
	return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}
