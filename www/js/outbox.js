/**
 * Carries messages from their drafts to the server, and answers back, for each
 * conversation on its own: leaving one does not stop what was begun in it.
 *
 *	IDLE      --send-->                 SENDING
 *	SENDING   --stored-->               ANSWERING	the draft is gone
 *	SENDING   --failed-->               UNSENT	the draft is kept
 *	UNSENT    --send-->                 SENDING	same words: same keys
 *	ANSWERING --answered-->             IDLE
 *	ANSWERING --failed-->               UNANSWERED
 *	UNANSWERED --ask, send-->           ANSWERING, SENDING
 *
 * The message is stored as an item first and an answer asked for after that,
 * so that a failing agent loses no words.
 */

import {mint} from './api.js';
import {attemptFor, hasArrived, isUnconfirmed, messageOf, NO_DRAFT, retype}
    from './model/attempt.js';
import {NEW} from './model/place.js';
import {titleFrom} from './model/list.js';

/** @typedef {import('./api.js').ApiError} ApiError */
/** @typedef {import('./model/list.js').Conversation} Conversation */
/** @typedef {import('./model/thread.js').Item} Item */

/**
 * @typedef {{phase: 'IDLE'|'SENDING'|'UNSENT'|'ANSWERING'|'UNANSWERED',
 *     failure: ApiError|null}} Sending
 *
 * @typedef {object} Receiver
 * @property {(conversation: Conversation) => void} created
 * @property {(place: string, items: Item[]) => void} stored
 * @property {(place: string, items: Item[]) => void} answered
 * @property {() => void} changed	the phase of some place did
 */

/** @type {Sending} */
const IDLE = {phase: 'IDLE', failure: null};

export class Outbox {
	/**
	 * @param {import('./api.js').Api} api
	 * @param {import('./keep.js').Kept} kept
	 * @param {Receiver} receiver
	 */
	constructor(api, kept, receiver) {
		this.api = api;
		this.kept = kept;
		this.receiver = receiver;
		/** @type {Map<string, Sending>} */
		this.sendings = new Map();
	}

	/** @param {string} place @returns {Sending} */
	at(place) {
		return this.sendings.get(place) ?? IDLE;
	}

	/** @param {string} place */
	isBusy(place) {
		return ['SENDING', 'ANSWERING'].includes(this.at(place).phase);
	}

	/** Somebody types.
	 * @param {string} place @param {string} text */
	retype(place, text) {
		this.kept.putDraft(place, retype(this.kept.draft(place), text));
	}

	/** @param {string} place */
	discard(place) {
		this.kept.putDraft(place, NO_DRAFT);
		this.sendings.delete(place);
	}

	/**
	 * These items stand in the conversation.  When a draft that was tried
	 * is among them it has arrived after all, and only other words stay.
	 *
	 * @param {string} place
	 * @param {Item[]} items
	 */
	settle(place, items) {
		const draft = this.kept.draft(place);

		if (this.isBusy(place) || !hasArrived(draft, items))
			return;
		if (isUnconfirmed(draft))
			this.discard(place);
		else
			this.kept.putDraft(place,
			    {text: draft.text, attempt: null});
	}

	/**
	 * Send text from the box of a place.
	 *
	 * @param {string} place
	 * @param {string} text
	 */
	async send(place, text) {
		if (this.isBusy(place))
			return;

		const attempt = attemptFor(this.kept.draft(place), text, mint);
		let items;

		this.kept.putDraft(place, {text, attempt});
		this.#set(place, 'SENDING');
		try {
			if (place === NEW)
				place = await this.#create(attempt);
			const reply = await this.api.addItems(place,
			    [messageOf(attempt)], `${attempt.key}-message`);

			items = reply.data;
		} catch (error) {
			this.#set(place, 'UNSENT', error);
			return;
		}

		this.kept.putDraft(place, NO_DRAFT);
		this.receiver.stored(place, items);
		this.sendings.delete(place);
		await this.ask(place, attempt.item);
	}

	/**
	 * Have the message at the end of a conversation answered.
	 *
	 * @param {string} place
	 * @param {string} item	the message; its answer is stored only once
	 */
	async ask(place, item) {
		if (this.isBusy(place))
			return;
		this.#set(place, 'ANSWERING');
		try {
			const response = await this.api.respond(place,
			    `answer-${item}`);

			this.sendings.delete(place);
			this.receiver.answered(place, response.output);
		} catch (error) {
			this.#set(place, 'UNANSWERED', error);
		}
	}

	/**
	 * The conversation for a first message.  From here on the draft belongs
	 * to it, wherever the rest of the way ends.
	 *
	 * @param {import('./model/attempt.js').Attempt} attempt
	 * @returns {Promise<string>} its id
	 */
	async #create(attempt) {
		const conversation = await this.api.createConversation(
		    titleFrom(attempt.text), `${attempt.key}-conversation`);

		this.kept.moveDraft(NEW, conversation.id);
		this.sendings.delete(NEW);
		this.sendings.set(conversation.id,
		    {phase: 'SENDING', failure: null});
		this.receiver.created(conversation);
		return conversation.id;
	}

	/**
	 * @param {string} place
	 * @param {Sending['phase']} phase
	 * @param {unknown} [failure]
	 */
	#set(place, phase, failure = null) {
		this.sendings.set(place,
		    {phase, failure: /** @type {ApiError|null} */ (failure)});
		this.receiver.changed();
	}
}
