/**
 * The page of somebody who is signed in: the URL says which conversation is
 * open, the parts keep what is known, and all of it is shown after each change.
 *
 *	Listing, Reading, Outbox --changed()--> paint() --update()--> views
 *	views --conv-… events--> Desk --> Listing, Reading, Outbox --> Api
 */

import {askAndDelete, Renaming} from './changes.js';
import {Listing} from './listing.js';
import {Outbox} from './outbox.js';
import {paint, paintComposer, titleAt} from './paint.js';
import {Reading} from './reading.js';
import {plainText} from './model/items.js';
import {NEW, pathOf, placeOf} from './model/place.js';
import {unansweredIn} from './model/thread.js';
import {find} from './view/dom.js';

/** @typedef {import('./model/list.js').Conversation} Conversation */
/** @typedef {import('./model/thread.js').Item} Item */

const CALM = 5000;	/* ms between looks at what others changed */

export class Desk {
	/**
	 * @param {import('./api.js').Api} api
	 * @param {import('./keep.js').Kept} kept
	 * @param {import('./frame.js').Frame} frame
	 */
	constructor(api, kept, frame) {
		this.api = api;
		this.kept = kept;
		this.frame = frame;
		this.over = new AbortController();
		this.spoken = '';
		this.looked = 0;

		const changed = () => this.render();

		this.renaming = new Renaming(api, changed);
		this.listing = new Listing(api, changed);
		this.reading = new Reading(api, () => {
			this.outbox.settle(this.place,
			    this.reading.thread.items);
			this.render();
		});
		this.outbox = new Outbox(api, kept, {
			changed,
			created: conversation => this.#created(conversation),
			stored: (place, items) => this.#stored(place, items),
			answered: (place, items) =>
			    this.#answered(place, items),
		});
	}

	get place() {
		return this.reading.place;
	}

	/** Show the page at the place that the URL names. */
	start() {
		const root = find(document, '#app');
		const signal = this.over.signal;
		/** @type {Record<string, (detail: any) => void>} */
		const actions = {
			'conv-more': () => this.listing.more(),
			'conv-reload': () => this.listing.more(),
			'conv-reopen': () => this.reading.refresh(),
			'conv-new': () => this.go(NEW),
			'conv-older': () => this.reading.older(),
			'conv-draft': ({place, text}) =>
			    this.#draft(place, text),
			'conv-send': ({text}) => this.#send(text),
			'conv-ask': () => this.#ask(),
			'conv-rename': ({title}) => this.#rename(title),
			'conv-delete': () => this.#delete(),
			'conv-go': ({place}) => this.go(place),
			'conv-look': () => this.#look(),
		};

		for (const [name, act] of Object.entries(actions)) {
			root.addEventListener(name, event => {
				act(/** @type {CustomEvent} */ (event).detail);
			}, {signal});
		}
		addEventListener('popstate', () => {
			/* A change of the fragment alone comes here too. */
			if (placeOf(location.pathname) !== this.place)
				this.#open(placeOf(location.pathname));
		}, {signal});
		this.listing.more();
		this.#open(placeOf(location.pathname));
	}

	/** Stop everything; nothing is shown from here any more. */
	close() {
		this.over.abort();
		this.listing.close();
		this.reading.close();
	}

	/** @param {string} place */
	go(place) {
		if (place === this.place) {
			this.frame.closeDrawer();
			this.frame.composer.focusBox();
			this.reading.refresh();
			return;
		}
		history.pushState(null, '', pathOf(place));
		this.#open(place);
	}

	/** @param {string} place */
	#open(place) {
		this.spoken = '';
		this.renaming.forget();
		this.frame.closeDrawer();
		this.reading.open(place);
		this.frame.composer.focusBox();
	}

	render() {
		if (!this.over.signal.aborted)
			paint(this);
	}

	/** @param {string} place @param {string} text */
	#draft(place, text) {
		this.outbox.retype(place, text);
		if (place === this.place)
			paintComposer(this);
	}

	/** @param {string} text */
	#send(text) {
		this.frame.thread.toEnd();
		this.outbox.send(this.place, text);
	}

	#ask() {
		const item = unansweredIn(this.reading.thread);

		if (item)
			this.outbox.ask(this.place, item);
	}

	/** A message may find its conversation after its writer has signed out.
	 * @param {Conversation} conversation */
	#created(conversation) {
		if (this.over.signal.aborted)
			return;
		if (this.place === NEW) {
			history.replaceState(null, '', pathOf(conversation.id));
			this.reading.adopt(conversation);
		}
		this.listing.put(conversation);
	}

	/** @param {string} place @param {Item[]} items */
	#stored(place, items) {
		this.reading.append(place, items);
		if (place === this.place) {
			this.frame.thread.toEnd();
			if (!this.reading.thread.isKnown)
				this.reading.refresh();
		}
		if (this.listing.failure)
			this.listing.more();
		this.render();
	}

	/** @param {string} place @param {Item[]} items */
	#answered(place, items) {
		this.reading.append(place, items);
		if (place === this.place) {
			this.spoken = items.filter(i => i.type === 'message')
			    .map(plainText).join('\n');
		}
		this.render();
		this.#reread(place);
	}

	/** The server knows best what a conversation is called and when it
	 * changed.
	 * @param {string} place */
	async #reread(place) {
		try {
			this.#put(await this.api.getConversation(place));
		} catch {
			/* The messages are shown; an old row hurts nobody. */
		}
	}

	/** @param {Conversation} conversation */
	#put(conversation) {
		this.reading.put(conversation);
		this.listing.put(conversation);
	}

	/** The page came into view again: others may have written meanwhile. */
	#look() {
		if (Date.now() - this.looked < CALM)
			return;
		this.looked = Date.now();
		if (this.listing.failure)
			this.listing.more();
		else
			this.listing.refresh();
		if (!this.outbox.isBusy(this.place))
			this.reading.refresh();
	}

	/** @param {string} title */
	async #rename(title) {
		const {place} = this;
		const conversation = await this.renaming.save(place, title);

		if (conversation) {
			this.#put(conversation);
			if (place === this.place)
				this.frame.head.endRename();
		}
		this.render();
	}

	#delete() {
		const {place} = this;

		askAndDelete(this.api, place, titleAt(this), () => {
			this.outbox.discard(place);
			if (place === this.place) {
				history.replaceState(null, '', pathOf(NEW));
				this.#open(NEW);
			}
			this.listing.drop(place);
		});
	}
}
