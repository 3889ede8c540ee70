/**
 * Requests nobody would send, some thousands of them: the answer is always an
 * answer, JSON, below 500, and what it refused changed nothing.  FUZZ_SEED
 * repeats a run.
 */
import assert from 'node:assert/strict';
import { suite, ok, refused, user, parallel } from './harness.mjs';

const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_007);
const rounds = Number(process.env.FUZZ_ROUNDS ?? 3000);
const { test, it } = suite();

/* A small generator of our own, so that a seed means the same everywhere. */
let state = seed >>> 0;
function random(n)
{
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return (Math.floor(state / 4294967296 * n));
}
const pick = (list) => list[random(list.length)];

const bodies = [
	{ items: [user('hello', { id: 'i1', status: 'completed' })] },
	{ items: [{ type: 'function_call', call_id: 'c', name: 'f',
		arguments: '{}' }, { type: 'reasoning', summary: [] }] },
	{ metadata: { a: 'b', title: 'é\u{1F600}' } },
	{ title: 'x', metadata: { a: null } },
	{ items: [{ type: 'x.y', v: [0.1, -0, 1e5, null, { a: [] }] }],
		metadata: null },
	{ model: 'recall', input: 'hi', conversation: 'conv_x', stream: false },
	{ model: 'recall', input: [user('a')], metadata: {} },
	{},
].map((b) => Buffer.from(JSON.stringify(b)));

const tokens = ['{', '}', '[', ']', ',', ':', '"', '\\', 'null', 'true', '1e999',
	'-', '0.', '\\u0000', '\\ud800', '\u0000', '\xff', '"items"', '"type"',
	'"role"', '"id"', '{}', '[[[[', '99999999999999999999', '"":""', '\n', ' ',
	'"message"', '"content"', '/*', "'"];

function mutate(bytes)
{
	let b = Buffer.from(bytes);
	for (let n = random(4); n >= 0; n--) {
		const at = random(b.length + 1);
		const token = Buffer.from(pick(tokens), 'latin1');
		switch (random(6)) {
		case 0:
			b = Buffer.concat([b.subarray(0, at), token,
				b.subarray(at)]);
			break;
		case 1:
			b = b.subarray(0, at);
			break;
		case 2:
			if (at < b.length)
				b[at] = random(256);
			break;
		case 3:
			b = Buffer.concat([b.subarray(0, at),
				b.subarray(Math.min(b.length, at + random(9)))]);
			break;
		case 4: {
			const from = random(b.length + 1);
			b = Buffer.concat([b.subarray(0, at),
				b.subarray(from, from + random(40)),
				b.subarray(at)]);
			break;
		}
		case 5:
			b = Buffer.concat([b, pick(bodies)]);
			break;
		}
	}
	return (b);
}

const segments = (conv) => ['conversations', conv, 'items', 'i1', 'responses',
	'models', '', '...', '%2F', '%00', '%', '%zz', '%C3%A9', '%FF',
	'x'.repeat(200), 'conv_', '~', ';', '@', ':', 'admin', 'v1'];
const queries = ['limit=', 'order=', 'after=', 'before=', 'sort=', 'include[]=',
	'include%5B%5D=', 'metadata[a]=', 'metadata[', 'user=', '&', '=', '&&', '?',
	'%', '+', '1', '-1', '1000', 'asc', 'created_at', 'i1', '%00', '%5B', 'x'];

function target(conv)
{
	let path;
	switch (random(5)) {
	case 0:
		path = '/conversations';
		break;
	case 1:
		path = `/conversations/${conv}`;
		break;
	case 2:
		path = `/conversations/${conv}/items`;
		break;
	case 3:
		path = '/responses';
		break;
	default:
		path = '';
		for (let n = random(5); n >= 0; n--)
			path += `/${pick(segments(conv))}`;
	}
	if (random(3) === 0) {
		path += '?';
		for (let n = random(6); n >= 0; n--)
			path += pick(queries);
	}
	return (path);
}

const headerNames = ['idempotency-key', 'if-match', 'if-none-match', 'origin',
	'x-stainless-retry-count', 'content-type', 'accept', 'range', 'expect-ct',
	'last-event-id', 'x-request-id', 'content-encoding'];
const headerValues = ['', '"1"', '*', 'W/"1"', '"', '1, 2', 'x'.repeat(300), '-1',
	'999999999999999999999', 'null', 'https://x.example', 'bytes=0-1',
	'application/json', 'text/html', 'gzip', '\t', 'é', '"1", "2"'];

test(`${rounds} odd requests (FUZZ_SEED=${seed})`, async () => {
	const conv = ok(await it.req('POST', '/conversations',
	    { body: { title: 'fuzzed' } })).id;
	const still = ok(await it.req('POST', '/conversations',
	    { body: { title: 'still', items: [user('untouched')] } }));
	const counts = {};
	const requests = Array.from({ length: rounds }, () => {
		const headers = {};
		for (let n = random(3); n > 0; n--)
			headers[pick(headerNames)] = pick(headerValues);
		return { method: pick(['POST', 'POST', 'POST', 'PATCH', 'GET', 'GET',
			'DELETE', 'HEAD', 'OPTIONS', 'PUT']), headers,
			target: target(conv), body: random(4) === 0 ? undefined :
			    mutate(pick(bodies)) };
	}).filter((r) => !(r.method === 'DELETE' &&
	    r.target.startsWith(`/conversations/${conv}`) &&
	    !r.target.includes('items')));
	await parallel(8, requests.map((q) => async () => {
		const what = `${q.method} ${q.target} ` +
		    `${JSON.stringify(q.headers)} ${q.body?.toString('latin1')}`;
		let r;
		try {
			r = await it.req(q.method, q.target, q);
		} catch (e) {
			if (e.code === 'ERR_INVALID_CHAR' ||
			    e.code === 'ERR_UNESCAPED_CHARACTERS')
				return;		/* Node would not send it */
			throw new Error(`${what}: ${e.message}`);
		}
		counts[r.status] = (counts[r.status] ?? 0) + 1;
		try {
			assert.ok(r.status < 500, `${r.status}`);
			assert.ok(r.id !== undefined, 'X-Request-Id');
			if (q.method !== 'HEAD' && r.status >= 400)
				refused(r, r.status);
			else if (r.status === 200 && q.method !== 'HEAD' &&
			    q.method !== 'OPTIONS')
				ok(r);
		} catch (e) {
			e.message = `${what}\n${e.message}`;
			throw e;
		}
	}));
	assert.ok(counts[200] > rounds / 100 && counts[400] > rounds / 20,
	    JSON.stringify(counts));
	const after = ok(await it.req('GET', `/conversations/${still.id}`));
	assert.deepEqual(after, still);
	/* All that came in stands the way over the disk. */
	const target_ = `/conversations/${conv}/items?limit=1000&order=asc`;
	const before = await it.req('GET', target_);
	await it.kill9();
	await it.restart();
	assert.equal((await it.req('GET', target_)).text, before.text);
	await it.term();
	await it.restart();
	assert.equal((await it.req('GET', target_)).text, before.text);
}, { timeout: 180_000 });
