/**
 * <conv-thread>: the messages of the current conversation.
 *
 * Sends conv-older when the reader nears the first message that was read,
 * conv-reopen or conv-new from the button of an error, conv-ask to get an
 * answer.
 *
 * Who reads at the end stays at the end; who reads further up keeps the
 * lines they read under their eyes, whatever comes above or below.
 */

import {emit, find, keyed, setText, stamp} from './dom.js';
import {makeItem, updateItem} from './conv-item.js';
import {makeNotice, updateNotice} from './notice.js';
import {dayOf} from '../model/days.js';
import {NEW} from '../model/place.js';
import {wordsFor, wordsForNoAnswer} from '../model/words.js';

/** @typedef {import('../model/words.js').Failure} Failure */

/**
 * @typedef {object} ThreadView
 * @property {string} place
 * @property {import('../model/thread.js').Thread} thread
 * @property {boolean} isLoading
 * @property {Failure|null} failure	of loading
 * @property {'none'|'waiting'|'missing'} answer
 * @property {Failure|null} answerFailure	why it is missing, if known
 * @property {string} spoken		the answer that came, for screen readers
 */

const NEAR = 60;	/* px from the end that still count as the end */

class ConvThread extends HTMLElement {
	connectedCallback() {
		this.place = '';
		this.isAtEnd = true;
		this.scroller = find(this, '.thread-scroll');
		this.start = find(this, '.thread-start');
		this.messages = find(this, '.messages');
		this.end = find(this, '.thread-end');
		this.jump = find(this, '.jump');
		this.watch = new IntersectionObserver(seen => {
			if (seen.some(entry => entry.isIntersecting))
				emit(this, 'conv-older');
		}, {root: this.scroller, rootMargin: '400px 0px 0px 0px'});
		this.scroller.addEventListener('scroll', () => this.#scrolled(),
		    {passive: true});
		new ResizeObserver(() => {
			if (this.isAtEnd)
				this.toEnd();
		}).observe(this.scroller);
		this.jump.addEventListener('click', () => {
			this.toEnd();
			this.scroller.focus({preventScroll: true});
		});
	}

	/** @param {ThreadView} view */
	update(view) {
		const isOther = view.place !== this.place;
		const line = this.isAtEnd || isOther ? null : this.#topLine();

		this.place = view.place;
		this.#updateStart(view);
		keyed(this.messages, entriesOf(view), e => e.key,
		    e => e.make(), (node, e) => e.update?.(node));
		this.#updateEnd(view);
		setText(find(this, '[data-live]'), view.spoken);

		if (line)
			this.scroller.scrollTop +=
			    line.node.getBoundingClientRect().top - line.top;
		else
			this.toEnd();
		this.#scrolled();

		/* Watching anew asks again whether the start is in sight. */
		this.watch.disconnect();
		if (view.thread.hasOlder && !view.isLoading && !view.failure)
			this.watch.observe(this.start);
	}

	toEnd() {
		this.scroller.scrollTop = this.scroller.scrollHeight;
		this.isAtEnd = true;
	}

	#scrolled() {
		const s = this.scroller;
		const below = s.scrollHeight - s.scrollTop - s.clientHeight;

		this.isAtEnd = below < NEAR;
		this.jump.hidden = this.isAtEnd;
	}

	/** The first item in sight, and where it stands.  The lines between
	 * days are no hold: they go up as older items of their day come. */
	#topLine() {
		const edge = this.scroller.getBoundingClientRect().top;
		const items = this.messages.querySelectorAll('[data-id]');

		for (const node of items) {
			const box = node.getBoundingClientRect();

			if (box.bottom > edge)
				return {node, top: box.top};
		}
		return null;
	}

	/** @param {ThreadView} view */
	#updateStart({thread, failure}) {
		const entries = !thread.isKnown || !thread.hasOlder ? [] :
		    failure ? ['failed'] : ['ghosts'];

		keyed(this.start, entries, e => e,
		    e => e === 'failed' ? makeNotice('conv-older') :
		    stamp('t-ghosts-older'),
		    (node, e) => {
			if (e === 'failed' && failure)
				updateNotice(node, wordsFor(failure),
				    'Try again');
		});
	}

	/** @param {ThreadView} view */
	#updateEnd({answer, answerFailure}) {
		keyed(this.end, answer === 'none' ? [] : [answer], e => e,
		    e => e === 'waiting' ? stamp('t-waiting') :
		    makeNotice('conv-ask'),
		    (node, e) => {
			if (e !== 'missing')
				return;
			updateNotice(node, wordsForNoAnswer(answerFailure),
			    answerFailure ? 'Ask again' : 'Ask for an answer');
		});
	}
}

/**
 * @typedef {{key: string, make: () => HTMLElement,
 *     update?: (node: HTMLElement) => void}} Entry
 *
 * @param {ThreadView} view
 * @returns {Entry[]}
 */
function entriesOf({place, thread, isLoading, failure}) {
	if (place === NEW && thread.items.length === 0)
		return [{key: '+welcome', make: () => stamp('t-welcome')}];
	if (!thread.isKnown && failure) {
		const isGone = failure.status === 404;

		return [{
			key: isGone ? '+gone' : '+failed',
			make: () => makeNotice(isGone ?
			    'conv-new' : 'conv-reopen'),
			update: node => updateNotice(node, wordsFor(failure),
			    isGone ? 'Start a new one' : 'Try again'),
		}];
	}
	if (!thread.isKnown) {
		return [{key: '+ghosts',
		    make: () => stamp('t-ghosts-messages')}];
	}
	if (thread.items.length === 0 && !isLoading)
		return [{key: '+empty', make: () => stamp('t-no-messages')}];
	return itemEntries(thread.items);
}

/**
 * The items with a line between days.
 *
 * @param {import('../model/thread.js').Item[]} items
 * @returns {Entry[]}
 */
function itemEntries(items) {
	const now = new Date();
	const days = new Set();
	const entries = [];

	for (const item of items) {
		const day = item.created_at ? dayOf(item.created_at, now) : '';

		if (day && !days.has(day)) {
			days.add(day);
			entries.push({
				key: `+day ${day}`,
				make: () => stamp('t-message-day'),
				update: node =>
				    setText(find(node, 'time'), day),
			});
		}
		entries.push({
			key: item.id,
			make: () => makeItem(item),
			update: node => updateItem(node, item),
		});
	}
	return entries;
}

customElements.define('conv-thread', ConvThread);
