/**
 * Keeps the list of conversations: reads it page by page, and takes in what
 * this page itself changes.
 */

import {isAbort} from './api.js';
import {appendPage, dropRow, EMPTY_LIST, putRow, refreshTop}
    from './model/list.js';

/** @typedef {import('./model/list.js').Conversation} Conversation */

export class Listing {
	/**
	 * @param {import('./api.js').Api} api
	 * @param {() => void} changed
	 */
	constructor(api, changed) {
		this.api = api;
		this.changed = changed;
		this.list = EMPTY_LIST;
		this.isLoading = false;
		/** @type {import('./api.js').ApiError|null} */
		this.failure = null;
		this.over = new AbortController();
	}

	close() {
		this.over.abort();
	}

	/** Read the next page, or the first one. */
	async more() {
		if (this.isLoading || (this.list.isKnown && !this.list.hasMore))
			return;
		await this.#load(this.list.after, appendPage);
	}

	/** See what others changed.  That this fails is no news to anybody. */
	async refresh() {
		if (this.isLoading)
			return;
		await this.#load(null,
		    this.list.isKnown ? refreshTop : appendPage);
	}

	/** @param {string} id @returns {Conversation|undefined} */
	row(id) {
		return this.list.rows.find(c => c.id === id);
	}

	/** @param {Conversation} conversation */
	put(conversation) {
		this.list = putRow(this.list, conversation);
		this.changed();
	}

	/** @param {string} id */
	drop(id) {
		this.list = dropRow(this.list, id);
		this.changed();
	}

	/**
	 * @param {string|null} after
	 * @param {typeof appendPage} merge
	 */
	async #load(after, merge) {
		const isRefresh = after === null && this.list.isKnown;

		this.isLoading = true;
		this.failure = null;
		this.changed();
		try {
			const page = await this.api.listConversations(after,
			    this.over.signal);

			this.list = merge(this.list, page);
		} catch (error) {
			if (isAbort(error))
				return;
			if (!isRefresh)
				this.failure = /** @type {any} */ (error);
		} finally {
			this.isLoading = false;
		}
		this.changed();
	}
}
