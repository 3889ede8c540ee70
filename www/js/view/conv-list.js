/**
 * <conv-list>: the conversations, newest first, in groups of days.
 *
 * Sends conv-more when the reader nears the end of what was read, and
 * conv-reload from the button of an error.  Rows are links; the frame turns
 * a plain click on one into a change of place.
 */

import {emit, find, keyed, setAttribute, setText, stamp} from './dom.js';
import {makeNotice, updateNotice} from './notice.js';
import {nameOf} from '../model/list.js';
import {groupOf} from '../model/days.js';
import {pathOf} from '../model/place.js';
import {wordsFor} from '../model/words.js';

/** @typedef {import('../model/list.js').Conversation} Conversation */

/**
 * @typedef {object} ListView
 * @property {import('../model/list.js').List} list
 * @property {boolean} isLoading
 * @property {import('../model/words.js').Failure|null} failure
 * @property {string} place	the row of this one is the current one
 * @property {(id: string) => boolean} hasDraft
 */

class ConvList extends HTMLElement {
	connectedCallback() {
		this.rows = find(this, '.rows');
		this.end = find(this, '.list-end');
		this.scroller = find(this, '.list-scroll');
		this.watch = new IntersectionObserver(seen => {
			if (seen.some(entry => entry.isIntersecting))
				emit(this, 'conv-more');
		}, {root: this.scroller, rootMargin: '300px 0px'});
		this.addEventListener('keydown', event => this.#walk(event));
	}

	/** @param {ListView} view */
	update(view) {
		const {list, failure} = view;
		const now = new Date();
		const groups = new Set();
		const entries = [];

		for (const conversation of list.rows) {
			const day = groupOf(conversation.updated_at ??
			    conversation.created_at, now);

			if (!groups.has(day)) {
				groups.add(day);
				entries.push({key: `day ${day}`, day});
			}
			entries.push({key: conversation.id, conversation});
		}
		keyed(this.rows, entries, e => e.key,
		    e => stamp(e.conversation ? 't-row' : 't-row-day'),
		    (node, e) => e.conversation ?
			this.#updateRow(node, e.conversation, view) :
			setText(find(node, 'h2'), e.day));
		this.#updateTabStop();
		this.#updateEnd(view);

		/* Watching anew asks again whether the end is in sight. */
		this.watch.disconnect();
		if (list.hasMore && !view.isLoading && !failure)
			this.watch.observe(this.end);
	}

	/**
	 * @param {HTMLElement} node
	 * @param {Conversation} conversation
	 * @param {ListView} view
	 */
	#updateRow(node, conversation, view) {
		const link = find(node, 'a');
		const name = nameOf(conversation);
		const preview = (conversation.preview ?? '').trim();
		const isHere = conversation.id === view.place;

		setAttribute(link, 'href', pathOf(conversation.id));
		setAttribute(link, 'aria-current', isHere ? 'page' : null);
		setText(find(node, '.row-title'), name);
		setText(find(node, '.row-preview'),
		    preview === name ? '' : preview);
		find(node, '.row-draft').hidden = isHere ||
		    !view.hasDraft(conversation.id);
	}

	/** @param {ListView} view */
	#updateEnd({list, isLoading, failure}) {
		const entries = failure ? ['failed'] :
		    !list.isKnown || (isLoading && list.hasMore) ? ['ghosts'] :
		    list.rows.length === 0 ? ['empty'] : [];

		keyed(this.end, entries, e => e, e => {
			if (e === 'failed')
				return makeNotice('conv-reload');
			return stamp(e === 'ghosts' ?
			    't-ghosts-rows' : 't-no-rows');
		}, (node, e) => {
			if (e === 'failed' && failure)
				updateNotice(node, wordsFor(failure),
				    'Try again');
		});
	}

	/** One row is in the tab order; arrow keys reach the others. */
	#updateTabStop() {
		const links = this.#links();
		const stop = links.find(a => a === document.activeElement) ??
		    links.find(a => a.hasAttribute('aria-current')) ?? links[0];

		for (const link of links)
			setAttribute(link, 'tabindex',
			    link === stop ? null : '-1');
	}

	/** @returns {HTMLAnchorElement[]} */
	#links() {
		return [...this.querySelectorAll('a')];
	}

	/** @param {KeyboardEvent} event */
	#walk(event) {
		const links = this.#links();
		const at = links.findIndex(a => a === document.activeElement);
		const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0,
			End: links.length - 1}[event.key];

		if (at === -1 || to === undefined)
			return;
		event.preventDefault();
		links[Math.min(Math.max(to, 0), links.length - 1)].focus();
		this.#updateTabStop();
	}
}

customElements.define('conv-list', ConvList);
