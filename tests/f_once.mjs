/**
 * Exactly once (promise 3): Idempotency-Key, and the rule for clients that
 * retry without one.
 */
import assert from 'node:assert/strict';
import { suite, ok, refused, user, text } from './harness.mjs';

const { test, it } = suite();
let n = 0;
const fresh = () => `key-${process.pid}-${++n}`;

async function create(body = {})
{
	return (ok(await it.req('POST', '/conversations', { body })).id);
}

const items = async (conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc&limit=1000`)).data;

function send(conv, content, headers, more)
{
	return (it.req('POST', `/conversations/${conv}/items`, { headers, ...more,
	    body: { items: [user(content)] } }));
}

const sameOutcome = (a, b) => {
	assert.equal(b.status, a.status);
	assert.deepEqual(b.json, a.json);
	assert.equal(b.headers.etag, a.headers.etag);
};

test('an append, twice with one key, is there once', async () => {
	const conv = await create();
	const h = { 'idempotency-key': fresh() };
	const one = await send(conv, 'x', h);
	const two = await send(conv, 'x', h);
	ok(one);
	sameOutcome(one, two);
	assert.equal((await items(conv)).length, 1);
	/* Also after other changes. */
	ok(await send(conv, 'y'));
	sameOutcome(one, await send(conv, 'x', h));
	assert.deepEqual((await items(conv)).map(text), ['x', 'y']);
});

test('every kind of change takes a key', async () => {
	const h = () => ({ 'idempotency-key': fresh() });
	const twice = async (m, t, body) => {
		const headers = h();
		const a = await it.req(m, t, { body, headers });
		ok(a);
		const b = await it.req(m, t, { body, headers });
		sameOutcome(a, b);
		return (a.json);
	};
	const c = await twice('POST', '/conversations', { title: 't',
		items: [user('a', { id: 'a' }), user('b', { id: 'b' })] });
	const t = `/conversations/${c.id}`;
	await twice('PATCH', t, { title: 'u' });
	await twice('POST', t, { metadata: { a: 'b' } });
	await twice('DELETE', `${t}/items/a`);
	assert.equal(ok(await it.req('GET', t)).item_count, 1);
	await twice('DELETE', t);
	refused(await it.req('DELETE', t, { headers: h() }), 404);
	const list = ok(await it.req('GET', '/conversations?limit=1000'));
	assert.ok(!list.data.some((x) => x.id === c.id));
});

test('a second create with the same key is the same conversation', async () => {
	const headers = { 'idempotency-key': fresh() };
	const made = await Promise.all(Array.from({ length: 20 }, () =>
	    it.req('POST', '/conversations', { body: { title: 'once' },
		headers })));
	assert.equal(new Set(made.map((r) => ok(r).id)).size, 1);
});

test('the same key with another body is 422 and changes nothing', async () => {
	const conv = await create();
	const h = { 'idempotency-key': fresh() };
	ok(await send(conv, 'x', h));
	refused(await send(conv, 'other', h), 422);
	refused(await it.req('POST', `/conversations/${conv}/items`,
	    { headers: h, body: { items: [user('x'), user('y')] } }), 422);
	assert.equal((await items(conv)).length, 1);
	const c = { 'idempotency-key': fresh() };
	ok(await it.req('POST', '/conversations', { headers: c, body: {} }));
	refused(await it.req('POST', '/conversations', { headers: c,
		body: { title: 'x' } }), 422);
});

test('the scope is method, path and caller', async () => {
	const a = await create();
	const b = await create();
	const h = { 'idempotency-key': fresh() };
	ok(await send(a, 'x', h));
	ok(await send(b, 'x', h));
	ok(await it.req('POST', `/conversations/${a}`,
	    { headers: h, body: { metadata: {} } }));
	ok(await it.req('PATCH', `/conversations/${a}`,
	    { headers: h, body: { title: 't' } }));
	assert.equal((await items(a)).length, 1);
	assert.equal((await items(b)).length, 1);
	/* Another key of the same tenant is the same caller: a tenant key. */
	const other = it.addKey(it.tenant).key;
	ok(await send(a, 'x', h, { key: other }));
	assert.equal((await items(a)).length, 1);
});

test('a refusal leaves no outcome', async () => {
	const conv = await create();
	const h = { 'idempotency-key': fresh() };
	refused(await it.req('POST', `/conversations/${conv}/items`,
	    { headers: h, body: { items: [{ role: 'pirate', content: 'x' }] } }),
	    400);
	refused(await send('conv_unknown', 'x', h), 404);
	ok(await send(conv, 'x', h));
	assert.equal((await items(conv)).length, 1);
});

test('it is looked up before preconditions', async () => {
	const conv = await create();
	const v = (await it.req('GET', `/conversations/${conv}`)).headers.etag;
	const h = { 'idempotency-key': fresh(), 'if-match': v };
	const one = await send(conv, 'x', h);
	ok(one);
	sameOutcome(one, await send(conv, 'x', h));
	refused(await send(conv, 'y', { 'if-match': v }), 412);
});

test('keys that are malformed are refused', async () => {
	const conv = await create();
	for (const key of ['', ' ', 'x'.repeat(256), 'a\tb', '\u00e9'])
		refused(await send(conv, 'x', { 'idempotency-key': key }), 400);
	for (const key of ['x', 'x'.repeat(255), '~!@#$%^&*()"\\', 'a b'])
		ok(await send(conv, 'x', { 'idempotency-key': key }));
	assert.equal((await items(conv)).length, 4);
});

test('retries that arrive while the first is pending wait with it', async () => {
	for (let round = 0; round < 20; round++) {
		const conv = await create();
		const h = { 'idempotency-key': fresh() };
		const all = await Promise.all(Array.from({ length: 10 }, () =>
		    send(conv, `r${round}`, h)));
		const done = all.filter((r) => r.status === 200);
		for (const r of all)
			if (r.status !== 200)
				refused(r, 409);
		assert.ok(done.length >= 1);
		for (const r of done)
			assert.deepEqual(r.json, done[0].json);
		assert.equal((await items(conv)).length, 1);
	}
});

test('outcomes survive kill -9, and a clean restart', async () => {
	const conv = await create();
	const h = { 'idempotency-key': fresh() };
	const hc = { 'idempotency-key': fresh() };
	const hd = { 'idempotency-key': fresh() };
	const one = await send(conv, 'x', h);
	const made = await it.req('POST', '/conversations', { headers: hc,
		body: { title: 'kept' } });
	const doomed = await create({ items: [user('z')] });
	const gone = await it.req('DELETE', `/conversations/${doomed}`,
	    { headers: hd });
	for (const end of [() => it.kill9(), () => it.term(), () => it.kill9()]) {
		await end();
		await it.restart();
		sameOutcome(one, await send(conv, 'x', h));
		refused(await send(conv, 'y', h), 422);
		sameOutcome(made, await it.req('POST', '/conversations',
		    { headers: hc, body: { title: 'kept' } }));
		sameOutcome(gone, await it.req('DELETE',
		    `/conversations/${doomed}`, { headers: hd }));
		refused(await it.req('GET', `/conversations/${doomed}`), 404);
		assert.equal((await items(conv)).length, 1);
		ok(await send(conv, 'between', { 'idempotency-key': fresh() }));
		ok(await it.req('DELETE', `/conversations/${conv}/items/` +
		    (await items(conv))[1].id));
	}
});

test('a retry after an item of the first outcome was deleted adds nothing',
    async () => {
	const conv = await create();
	const h = { 'idempotency-key': fresh() };
	const body = { items: [user('a'), user('b')] };
	const one = ok(await it.req('POST', `/conversations/${conv}/items`,
	    { headers: h, body }));
	ok(await it.req('DELETE',
	    `/conversations/${conv}/items/${one.data[0].id}`));
	const two = ok(await it.req('POST', `/conversations/${conv}/items`,
	    { headers: h, body }));
	assert.deepEqual(two.data.map((i) => i.id), [one.data[1].id]);
	assert.equal((await items(conv)).length, 1);
});

/* --- clients that only count ---------------------------------------------- */

const retry = (k) => ({ 'x-stainless-retry-count': String(k) });

test('a counted retry of the newest change gets its outcome', async () => {
	const conv = await create();
	const one = await send(conv, 'x', retry(0));
	ok(one);
	sameOutcome(one, await send(conv, 'x', retry(1)));
	assert.equal((await items(conv)).length, 1);
	const first = await send(conv, 'y');		/* no count at all */
	sameOutcome(first, await send(conv, 'y', retry(1)));
	assert.equal((await items(conv)).length, 2);
});

test('without a count above 0 the same body is a new change', async () => {
	const conv = await create();
	ok(await send(conv, 'x', retry(0)));
	ok(await send(conv, 'x', retry(0)));
	ok(await send(conv, 'x'));
	assert.equal((await items(conv)).length, 3);
});

test('a retry that is the first to arrive is done', async () => {
	const conv = await create();
	ok(await send(conv, 'x', retry(1)));
	assert.equal((await items(conv)).length, 1);
	/* (b): an equal count is no retry of it. */
	ok(await send(conv, 'x', retry(1)));
	assert.equal((await items(conv)).length, 2);
	ok(await send(conv, 'x', retry(2)));
	assert.equal((await items(conv)).length, 2);
});

test('(a) only the newest change of the credential counts', async () => {
	const conv = await create();
	ok(await send(conv, 'x', retry(0)));
	ok(await send(conv, 'y', retry(0)));
	ok(await send(conv, 'x', retry(1)));
	assert.deepEqual((await items(conv)).map(text), ['x', 'y', 'x']);
	/* Another credential's change between does not matter. */
	const other = it.addKey(it.tenant).key;
	const conv2 = await create();
	ok(await send(conv2, 'x', retry(0)));
	ok(await send(conv2, 'z', retry(0), { key: other }));
	ok(await send(conv2, 'x', retry(1)));
	assert.deepEqual((await items(conv2)).map(text), ['x', 'z']);
	/* And its retry is not ours. */
	ok(await send(conv2, 'x', retry(1), { key: other }));
	assert.equal((await items(conv2)).length, 3);
});

test('another body or path is no retry', async () => {
	const a = await create();
	const b = await create();
	ok(await send(a, 'x', retry(0)));
	ok(await send(a, 'X', retry(1)));
	ok(await send(b, 'x', retry(1)));
	assert.equal((await items(a)).length, 2);
	assert.equal((await items(b)).length, 1);
});

test('never for creating a conversation', async () => {
	const one = ok(await it.req('POST', '/conversations', { body: {},
		headers: retry(0) }));
	const two = ok(await it.req('POST', '/conversations', { body: {},
		headers: retry(1) }));
	assert.notEqual(one.id, two.id);
});

test('a counted retry survives kill -9: the hash is in the journal',
    async () => {
	const conv = await create();
	const one = await send(conv, 'x', retry(0));
	ok(one);
	await it.kill9();
	await it.restart();
	sameOutcome(one, await send(conv, 'x', retry(1)));
	assert.equal((await items(conv)).length, 1);
	await it.term();
	await it.restart();
	sameOutcome(one, await send(conv, 'x', retry(2)));
	assert.equal((await items(conv)).length, 1);
});

test('odd counts do no harm', async () => {
	const conv = await create();
	for (const k of ['-1', 'x', '', '99999999999999999999', '1.5'])
		ok(await send(conv, `c${k}`, { 'x-stainless-retry-count': k }));
	assert.equal((await items(conv)).length, 5);
});

test('an unmodified client whose reply is lost stores once', async () => {
	const conv = await create();
	let calls = 0;
	const c = it.client({ maxRetries: 2, fetch: async (url, init) => {
		const r = await fetch(url, init);
		if (init.method === 'POST' && calls++ === 0) {
			await r.arrayBuffer();
			throw new TypeError('the reply was lost');
		}
		return (r);
	} });
	const made = await c.conversations.items.create(conv,
	    { items: [user('precious')] });
	assert.equal(calls, 2);
	assert.deepEqual((await items(conv)).map((i) => i.id),
	    made.data.map((i) => i.id));
	assert.equal((await items(conv)).length, 1);
});
