/**
 * Words for days, as a person sorts memory: fine nearby, coarse far away.
 */

const DAY = 86400000;

/** @param {Date} date */
const midnight = date =>
    new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/**
 * The group in which the list shows a conversation.
 *
 * @param {number} seconds
 * @param {Date} now
 * @param {string} [locale]
 * @returns {string}
 */
export function groupOf(seconds, now, locale) {
	const date = new Date(seconds * 1000);
	const days = Math.round((midnight(now) - midnight(date)) / DAY);

	if (days <= 0)
		return 'Today';
	if (days === 1)
		return 'Yesterday';
	if (days < 7)
		return 'Last 7 days';
	if (days < 31)
		return 'Last 30 days';
	return date.toLocaleDateString(locale,
	    {month: 'long', year: 'numeric'});
}

/**
 * A day as the line between two messages names it.
 *
 * @param {number} seconds
 * @param {Date} now
 * @param {string} [locale]
 * @returns {string}
 */
export function dayOf(seconds, now, locale) {
	const date = new Date(seconds * 1000);
	const days = Math.round((midnight(now) - midnight(date)) / DAY);

	if (days === 0)
		return 'Today';
	if (days === 1)
		return 'Yesterday';
	/** @type {Intl.DateTimeFormatOptions} */
	const form = {day: 'numeric', month: 'long'};

	if (date.getFullYear() !== now.getFullYear())
		form.year = 'numeric';
	return date.toLocaleDateString(locale, form);
}

/**
 * @param {number} seconds
 * @param {string} [locale]
 * @returns {string}
 */
export function momentOf(seconds, locale) {
	return new Date(seconds * 1000).toLocaleString(locale,
	    {dateStyle: 'medium', timeStyle: 'short'});
}
