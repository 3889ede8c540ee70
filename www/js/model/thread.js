/**
 * The items of one conversation as far as they were read, oldest first.
 * Every function returns a new thread and leaves the old one alone.
 *
 * @typedef {{id: string, type?: string, [key: string]: any}} Item
 *
 * @typedef {{data: Item[], has_more: boolean, last_id: string|null}} Page
 *	as the server lists them: newest first
 *
 * @typedef {object} Thread
 * @property {Item[]} items
 * @property {boolean} hasOlder	there are items before the first one
 * @property {boolean} isKnown	a first page has been read
 */

/** @type {Thread} */
export const EMPTY_THREAD = {items: [], hasOlder: false, isKnown: false};

/** What a conversation that was created just now holds. */
export const FRESH_THREAD = {items: [], hasOlder: false, isKnown: true};

/**
 * @param {Thread} thread
 * @returns {string|null} the id behind which the next older page begins
 */
export function oldestOf(thread) {
	return thread.items[0]?.id ?? null;
}

/**
 * An older page goes in front.
 *
 * @param {Thread} thread
 * @param {Page} page
 * @returns {Thread}
 */
export function prependPage(thread, page) {
	const known = new Set(thread.items.map(item => item.id));
	const older = page.data.filter(item => !known.has(item.id)).reverse();

	return {
		items: [...older, ...thread.items],
		hasOlder: page.has_more,
		isKnown: true,
	};
}

/**
 * The newest page was read anew.  Where it overlaps with what is known, older
 * items stay, and what others added or deleted meanwhile is taken over;
 * otherwise the thread starts over, since there may be a gap.
 *
 * @param {Thread} thread
 * @param {Page} page
 * @returns {Thread}
 */
export function refreshEnd(thread, page) {
	const fresh = [...page.data].reverse();
	const at = thread.items.findIndex(item => item.id === fresh[0]?.id);

	if (at === -1 || !page.has_more)
		return {items: fresh, hasOlder: page.has_more, isKnown: true};
	return {...thread, items: [...thread.items.slice(0, at), ...fresh]};
}

/**
 * Items that the server has stored behind all others.  One that is already
 * there keeps its place: a repeated request is answered with the same items.
 *
 * @param {Thread} thread
 * @param {Item[]} items
 * @returns {Thread}
 */
export function appendItems(thread, items) {
	const known = new Set(thread.items.map(item => item.id));
	const added = items.filter(item => !known.has(item.id));

	return added.length ?
	    {...thread, items: [...thread.items, ...added]} : thread;
}

/**
 * The message that still waits for an answer.
 *
 * @param {Thread} thread
 * @returns {string|null} the id of the user's message at the end, or null
 */
export function unansweredIn(thread) {
	const last = thread.items.at(-1);

	return last && last.role === 'user' ? last.id : null;
}
