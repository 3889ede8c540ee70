/**
 * Renaming and deleting the open conversation.
 */

import {mint} from './api.js';
import {sentenceFor} from './model/words.js';
import {askDelete} from './view/ask-delete.js';

/** @typedef {import('./model/list.js').Conversation} Conversation */

export class Renaming {
	/**
	 * @param {import('./api.js').Api} api
	 * @param {() => void} changed
	 */
	constructor(api, changed) {
		this.api = api;
		this.changed = changed;
		this.forget();
	}

	/** Another conversation is open: a failure here is of no interest. */
	forget() {
		this.title = '';
		this.key = '';
		this.isSaving = false;
		this.error = '';
	}

	/**
	 * @param {string} place
	 * @param {string} title	the same one again is the same change
	 * @returns {Promise<Conversation|null>} null when it failed
	 */
	async save(place, title) {
		const key = this.title === title ? this.key : mint();
		let conversation = null, error = '';

		Object.assign(this, {title, key, isSaving: true, error});
		this.changed();
		try {
			conversation = await this.api.rename(place, title, key);
		} catch (failure) {
			error = sentenceFor(/** @type {any} */ (failure));
		}
		if (this.key === key) {
			Object.assign(this, {isSaving: false, error});
			if (conversation)
				this.forget();
		}
		return conversation;
	}
}

/**
 * Ask, then delete.
 *
 * @param {import('./api.js').Api} api
 * @param {string} place
 * @param {string} name
 * @param {() => void} deleted called once it is
 */
export function askAndDelete(api, place, name, deleted) {
	const key = mint();

	askDelete(name, async () => {
		try {
			await api.remove(place, key);
		} catch (error) {
			/* Gone is what was asked for. */
			if (/** @type {any} */ (error).status !== 404)
				throw error;
		}
	}, deleted, error => sentenceFor(/** @type {any} */ (error)));
}
