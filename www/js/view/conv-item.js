/**
 * One item of a conversation as an element: a message, or a folded step.
 */

import {find, keyed, setText, stamp} from './dom.js';
import {show} from '../model/items.js';
import {momentOf} from '../model/days.js';

/** @typedef {import('../model/thread.js').Item} Item */

const WHO = new Map([['user', 'You'], ['assistant', 'Answer'],
    ['system', 'Instructions'], ['developer', 'Instructions'],
    ['tool', 'Tool']]);

/** @type {WeakMap<HTMLElement, Item>} what an element shows */
const shows = new WeakMap();

/** @param {Item} item @returns {HTMLElement} */
export function makeItem(item) {
	return stamp(show(item).kind === 'message' ? 't-message' : 't-step');
}

/** @param {HTMLElement} node @param {Item} item */
export function updateItem(node, item) {
	if (shows.get(node) === item)
		return;
	shows.set(node, item);

	const shown = show(item);
	const isMessage = shown.kind === 'message';

	node.dataset.id = item.id;
	if (item.created_at)
		node.title = momentOf(item.created_at);
	if (isMessage) {
		node.dataset.role = shown.who;
		setText(find(node, '.message-who'),
		    WHO.get(shown.who) ?? shown.who);
	} else {
		setText(find(node, '.step-name'), shown.who);
		setText(find(node, '.step-gist'), shown.gist);
	}
	keyed(find(node, isMessage ? '.message-body' : '.step-body'),
	    shown.pieces.map((piece, n) => ({...piece, key: String(n)})),
	    piece => piece.key,
	    () => document.createElement('p'),
	    (p, piece) => {
		p.className = piece.kind;
		setText(p, piece.text);
	});
}
