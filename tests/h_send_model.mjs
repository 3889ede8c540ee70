/**
 * Sending exactly once: attempts and their keys, the outbox that carries
 * them, and the one module that talks to the server, over a fetch of ours.
 */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Api, ApiError, isAbort, mint } from '../www/js/api.js';
import { Kept } from '../www/js/keep.js';
import { attemptFor, draftFrom, hasArrived, isUnconfirmed, messageOf, NO_DRAFT,
    retype } from '../www/js/model/attempt.js';
import { NEW } from '../www/js/model/place.js';
import { answerOf, titleOf, unsentOf } from '../www/js/model/screen.js';
import { Outbox } from '../www/js/outbox.js';

let minted = 0;
const counter = () => `k${++minted}`;

test('the same words keep their names, other words get new ones', () => {
	const first = attemptFor(NO_DRAFT, 'a', counter);
	const draft = { text: 'a', attempt: first };
	assert.equal(attemptFor(draft, 'a', counter), first);
	const other = attemptFor(draft, 'a ', counter);
	assert.notEqual(other.key, first.key);
	assert.notEqual(other.item, first.item);
	/* Changed and changed back: it may have arrived meanwhile. */
	assert.equal(attemptFor(retype(retype(draft, 'ab'), 'a'), 'a', counter),
	    first);
	assert.deepEqual(messageOf(first), { type: 'message', id: first.item,
	    role: 'user', content: [{ type: 'input_text', text: 'a' }] });
});

test('a draft survives being stored, and rubbish is no draft', () => {
	const draft = { text: 'ü\n🌼', attempt: { text: 'x', key: 'k', item: 'i' } };
	assert.deepEqual(draftFrom(JSON.parse(JSON.stringify(draft))), draft);
	for (const v of [null, 7, 'x', [], {}, { text: 1 }])
		assert.equal(draftFrom(v), NO_DRAFT);
	assert.deepEqual(draftFrom({ text: 'a', attempt: { text: 'a' } }),
	    { text: 'a', attempt: null });
	assert.equal(isUnconfirmed(draft), false);
	assert.equal(isUnconfirmed({ ...draft, text: 'x' }), true);
	assert.equal(hasArrived(draft, [{ id: 'h' }, { id: 'i' }]), true);
	assert.equal(hasArrived(NO_DRAFT, [{ id: 'i' }]), false);
});

test('the box says why words stand in it only of those that were tried', () => {
	const attempt = { text: 'a', key: 'k', item: 'i' };
	const failed = { phase: 'UNSENT', failure: { status: 502, message: 'm' } };
	const idle = { phase: 'IDLE', failure: null };
	assert.match(unsentOf({ text: 'a', attempt }, failed), /^Not sent\. /);
	assert.match(unsentOf({ text: 'a', attempt }, idle), /not confirmed/);
	assert.equal(unsentOf({ text: 'b', attempt }, failed), '');
	assert.equal(unsentOf({ text: 'b', attempt: null }, idle), '');
	assert.equal(unsentOf({ text: 'a', attempt },
	    { phase: 'SENDING', failure: null }), '');
});

test('an answer is awaited, missing, or there', () => {
	const asked = { items: [{ id: 'a', role: 'user' }], isKnown: true };
	const failure = { status: 503, message: 'm' };
	const of = (thread, phase, f = null) =>
	    answerOf(thread, { phase, failure: f });
	assert.equal(of(asked, 'ANSWERING').answer, 'waiting');
	assert.equal(of(asked, 'IDLE').answer, 'missing');
	assert.equal(of(asked, 'SENDING').answer, 'none');
	assert.equal(of(asked, 'UNANSWERED', failure).answerFailure, failure);
	assert.equal(of(asked, 'UNSENT', failure).answerFailure, null);
	assert.equal(of({ items: [], isKnown: true }, 'IDLE').answer, 'none');
	assert.equal(of({ ...asked, isKnown: false }, 'IDLE').answer, 'none');
	assert.equal(titleOf(NEW, null, null), 'New conversation');
	assert.equal(titleOf('c', null, null), '');
	assert.equal(titleOf('c', { id: 'c', title: 'T' }, null), 'T');
});

