/**
 * The URL names the view: `/` is a new conversation, `/c/ID` a stored one.
 * A place is the id of a conversation, or NEW.
 */

/** No id has this form: ids are [A-Za-z0-9_-]. */
export const NEW = '+new';

/**
 * @param {string} path of a URL
 * @returns {string} the place; NEW for a path that names none
 */
export function placeOf(path) {
	const match = /^\/c\/([^/]+)\/?$/.exec(path);

	if (!match)
		return NEW;
	try {
		return decodeURIComponent(match[1]);
	} catch {
		return match[1];
	}
}

/**
 * @param {string} place
 * @returns {string}
 */
export function pathOf(place) {
	return place === NEW ? '/' : `/c/${encodeURIComponent(place)}`;
}
