/**
 * The question before a deletion.  The dialog stays until the server has
 * said yes, so that a failure is told where the button was pressed.
 */

import {find, setText} from './dom.js';

/**
 * @param {string} name of what will be deleted
 * @param {() => Promise<void>} remove may be called again after it failed
 * @param {() => void} removed called when the dialog has closed after it
 * @param {(error: unknown) => string} explain
 */
export function askDelete(name, remove, removed, explain) {
	/** @type {HTMLDialogElement} */
	const dialog = find(document, '#delete');
	const form = find(dialog, 'form');
	const error = find(dialog, '.dialog-error');
	/** @type {HTMLButtonElement} */
	const button = find(dialog, '[value=delete]');
	const over = new AbortController();

	setText(find(dialog, '.dialog-name'), name);
	setText(button, 'Delete');
	error.hidden = true;
	dialog.addEventListener('close', () => over.abort(), {once: true});
	form.addEventListener('submit', async event => {
		if (event.submitter !== button)
			return;
		event.preventDefault();
		button.disabled = true;
		try {
			await remove();
			/* Closing gives the focus back: that comes first. */
			dialog.close();
			removed();
		} catch (failure) {
			setText(error, explain(failure));
			setText(button, 'Try again');
			error.hidden = false;
		} finally {
			button.disabled = false;
		}
	}, {signal: over.signal});
	dialog.showModal();
}
