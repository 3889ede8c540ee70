/**
 * Shows what a desk knows: gives each part of the frame all that it needs,
 * each time, and leaves it to the part what of that is new.
 */

import {NEW} from './model/place.js';
import {answerOf, titleOf, unsentOf} from './model/screen.js';

/** @typedef {import('./desk.js').Desk} Desk */
/** @typedef {import('./model/list.js').Conversation} Conversation */

/**
 * @param {Desk} desk
 * @returns {Conversation|null} the open one, as far as it is known
 */
function conversationOf({reading, listing, place}) {
	return reading.conversation ??
	    (reading.failure ? null : listing.row(place) ?? null);
}

/** @param {Desk} desk @returns {string} '' while nobody knows */
export function titleAt(desk) {
	return titleOf(desk.place, conversationOf(desk), desk.reading.failure);
}

/** @param {Desk} desk */
export function paint(desk) {
	const {listing, reading, renaming, outbox, kept, place, frame} = desk;
	const {thread, failure, isLoading} = reading;
	const title = titleAt(desk);

	document.title = place === NEW || title === '' ? 'rememberd' :
	    `${title} · rememberd`;
	frame.list.update({
		list: listing.list,
		isLoading: listing.isLoading,
		failure: listing.failure,
		place,
		hasDraft: id => kept.hasDraft(id),
	});
	frame.head.update({
		place,
		title,
		isStored: conversationOf(desk) !== null,
		isSaving: renaming.isSaving,
		error: renaming.error,
	});
	frame.thread.update({
		place, thread, failure, isLoading,
		...answerOf(thread, outbox.at(place)),
		spoken: desk.spoken,
	});
	paintComposer(desk);
}

/** The part that changes with each key stroke.
 * @param {Desk} desk */
export function paintComposer({reading, outbox, kept, place, frame}) {
	const draft = kept.draft(place);
	const sending = outbox.at(place);

	frame.composer.update({
		place,
		text: draft.text,
		isSending: sending.phase === 'SENDING',
		isBlocked: sending.phase === 'ANSWERING',
		/* Words written to what is gone can still be copied. */
		isUseless: reading.failure?.status === 404 && draft.text === '',
		unsent: unsentOf(draft, sending),
	});
}
