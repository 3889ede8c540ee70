/**
 * What each part of the page shows, worked out from what is known.
 *
 * @typedef {import('./list.js').Conversation} Conversation
 * @typedef {import('./words.js').Failure} Failure
 * @typedef {import('../outbox.js').Sending} Sending
 */

import {isUnconfirmed} from './attempt.js';
import {nameOf} from './list.js';
import {NEW} from './place.js';
import {unansweredIn} from './thread.js';
import {sentenceFor} from './words.js';

/**
 * @param {string} place
 * @param {Conversation|null|undefined} conversation
 * @param {Failure|null} failure of opening it
 * @returns {string} '' while nobody knows
 */
export function titleOf(place, conversation, failure) {
	if (place === NEW)
		return 'New conversation';
	if (conversation)
		return nameOf(conversation);
	return failure ? 'Not available' : '';
}

/**
 * @param {import('./thread.js').Thread} thread
 * @param {Sending} sending
 * @returns {{answer: 'none'|'waiting'|'missing',
 *     answerFailure: Failure|null}}
 */
export function answerOf(thread, {phase, failure}) {
	if (phase === 'ANSWERING')
		return {answer: 'waiting', answerFailure: null};
	if (phase === 'SENDING' || !thread.isKnown || !unansweredIn(thread))
		return {answer: 'none', answerFailure: null};
	return {answer: 'missing',
	    answerFailure: phase === 'UNANSWERED' ? failure : null};
}

/**
 * Why the words in the box still stand there; '' when that needs no reason.
 * It holds for the words that were tried, not for what they were changed to.
 *
 * @param {import('./attempt.js').Draft} draft
 * @param {Sending} sending
 * @returns {string}
 */
export function unsentOf(draft, {phase, failure}) {
	if (phase === 'SENDING' || !isUnconfirmed(draft))
		return '';
	if (phase === 'UNSENT' && failure)
		return `Not sent. ${sentenceFor(failure)}`;
	return 'This was not confirmed as sent. Sending it again will not ' +
	    'store it twice.';
}
