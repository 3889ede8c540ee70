/**
 * What this browser keeps: the token, drafts, and where the reader was.
 *
 * All of it stands in localStorage.  For drafts that is the point: they
 * outlive the tab.  For the token it is a choice: with sessionStorage a
 * conversation opened in a second tab would ask for a sign-in again, and a
 * reader with an expired token could not be let back in from another tab.
 * A script that could read the one could read the other, and the Content
 * Security Policy admits no foreign script; a token ends by itself, and
 * signing out removes it.
 */

import {draftFrom, NO_DRAFT} from './model/attempt.js';
import {NEW} from './model/place.js';

/** @typedef {import('./model/attempt.js').Draft} Draft */

const TOKEN = 'rememberd.token';

/** Stands in where a browser refuses localStorage: good until the reload. */
const memory = new Map();

/** @param {string} key @returns {string|null} */
function read(key) {
	try {
		return localStorage.getItem(key) ?? memory.get(key) ?? null;
	} catch {
		return memory.get(key) ?? null;
	}
}

/** @param {string} key @param {string|null} value null removes */
function write(key, value) {
	memory.delete(key);
	try {
		if (value === null)
			localStorage.removeItem(key);
		else
			localStorage.setItem(key, value);
	} catch {
		/* Full or forbidden: this page at least still knows. */
		if (value !== null)
			memory.set(key, value);
	}
}

export const keptToken = () => read(TOKEN);

/** @param {string|null} token */
export const keepToken = token => write(TOKEN, token);

/**
 * Call fn whenever another tab signs in or out.
 *
 * @param {(token: string|null) => void} fn
 */
export function onOtherTab(fn) {
	addEventListener('storage', event => {
		if (event.key === TOKEN)
			fn(event.newValue);
	});
}

/** What is kept for one person: a draft for each place, and the way back. */
export class Kept {
	/** @param {string} who */
	constructor(who) {
		this.drafts = `rememberd.draft.${who}.`;
		this.latest = `rememberd.latest.${who}`;
		this.back = `rememberd.back.${who}`;
	}

	/** @param {string} place @returns {Draft} */
	draft(place) {
		try {
			return draftFrom(JSON.parse(
			    read(this.drafts + place) ?? 'null'));
		} catch {
			return NO_DRAFT;
		}
	}

	/** @param {string} place @param {Draft} draft */
	putDraft(place, draft) {
		const isNothing = draft.text === '' && !draft.attempt;

		write(this.drafts + place,
		    isNothing ? null : JSON.stringify(draft));
		if (draft.text !== '')
			write(this.latest, place);
	}

	/** A new conversation has got its id.
	 * @param {string} from @param {string} to */
	moveDraft(from, to) {
		this.putDraft(to, this.draft(from));
		this.putDraft(from, NO_DRAFT);
	}

	/** @param {string} place */
	hasDraft(place) {
		return this.draft(place).text !== '';
	}

	/**
	 * What was written and not sent, here or else where it was written
	 * last.
	 *
	 * @param {string} place
	 * @returns {string}
	 */
	unsent(place) {
		return this.draft(place).text ||
		    this.draft(read(this.latest) ?? place).text;
	}

	/** A sign-in has to interrupt: remember the place.
	 * @param {string} place */
	leave(place) {
		write(this.back, place);
	}

	/**
	 * Where to go on after a sign-in: where it interrupted, or where
	 * something written is still unsent.  Forgets the former.
	 *
	 * @returns {string} a place
	 */
	resume() {
		const back = read(this.back);
		const latest = read(this.latest);

		write(this.back, null);
		if (back !== null && back !== NEW)
			return back;
		return latest !== null && this.hasDraft(latest) ? latest : NEW;
	}
}
