/**
 * Who is signed in.  Somebody: a Desk.  Nobody: the sign-in view says why.
 *
 *	OUT --token in the URL, pasted, or from another tab--> IN
 *	IN  --the server refuses the token, or "Sign out"--> OUT
 */

import './view/conv-signin.js';
import {Api} from './api.js';
import {Desk} from './desk.js';
import {Frame} from './frame.js';
import {keepToken, Kept, keptToken, onOtherTab} from './keep.js';
import {NEW, pathOf, placeOf} from './model/place.js';
import {claimsOf, isExpired, whose} from './model/token.js';
import {find} from './view/dom.js';

export class App {
	constructor() {
		this.frame = new Frame();
		/** @type {any} */
		this.signin = find(document, 'conv-signin');
		/** @type {string|null} */
		this.token = null;
		/** @type {Desk|null} */
		this.desk = null;
		this.frame.root.addEventListener('conv-sign-out',
		    () => this.#signOut());
		this.signin.addEventListener('conv-token',
		    event => this.signIn(event.detail.token));
		onOtherTab(token => this.#otherTab(token));
	}

	/**
	 * Somebody followed a link, or pasted one.  Unless it names a place,
	 * they go on where they were interrupted.
	 *
	 * @param {string} token
	 */
	signIn(token) {
		const back = new Kept(whose(token)).resume();

		keepToken(token);
		if (placeOf(location.pathname) === NEW && back !== NEW)
			history.replaceState(null, '', pathOf(back));
		this.enter(token);
	}

	/**
	 * Go on as whoever holds token, at the place that the URL names.
	 *
	 * @param {string} token
	 */
	enter(token) {
		this.token = token;
		this.desk?.close();
		this.signin.hidden = true;
		this.frame.show(signature(token));
		this.desk = new Desk(new Api(token, () => this.#refused(token)),
		    new Kept(whose(token)), this.frame);
		this.desk.start();
	}

	/**
	 * @param {'none'|'left'|'expired'|'refused'} reason
	 */
	ask(reason) {
		const kept = new Kept(whose(this.token ?? ''));
		const place = placeOf(location.pathname);

		this.desk?.close();
		this.desk = null;
		this.frame.hide();
		document.title = 'Sign in · rememberd';
		this.signin.update({reason, draft: kept.unsent(place)});
		this.signin.hidden = false;
		find(this.signin, 'h1').focus();
	}

	/**
	 * The server does not take this token.  It stays where it is kept: a
	 * reload tells the same story, and it names whose drafts are shown.
	 *
	 * @param {string} token
	 */
	#refused(token) {
		const other = keptToken();

		if (token !== this.token || !this.desk)
			return;
		new Kept(whose(token)).leave(placeOf(location.pathname));
		if (other !== null && other !== token)
			this.enter(other);
		else
			this.ask(isExpired(token, Date.now()) ?
			    'expired' : 'refused');
	}

	#signOut() {
		keepToken(null);
		this.token = null;
		history.replaceState(null, '', pathOf(NEW));
		this.ask('left');
	}

	/** A tab that works is left alone until its own token is refused.
	 * @param {string|null} token */
	#otherTab(token) {
		if (token === null && this.desk)
			this.#signOut();
		else if (token !== null && !this.desk)
			this.enter(token);
	}
}

/** @param {string} token @returns {string} who it speaks for, in words */
function signature(token) {
	const claims = claimsOf(token);

	return claims ? `${claims.sub} · ${claims.tenant}` : whose(token);
}
