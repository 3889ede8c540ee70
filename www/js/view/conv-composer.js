/**
 * <conv-composer>: the box in which a message is written.
 *
 * Sends conv-draft {place, text} with each key stroke and conv-send {text}.
 * The text leaves the box only when the server has stored it: whoever owns
 * the drafts says so by updating with a draft that is empty.
 */

import {emit, find, setAttribute, setText} from './dom.js';

/**
 * @typedef {object} ComposerView
 * @property {string} place
 * @property {string} text	the draft
 * @property {boolean} isSending
 * @property {boolean} isBlocked	an answer is awaited: no sending now
 * @property {boolean} isUseless	there is nothing to write to
 * @property {string} unsent	why the text still stands here; '' for no reason
 */

class ConvComposer extends HTMLElement {
	connectedCallback() {
		this.place = '';
		this.isBusy = false;
		/** @type {HTMLFormElement} */
		this.form = find(this, 'form');
		/** @type {HTMLTextAreaElement} */
		this.box = find(this, 'textarea');
		/** @type {HTMLButtonElement} */
		this.button = find(this, '.send');
		this.unsent = find(this, '.unsent');
		this.form.addEventListener('submit', event => {
			event.preventDefault();
			this.#send();
		});
		this.box.addEventListener('keydown', event => this.#key(event));
		this.box.addEventListener('input', () => {
			this.#grow();
			this.#updateButton();
			emit(this, 'conv-draft',
			    {place: this.place, text: this.box.value});
		});
	}

	/** @param {ComposerView} view */
	update(view) {
		const isOther = this.place !== view.place;

		this.hidden = view.isUseless;
		this.place = view.place;
		this.isBusy = view.isSending || view.isBlocked;
		if (this.box.value !== view.text) {
			this.box.value = view.text;
			this.#grow();
		}
		if (isOther)
			this.box.setSelectionRange(view.text.length,
			    view.text.length);
		this.box.readOnly = view.isSending;
		setAttribute(this.form, 'aria-busy',
		    view.isSending ? 'true' : null);
		setText(find(this, '.unsent-text'), view.unsent);
		this.unsent.hidden = view.unsent === '';
		this.#updateButton();
	}

	/** On a touch screen focus would pull up the keyboard over the page. */
	focusBox() {
		if (!matchMedia('(pointer: coarse)').matches)
			this.box.focus({preventScroll: true});
	}

	#updateButton() {
		this.button.disabled = this.isBusy ||
		    this.box.value.trim() === '';
	}

	#send() {
		if (!this.button.disabled)
			emit(this, 'conv-send', {text: this.box.value});
	}

	/** @param {KeyboardEvent} event */
	#key(event) {
		/* While an input method composes a word, Enter ends it. */
		if (event.key !== 'Enter' || event.shiftKey ||
		    event.isComposing)
			return;
		event.preventDefault();
		this.#send();
	}

	/** The box is as tall as its text; the style sheet sets the limit. */
	#grow() {
		if (CSS.supports('field-sizing', 'content'))
			return;
		this.box.style.height = 'auto';
		this.box.style.height = `${this.box.scrollHeight}px`;
	}
}

customElements.define('conv-composer', ConvComposer);