/* A server in memory that remembers keys; fails as often as it is told. */
function fakeApi()
{
	const api = { keys: new Map(), calls: [], stored: [], failing: null,
	    loseReplies: false };
	const change = (name, key, make) => {
		api.calls.push(`${name} ${key}`);
		if (api.failing === name && !api.loseReplies)
			throw new ApiError(502, 'down');
		if (!api.keys.has(key))
			api.keys.set(key, make());
		if (api.failing === name)
			throw new ApiError(502, 'lost on its way');
		return api.keys.get(key);
	};
	api.createConversation = async (title, key) =>
	    change('create', key, () => ({ id: `conv_${api.keys.size}`, title }));
	api.addItems = async (id, items, key) => change('add', key, () => {
		api.stored.push(...items);
		return { data: items };
	});
	api.respond = async (id, key) => change('respond', key,
	    () => ({ output: [{ id: 'answer', type: 'message' }] }));
	return api;
}

function fakeReceiver()
{
	const seen = [];
	return { seen, changed() {},
	    created: (c) => seen.push(`created ${c.title}`),
	    stored: (place, items) => seen.push(`stored ${items.length}`),
	    answered: (place, items) => seen.push(`answered ${items[0].id}`) };
}

let people = 0;
const someone = () => new Kept(`person ${++people}`);

test('a first message: created, stored, answered, and the box is empty',
    async () => {
	const api = fakeApi(), kept = someone(), receiver = fakeReceiver();
	const outbox = new Outbox(api, kept, receiver);
	outbox.retype(NEW, 'Hello');
	await outbox.send(NEW, 'Hello');
	assert.deepEqual(receiver.seen,
	    ['created Hello', 'stored 1', 'answered answer']);
	assert.equal(kept.hasDraft(NEW), false);
	assert.equal(kept.hasDraft('conv_0'), false);
	assert.equal(outbox.at('conv_0').phase, 'IDLE');
});

for (const loseReplies of [false, true]) {
	for (const step of ['create', 'add']) {
		test(`a failing ${step}${loseReplies ? ' that had an effect' : ''} ` +
		    'keeps the words; a retry stores them once', async () => {
			const api = fakeApi(), kept = someone();
			let outbox = new Outbox(api, kept, fakeReceiver());
			api.failing = step;
			api.loseReplies = loseReplies;
			await outbox.send(NEW, 'Hello');
			const place = step === 'create' ? NEW : 'conv_0';
			assert.equal(outbox.at(place).phase, 'UNSENT');
			assert.equal(kept.draft(place).text, 'Hello');
			assert.equal(kept.resume(), place, 'a sign-in comes back to it');
			/* As after a reload: only what the browser kept is left. */
			outbox = new Outbox(api, kept, fakeReceiver());
			api.failing = null;
			await outbox.send(place, 'Hello');
			assert.equal(api.stored.length, 1);
			assert.equal(kept.hasDraft('conv_0'), false);
			const adds = api.calls.filter((c) => c.startsWith('add'));
			assert.equal(new Set(adds).size, 1, 'one key for the message');
		});
	}
}

test('a failing answer leaves the message stored; asking again has one key',
    async () => {
	const api = fakeApi(), kept = someone(), receiver = fakeReceiver();
	const outbox = new Outbox(api, kept, receiver);
	api.failing = 'respond';
	await outbox.send('conv_x', 'Hello');
	assert.equal(outbox.at('conv_x').phase, 'UNANSWERED');
	assert.equal(kept.hasDraft('conv_x'), false);
	api.failing = null;
	await outbox.ask('conv_x', api.stored[0].id);
	assert.deepEqual(receiver.seen, ['stored 1', 'answered answer']);
	const asks = api.calls.filter((c) => c.startsWith('respond'));
	assert.equal(asks.length, 2);
	assert.equal(new Set(asks).size, 1);
});

test('what arrived without a word back leaves the box when it is seen', () => {
	const kept = someone();
	const outbox = new Outbox(fakeApi(), kept, fakeReceiver());
	const attempt = { text: 'a', key: 'k', item: 'msg_1' };
	kept.putDraft('c', { text: 'a', attempt });
	outbox.settle('c', [{ id: 'msg_0' }]);
	assert.equal(kept.draft('c').text, 'a');
	outbox.settle('c', [{ id: 'msg_1' }]);
	assert.deepEqual(kept.draft('c'), NO_DRAFT);
	kept.putDraft('c', { text: 'other words', attempt });
	outbox.settle('c', [{ id: 'msg_1' }]);
	assert.deepEqual(kept.draft('c'), { text: 'other words', attempt: null });
});

