/**
 * The server, as the rest of the page sees it.  The only module that calls
 * fetch, and the only one that puts the token anywhere: into the
 * Authorization header.
 *
 * Each change carries an Idempotency-Key chosen by the caller, so that a
 * repeated request adds nothing.  That makes it safe to try again here when
 * an answer fails to come, and for the reader to try again after that.
 */

/** @typedef {import('./model/list.js').Conversation} Conversation */
/** @typedef {import('./model/list.js').Page} ListPage */
/** @typedef {import('./model/thread.js').Item} Item */
/** @typedef {import('./model/thread.js').Page} ItemPage */

const LIST_PAGE = 30;
const ITEM_PAGE = 50;
const TRIES = 3;
const PATIENCE = 5000;	/* ms that a Retry-After may ask for */
const ANSWERS = 30000;	/* ms for an ordinary reply */
const THINKS = 120000;	/* ms for an agent's reply */

/** A request that failed; status 0 when no answer came at all. */
export class ApiError extends Error {
	/**
	 * @param {number} status
	 * @param {string} message
	 * @param {{code?: string|null, param?: string|null,
	 *     requestId?: string|null, retryAfter?: number|null,
	 *     shouldRetry?: boolean}} [more]
	 */
	constructor(status, message, more = {}) {
		super(message);
		this.name = 'ApiError';
		this.status = status;
		this.code = more.code ?? null;
		this.param = more.param ?? null;
		this.requestId = more.requestId ?? null;
		this.retryAfter = more.retryAfter ?? null;
		this.shouldRetry = more.shouldRetry ??
		    ([0, 408, 429, 500, 502, 503, 504].includes(status) ||
		    (status === 409 && this.retryAfter !== null));
	}
}

/** @param {unknown} error @returns {boolean} the caller itself gave up */
export const isAbort = error =>
    error instanceof DOMException && error.name === 'AbortError';

/** @returns {string} 128 random bits; randomUUID asks for a secure context */
export function mint() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));

	return Array.from(bytes, b => b.toString(16).padStart(2, '0')).join('');
}

export class Api {
	/**
	 * @param {string} token
	 * @param {() => void} onRefused called when the token is no good
	 */
	constructor(token, onRefused) {
		this.token = token;
		this.onRefused = onRefused;
	}

	/** @param {string|null} after @param {AbortSignal} signal
	 * @returns {Promise<ListPage>} */
	listConversations(after, signal) {
		return this.#call('GET', '/v1/conversations' +
		    query({limit: LIST_PAGE, after}), {signal});
	}

	/** @param {string} id @param {AbortSignal} [signal]
	 * @returns {Promise<Conversation>} */
	getConversation(id, signal) {
		return this.#call('GET', pathTo(id), {signal});
	}

	/** @param {string} id @param {string|null} after
	 * @param {AbortSignal} signal
	 * @returns {Promise<ItemPage>} newest first */
	listItems(id, after, signal) {
		return this.#call('GET', pathTo(id) + '/items' + query({
			limit: ITEM_PAGE, order: 'desc', after,
			'include[]': 'created_at',
		}), {signal});
	}

	/** @param {string} title '' for none @param {string} key
	 * @returns {Promise<Conversation>} */
	createConversation(title, key) {
		return this.#call('POST', '/v1/conversations',
		    {key, body: title === '' ? {} : {title}});
	}

	/** @param {string} id @param {Item[]} items @param {string} key
	 * @returns {Promise<{data: Item[]}>} the items as stored */
	addItems(id, items, key) {
		return this.#call('POST', pathTo(id) + '/items',
		    {key, body: {items}});
	}

	/** @param {string} id @param {string} key
	 * @returns {Promise<{output: Item[]}>} */
	respond(id, key) {
		return this.#call('POST', '/v1/responses', {
			key,
			timeout: THINKS,
			body: {model: 'recall', conversation: id},
		});
	}

	/** @param {string} id @param {string} title @param {string} key
	 * @returns {Promise<Conversation>} */
	rename(id, title, key) {
		return this.#call('PATCH', pathTo(id), {key, body: {title}});
	}

	/** @param {string} id @param {string} key */
	remove(id, key) {
		return this.#call('DELETE', pathTo(id), {key});
	}

	/**
	 * One request, tried again while that may help.
	 *
	 * @param {string} method
	 * @param {string} path
	 * @param {{key?: string, body?: object, signal?: AbortSignal,
	 *     timeout?: number}} options	a change has a key
	 * @returns {Promise<any>} throws ApiError, or AbortError by the signal
	 */
	async #call(method, path, options) {
		for (let n = 1; ; n++) {
			try {
				return await this.#once(method, path, options);
			} catch (error) {
				if (!(error instanceof ApiError))
					throw error;
				if (error.status === 401)
					this.onRefused();
				const wait = error.retryAfter === null ?
				    300 * 2 ** n * (0.75 + Math.random() / 4) :
				    error.retryAfter * 1000;

				if (n === TRIES || !error.shouldRetry ||
				    wait > PATIENCE)
					throw error;
				await sleep(wait, options.signal);
			}
		}
	}

	/**
	 * @param {string} method
	 * @param {string} path
	 * @param {{key?: string, body?: object, signal?: AbortSignal,
	 *     timeout?: number}} options
	 */
	async #once(method, path, {key, body, signal, timeout = ANSWERS}) {
		/** @type {Record<string, string>} */
		const headers = {Authorization: `Bearer ${this.token}`};
		const limit = AbortSignal.timeout(timeout);
		let reply, text;

		if (key)
			headers['Idempotency-Key'] = key;
		if (body)
			headers['Content-Type'] = 'application/json';
		try {
			reply = await fetch(path, {
				method,
				headers,
				body: body && JSON.stringify(body),
				signal: signal ?
				    AbortSignal.any([signal, limit]) : limit,
				cache: 'no-store',
				credentials: 'omit',
				redirect: 'error',
			});
			text = await reply.text();
		} catch (error) {
			if (isAbort(error))
				throw error;
			throw new ApiError(0, String(error));
		}
		return read(reply, text);
	}
}

/**
 * The value of a good reply; throws ApiError for any other.
 *
 * @param {Response} reply
 * @param {string} text its body
 */
function read(reply, text) {
	let value;

	try {
		value = JSON.parse(text);
	} catch {
		value = null;
	}
	if (reply.ok && value !== null)
		return value;

	const error = value?.error ?? {};
	const after = Number.parseFloat(reply.headers.get('Retry-After') ?? '');
	const advice = reply.headers.get('x-should-retry');

	const message = error.message ??
	    `The server answered with status ${reply.status}.`;

	throw new ApiError(reply.ok ? 502 : reply.status, message, {
		code: error.code,
		param: error.param,
		requestId: reply.headers.get('X-Request-Id'),
		retryAfter: Number.isFinite(after) ? after : null,
		shouldRetry: advice === null ? undefined : advice === 'true',
	});
}

/** @param {string} id */
const pathTo = id => `/v1/conversations/${encodeURIComponent(id)}`;

/** @param {Record<string, string|number|null>} fields null is left out */
function query(fields) {
	const set = new URLSearchParams();

	for (const [name, value] of Object.entries(fields)) {
		if (value !== null)
			set.set(name, String(value));
	}
	return `?${set}`;
}

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
function sleep(ms, signal) {
	signal?.throwIfAborted();
	return new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, ms);

		signal?.addEventListener('abort', () => {
			clearTimeout(timer);
			reject(signal.reason);
		}, {once: true});
	});
}
