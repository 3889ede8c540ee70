/**
 * What to tell a person when something went wrong.  The words say what
 * happened and what to do; the server's own message stands in where it
 * knows more than its status.
 *
 * @typedef {{status: number, message: string, requestId?: string|null}} Failure
 *	status 0: no answer came
 *
 * @typedef {{title: string, text: string, reference: string|null}} Words
 */

/** @type {Record<number, [string, string]>} */
const BY_STATUS = {
	0: ['The server cannot be reached',
	    'Either the network is down or the server is.'],
	403: ['This sign-in does not allow that',
	    'It may read but not write. Ask for another one.'],
	404: ['This conversation does not exist',
	    'It may have been deleted, or it belongs to someone else.'],
	408: ['The server waited too long', 'The connection is slow.'],
	413: ['This is too long', 'The server takes shorter messages only.'],
	429: ['Too much at once', 'The server asks for a moment of patience.'],
	502: ['The server is not answering',
	    'It may be starting again just now.'],
	503: ['The server is not ready',
	    'It cannot store anything at this moment.'],
	504: ['The server is not answering', 'It took too long.'],
	507: ['The server’s disk is full',
	    'Reading still works. Its operator has to make room.'],
};

/**
 * @param {Failure} failure
 * @returns {Words}
 */
export function wordsFor(failure) {
	const [title, text] = BY_STATUS[failure.status] ??
	    ['The server could not do that', failure.message];

	return {title, text, reference: failure.requestId ?? null};
}

/**
 * Why a message stands without an answer.
 *
 * @param {Failure|null} failure if one is known
 * @returns {Words}
 */
export function wordsForNoAnswer(failure) {
	return {
		title: failure ? 'Your message is stored, but no answer came' : '',
		text: failure ? sentenceFor(failure) :
		    'This message has no answer yet.',
		reference: failure?.requestId ?? null,
	};
}

/**
 * Why the page asks for a sign-in.
 *
 * @param {'none'|'left'|'expired'|'refused'} reason
 * @returns {{title: string, text: string}}
 */
export function wordsForSignIn(reason) {
	switch (reason) {
	case 'left':
		return {title: 'You are signed out',
		    text: 'This browser no longer holds your token.'};
	case 'expired':
		return {title: 'Your sign-in has expired',
		    text: 'Sign-in links are good for a limited time, and ' +
		    'the time of yours is over.'};
	case 'refused':
		return {title: 'Your sign-in was not accepted',
		    text: 'The server does not know this token, or it was ' +
		    'revoked.'};
	default:
		return {title: 'Sign in to rememberd',
		    text: 'Your conversations are waiting behind a sign-in ' +
		    'link.'};
	}
}

/**
 * The same in one line.
 *
 * @param {Failure} failure
 * @returns {string}
 */
export function sentenceFor(failure) {
	const {title, text} = wordsFor(failure);

	return `${title}. ${text}`;
}