test('two people at one browser do not see one another’s drafts', () => {
	const a = someone(), b = someone();
	a.putDraft(NEW, { text: 'mine', attempt: null });
	a.leave('conv_a');
	assert.equal(b.hasDraft(NEW), false);
	assert.equal(b.resume(), NEW);
	assert.equal(a.resume(), 'conv_a');
	assert.equal(a.resume(), NEW, 'the way back is gone once');
	assert.equal(a.unsent('conv_b'), 'mine');
});

/* From here on: api.js over a fetch of ours. */
const realFetch = globalThis.fetch;

afterEach(() => {
	globalThis.fetch = realFetch;
});

function replies(...list)
{
	const seen = [];
	globalThis.fetch = async (path, options) => {
		seen.push({ path, ...options });
		options.signal.throwIfAborted();
		const next = list.length > 1 ? list.shift() : list[0];
		if (next instanceof Error)
			throw next;
		const [status, body, headers] = next;
		return new Response(typeof body === 'string' ? body :
		    JSON.stringify(body), { status, headers });
	};
	return seen;
}

const error = (message) => ({ error: { message, type: 't', param: 'p',
	code: 'c' } });
const soon = { 'Retry-After': '0' };

test('a change is tried again with the same key and body', async () => {
	const seen = replies([502, error('x'), soon], [503, 'no JSON', soon],
	    [200, { data: [] }]);
	await new Api('tok', () => {}).addItems('conv_1', [{ id: 'a' }], 'key');
	assert.equal(seen.length, 3);
	for (const call of seen) {
		assert.equal(call.path, '/v1/conversations/conv_1/items');
		assert.equal(call.headers['Idempotency-Key'], 'key');
		assert.equal(call.headers.Authorization, 'Bearer tok');
		assert.equal(call.body, '{"items":[{"id":"a"}]}');
		assert.doesNotMatch(call.path, /tok/);
	}
});

test('a network error is an ApiError with status 0, after three tries',
    async () => {
	const seen = replies(new TypeError('Failed to fetch'));
	await assert.rejects(new Api('t', () => {}).remove('c', 'k'),
	    (e) => e instanceof ApiError && e.status === 0);
	assert.equal(seen.length, 3);
});

test('what a retry cannot mend is not tried again', async () => {
	for (const [status, headers] of [[400], [404], [413], [422], [507, soon],
	    [503, { 'x-should-retry': 'false' }], [429, { 'Retry-After': '60' }],
	    [409]]) {
		const seen = replies([status, error('why'), headers]);
		await assert.rejects(new Api('t', () => {}).rename('c', 'x', 'k'),
		    (e) => e.status === status && e.message === 'why' &&
		    e.code === 'c' && e.param === 'p');
		assert.equal(seen.length, 1, `status ${status}`);
	}
});

test('a reply that is no JSON is an error, whatever its status', async () => {
	replies([200, '<html>', { 'x-should-retry': 'false' }]);
	await assert.rejects(new Api('t', () => {}).getConversation('c'),
	    (e) => e.status === 502);
});

test('401 is told at once and not tried again', async () => {
	let refused = 0;
	const seen = replies([401, error('who?')]);
	await assert.rejects(new Api('t', () => refused++).getConversation('c'),
	    (e) => e.status === 401);
	assert.equal(refused, 1);
	assert.equal(seen.length, 1);
});

test('leaving aborts a read, also between two tries', async () => {
	const over = new AbortController();
	replies([503, error('x'), { 'Retry-After': '4' }]);
	const reading = new Api('t', () => {}).listItems('c', null, over.signal);
	setTimeout(() => over.abort(), 20);
	await assert.rejects(reading, isAbort);
});

test('lists are asked for with their cursor, encoded', async () => {
	const seen = replies([200, { data: [] }]);
	const api = new Api('t', () => {});
	const { signal } = new AbortController();
	await api.listConversations('a b&c', signal);
	await api.listConversations(null, signal);
	await api.listItems('a/b', 'msg_1', signal);
	assert.deepEqual(seen.map((call) => call.path), [
	    '/v1/conversations?limit=30&after=a+b%26c',
	    '/v1/conversations?limit=30',
	    '/v1/conversations/a%2Fb/items?limit=50&order=desc&after=msg_1' +
	    '&include%5B%5D=created_at']);
	assert.equal(seen[0].headers['Idempotency-Key'], undefined);
});

test('minted names are random and long enough', () => {
	assert.match(mint(), /^[0-9a-f]{32}$/);
	assert.notEqual(mint(), mint());
});
