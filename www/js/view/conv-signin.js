/**
 * <conv-signin>: what stands in for the page when nobody is signed in.
 *
 * Sends conv-token {token} when a link or token was pasted.
 */

import {emit, find, setText} from './dom.js';
import {wordsForSignIn} from '../model/words.js';
import {tokenIn} from '../model/token.js';

/**
 * @typedef {object} SignInView
 * @property {'none'|'left'|'expired'|'refused'} reason
 * @property {string} draft	what was written and not sent
 */

class ConvSignin extends HTMLElement {
	connectedCallback() {
		/** @type {HTMLInputElement} */
		this.input = find(this, 'input');
		this.error = find(this, '.paste-error');
		find(this, 'form').addEventListener('submit', event => {
			event.preventDefault();
			this.#submit();
		});
	}

	/** @param {SignInView} view */
	update({reason, draft}) {
		const words = wordsForSignIn(reason);

		setText(find(this, 'h1'), words.title);
		setText(find(this, '.why'), words.text);
		setText(find(this, '.how-title'), reason === 'none' ?
		    'How to sign in' : 'How to sign in again');
		setText(find(this, 'blockquote'), draft);
		find(this, '.kept').hidden = draft === '';
	}

	#submit() {
		const token = tokenIn(this.input.value);

		this.error.hidden = token !== null;
		if (token === null) {
			setText(this.error, 'There is no token in this text.');
			return;
		}
		this.input.value = '';
		emit(this, 'conv-token', {token});
	}
}

customElements.define('conv-signin', ConvSignin);
