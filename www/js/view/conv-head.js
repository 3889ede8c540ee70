/**
 * <conv-head>: the title, renaming it, and the way to deleting.
 *
 * Sends conv-rename {title}, conv-delete and conv-drawer.  The form stays
 * open until the new title is stored, so that a failure loses no typing.
 */

import {emit, find, setText} from './dom.js';

/**
 * @typedef {object} HeadView
 * @property {string} place
 * @property {string} title
 * @property {boolean} isStored		there is something to rename or delete
 * @property {boolean} isSaving
 * @property {string} error		why the new title was not stored
 */

class ConvHead extends HTMLElement {
	connectedCallback() {
		/** @type {HeadView|null} */
		this.view = null;
		this.isRenaming = false;
		this.heading = find(this, '.head-title');
		this.tools = find(this, '.head-tools');
		this.form = find(this, '.head-form');
		this.error = find(this, '.head-error');
		/** @type {HTMLInputElement} */
		this.input = find(this, 'input');
		this.addEventListener('click', event => this.#click(event));
		this.form.addEventListener('submit', event => {
			event.preventDefault();
			this.#save();
		});
		this.form.addEventListener('keydown', event => {
			if (event.key === 'Escape')
				this.endRename();
		});
	}

	/** @param {HeadView} view */
	update(view) {
		if (this.view?.place !== view.place)
			this.isRenaming = false;
		this.view = view;
		setText(this.heading, view.title);
		this.heading.hidden = this.isRenaming;
		this.form.hidden = !this.isRenaming;
		this.tools.hidden = this.isRenaming || !view.isStored;
		this.input.readOnly = view.isSaving;
		setText(this.error, this.isRenaming ? view.error : '');
		this.error.hidden = !this.isRenaming || view.error === '';
	}

	beginRename() {
		if (!this.view?.isStored || this.isRenaming)
			return;
		this.isRenaming = true;
		this.input.value = this.view.title;
		this.update(this.view);
		this.input.select();
	}

	endRename() {
		if (!this.view || !this.isRenaming)
			return;
		this.isRenaming = false;
		this.update(this.view);
		find(this, '[data-do=rename]').focus();
	}

	#save() {
		const title = this.input.value.trim();

		if (title === this.view?.title)
			this.endRename();
		else if (title !== '')
			emit(this, 'conv-rename', {title});
	}

	/** @param {Event} event */
	#click(event) {
		const target = /** @type {Element} */ (event.target);

		switch (target.closest('button')?.dataset.do) {
		case 'rename':
			this.beginRename();
			break;
		case 'cancel':
			this.endRename();
			break;
		case 'delete':
			emit(this, 'conv-delete');
			break;
		case 'open':
			emit(this, 'conv-drawer');
			break;
		}
	}
}

customElements.define('conv-head', ConvHead);
