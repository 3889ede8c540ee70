/**
 * The frame around the views: drawer, links, shortcuts.  It knows no server
 * and no state but whether the drawer is open; what a reader asks for goes
 * up as conv-go {place} and conv-look.
 */

import './view/conv-composer.js';
import './view/conv-head.js';
import './view/conv-list.js';
import './view/conv-thread.js';
import {NEW, placeOf} from './model/place.js';
import {emit, find, setText} from './view/dom.js';

export class Frame {
	constructor() {
		this.root = find(document, '#app');
		this.drawer = find(document, '#drawer');
		this.main = find(document, '#main');
		/** @type {any} the elements' own update() is their contract */
		const part = name => find(this.root, name);

		this.list = part('conv-list');
		this.head = part('conv-head');
		this.thread = part('conv-thread');
		this.composer = part('conv-composer');
		this.root.addEventListener('click',
		    event => this.#click(event));
		this.root.addEventListener('conv-drawer',
		    () => this.#openDrawer());
		document.addEventListener('keydown', event => this.#key(event));
		document.addEventListener('visibilitychange', () => {
			if (document.visibilityState === 'visible')
				emit(this.root, 'conv-look');
		});
		/* With room for both there is no drawer to be open. */
		matchMedia('(max-width: 52rem)').addEventListener('change',
		    () => this.closeDrawer());
		addEventListener('online', () => emit(this.root, 'conv-look'));
	}

	/** @param {string} who is signed in */
	show(who) {
		setText(find(this.root, '#who'), who);
		this.root.hidden = false;
	}

	hide() {
		/** @type {HTMLDialogElement} */
		const dialog = find(document, '#delete');

		dialog.close();
		this.closeDrawer();
		this.root.hidden = true;
	}

	#openDrawer() {
		this.root.classList.add('is-open');
		this.main.inert = true;
		find(this.drawer, '[data-do=close]').focus();
	}

	closeDrawer() {
		if (!this.root.classList.contains('is-open'))
			return;
		this.root.classList.remove('is-open');
		this.main.inert = false;
		find(this.main, '[data-do=open]').focus();
	}

	/** @param {MouseEvent} event */
	#click(event) {
		const target = /** @type {Element} */ (event.target);
		const link = target.closest('a');
		const isPlain = event.button === 0 && !event.ctrlKey &&
		    !event.metaKey && !event.shiftKey && !event.altKey;

		if (link && isPlain) {
			event.preventDefault();
			if (link.hash)
				find(this.root, link.hash).focus();
			else
				emit(this.root, 'conv-go',
				    {place: placeOf(link.pathname)});
		}
		switch (target.closest('button')?.dataset.do) {
		case 'close':
			this.closeDrawer();
			break;
		case 'sign-out':
			emit(this.root, 'conv-sign-out');
			break;
		}
	}

	/** @param {KeyboardEvent} event */
	#key(event) {
		if (this.root.hidden || document.querySelector('dialog[open]'))
			return;
		if (event.key === 'Escape' && this.main.inert)
			this.closeDrawer();
		else if (event.key === 'F2')
			this.head.beginRename();
		else if (event.altKey && event.shiftKey &&
		    event.code === 'KeyN')
			emit(this.root, 'conv-go', {place: NEW});
		else
			return;
		event.preventDefault();
	}
}
