/**
 * What a view shows instead of its content: that something failed.
 */

import {emit, find, setText, stamp} from './dom.js';

/**
 * A notice as one of the entries of keyed(): make it, then update it.
 *
 * @param {string} event sent up when its button is pressed
 * @returns {HTMLElement}
 */
export function makeNotice(event) {
	const node = stamp('t-notice');

	find(node, '.notice-do').addEventListener('click',
	    () => emit(node, event));
	return node;
}

/**
 * @param {HTMLElement} node
 * @param {import('../model/words.js').Words} words
 * @param {string} button what its button says; '' for none
 */
export function updateNotice(node, words, button) {
	const act = find(node, '.notice-do');
	const reference = find(node, '.notice-ref');

	setText(find(node, '.notice-title'), words.title);
	setText(find(node, '.notice-text'), words.text);
	setText(reference, words.reference ? `Request ${words.reference}` : '');
	reference.hidden = !words.reference;
	setText(act, button);
	act.hidden = button === '';
}
