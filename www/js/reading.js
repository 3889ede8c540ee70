/**
 * Keeps the conversation that is open: its header and its items as far as
 * they were read.  Opening another one gives up what is under way here.
 */

import {appendItems, EMPTY_THREAD, FRESH_THREAD, oldestOf, prependPage,
    refreshEnd} from './model/thread.js';
import {NEW} from './model/place.js';

/** @typedef {import('./api.js').ApiError} ApiError */
/** @typedef {import('./model/list.js').Conversation} Conversation */
/** @typedef {import('./model/thread.js').Item} Item */

export class Reading {
	/**
	 * @param {import('./api.js').Api} api
	 * @param {() => void} changed
	 */
	constructor(api, changed) {
		this.api = api;
		this.changed = changed;
		this.over = new AbortController();
		this.#reset(NEW);
	}

	/** @param {string} place */
	#reset(place) {
		this.over.abort();
		this.over = new AbortController();
		this.place = place;
		this.thread = EMPTY_THREAD;
		/** @type {Conversation|null} */
		this.conversation = null;
		this.isLoading = false;
		/** @type {ApiError|null} */
		this.failure = null;
		/** @type {Item[]} stored while a page was on its way */
		this.late = [];
	}

	close() {
		this.over.abort();
	}

	/** @param {string} place */
	async open(place) {
		this.#reset(place);
		if (place !== NEW)
			await this.refresh();
		else
			this.changed();
	}

	/** A new conversation got its id: nothing has to be read.
	 * @param {Conversation} conversation */
	adopt(conversation) {
		this.#reset(conversation.id);
		this.conversation = conversation;
		this.thread = FRESH_THREAD;
	}

	/**
	 * Read the header and the newest items.  Of what is shown already
	 * nothing is lost by a failure, so that is told only when the
	 * conversation itself is gone.
	 */
	async refresh() {
		const {place, over} = this;

		if (place === NEW || this.isLoading)
			return;
		this.late = [];
		await this.#load(async () => {
			const [conversation, page] = await Promise.all([
				this.api.getConversation(place, over.signal),
				this.api.listItems(place, null, over.signal),
			]);

			this.conversation = conversation;
			this.thread = appendItems(refreshEnd(this.thread, page),
			    this.late);
		}, error => {
			if (error.status === 404)
				this.thread = EMPTY_THREAD;
			this.failure = this.thread.isKnown ? null : error;
		});
	}

	/** Read the items before the first one. */
	async older() {
		const {place, over} = this;
		let isCut = false;

		if (this.isLoading || !this.thread.hasOlder)
			return;
		await this.#load(async () => {
			const page = await this.api.listItems(place,
			    oldestOf(this.thread), over.signal);

			this.thread = prependPage(this.thread, page);
		}, error => {
			/* The item to go on from was deleted by somebody. */
			isCut = error.status === 404;
			this.failure = isCut ? null : error;
		});
		if (isCut)
			await this.open(place);
	}

	/** @param {Conversation} conversation */
	put(conversation) {
		if (conversation.id === this.place)
			this.conversation = conversation;
	}

	/** Items that were stored just now.
	 * @param {string} place @param {Item[]} items */
	append(place, items) {
		const now = Math.floor(Date.now() / 1000);
		const dated = items.map(item => ({created_at: now, ...item}));

		if (place !== this.place)
			return;
		this.late.push(...dated);
		this.thread = appendItems(this.thread, dated);
	}

	/**
	 * @param {() => Promise<void>} work
	 * @param {(error: ApiError) => void} failed
	 */
	async #load(work, failed) {
		const {over} = this;

		this.isLoading = true;
		this.failure = null;
		this.changed();
		try {
			await work();
		} catch (error) {
			if (over !== this.over)
				return;
			failed(/** @type {ApiError} */ (error));
		}
		if (over !== this.over)
			return;
		this.isLoading = false;
		this.changed();
	}
}
