/**
 * The official client, unmodified, behind a real nginx: what it calls works
 * as it does against the original.
 */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { OpenAIConversationsSession, setTracingDisabled } from '@openai/agents';
import { suite, user, text, parallel } from './harness.mjs';

const { test, it } = suite();
setTracingDisabled(true);

async function rejects(promise, Class, status, more = {})
{
	let error;
	try {
		await promise;
	} catch (e) {
		error = e;
	}
	assert.ok(error !== undefined, 'no error was thrown');
	assert.ok(error instanceof OpenAI.APIError, String(error));
	assert.equal(error.constructor, Class, `${error}`);
	assert.equal(error.status, status);
	assert.match(error.requestID ?? '', /./, 'requestID');
	for (const [k, v] of Object.entries(more))
		assert.deepEqual(error[k], v, k);
	return (error);
}

test('a conversation is created, read, updated and deleted', async () => {
	const c = it.client();
	const before = Math.floor(Date.now() / 1000);
	const made = await c.conversations.create({
		metadata: { topic: 'demo' },
		items: [user('Hello!')],
	});
	assert.match(made.id, /^conv_[0-9a-f]{48}$/);
	assert.equal(made.object, 'conversation');
	assert.ok(Number.isInteger(made.created_at));
	assert.ok(made.created_at >= before - 1 && made.created_at <= before + 60);
	assert.deepEqual(made.metadata, { topic: 'demo' });
	assert.match(made._request_id, /./);

	const read = await c.conversations.retrieve(made.id);
	assert.deepEqual({ ...read, _request_id: 0 }, { ...made, _request_id: 0 });

	const updated = await c.conversations.update(made.id,
	    { metadata: { other: 'x' } });
	assert.deepEqual(updated.metadata, { other: 'x' }, 'POST replaces');
	assert.equal(updated.created_at, made.created_at);
	const emptied = await c.conversations.update(made.id, { metadata: null });
	assert.deepEqual(emptied.metadata, {});

	const gone = await c.conversations.delete(made.id);
	assert.equal(gone.id, made.id);
	assert.equal(gone.object, 'conversation.deleted');
	assert.equal(gone.deleted, true);
	await rejects(c.conversations.retrieve(made.id), OpenAI.NotFoundError, 404,
	    { code: null, param: null, type: 'invalid_request_error' });
	await rejects(c.conversations.delete(made.id), OpenAI.NotFoundError, 404);
});

test('create takes no argument, {}, null and an empty list of items', async () => {
	const c = it.client();
	for (const conv of [await c.conversations.create(),
	    await c.conversations.create({}), await c.conversations.create(null),
	    await c.conversations.create({ items: [] }),
	    await c.conversations.create({ items: null, metadata: null })]) {
		assert.match(conv.id, /^conv_/);
		assert.deepEqual(conv.metadata, {});
		const page = await c.conversations.items.list(conv.id);
		assert.deepEqual(page.data, []);
		assert.equal(page.has_more, false);
		assert.equal(page.last_id, '');
	}
});

test('create with up to 20 items stores them in order', async () => {
	const c = it.client();
	const conv = await c.conversations.create({ items:
	    Array.from({ length: 20 }, (_, i) => user(`m${i}`)) });
	const page = await c.conversations.items.list(conv.id,
	    { order: 'asc', limit: 100 });
	assert.deepEqual(page.data.map(text),
	    Array.from({ length: 20 }, (_, i) => `m${i}`));
});

test('items are created, listed, retrieved and deleted', async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	const made = await c.conversations.items.create(conv.id, { items: [
		user('one'),
		{ role: 'assistant', content: 'two' },
		{ type: 'function_call', call_id: 'call_1', name: 'f',
			arguments: '{"a": 1}' },
		{ type: 'function_call_output', call_id: 'call_1', output: '' },
	] });
	assert.equal(made.object, 'list');
	assert.equal(made.has_more, false);
	assert.equal(made.data.length, 4);
	assert.equal(made.first_id, made.data[0].id);
	assert.equal(made.last_id, made.data[3].id);
	assert.match(made.data[0].id, /^msg_[0-9a-f]{48}$/);
	assert.match(made.data[2].id, /^fc_[0-9a-f]{48}$/);
	assert.deepEqual(made.data.map((i) => i.status),
	    Array(4).fill('completed'));
	assert.deepEqual(made.data[0].content,
	    [{ type: 'input_text', text: 'one' }]);
	assert.deepEqual(made.data[1].content, [{ type: 'output_text',
		text: 'two', annotations: [], logprobs: [] }]);
	assert.equal(made.data[1].type, 'message');
	assert.equal(new Set(made.data.map((i) => i.id)).size, 4);

	const listed = await c.conversations.items.list(conv.id,
	    { order: 'asc' });
	assert.deepEqual(listed.data, made.data);
	const newest = await c.conversations.items.list(conv.id);
	assert.deepEqual(newest.data, made.data.toReversed(),
	    'the default order is desc');

	const one = await c.conversations.items.retrieve(made.data[2].id,
	    { conversation_id: conv.id });
	assert.deepEqual({ ...one, _request_id: 0 },
	    { ...made.data[2], _request_id: 0 });

	const after = await c.conversations.items.delete(made.data[1].id,
	    { conversation_id: conv.id });
	assert.equal(after.id, conv.id);
	assert.equal(after.object, 'conversation');
	await rejects(c.conversations.items.retrieve(made.data[1].id,
	    { conversation_id: conv.id }), OpenAI.NotFoundError, 404);
	await rejects(c.conversations.items.delete(made.data[1].id,
	    { conversation_id: conv.id }), OpenAI.NotFoundError, 404);
	const left = await c.conversations.items.list(conv.id, { order: 'asc' });
	assert.deepEqual(left.data.map((i) => i.id),
	    [made.data[0].id, made.data[2].id, made.data[3].id]);
});

test('an item is found only in its own conversation', async () => {
	const c = it.client();
	const a = await c.conversations.create({ items: [user('a')] });
	const b = await c.conversations.create({ items: [user('b')] });
	const item = (await c.conversations.items.list(a.id)).data[0];
	await rejects(c.conversations.items.retrieve(item.id,
	    { conversation_id: b.id }), OpenAI.NotFoundError, 404);
	await rejects(c.conversations.items.delete(item.id,
	    { conversation_id: b.id }), OpenAI.NotFoundError, 404);
	assert.equal((await c.conversations.items.list(a.id)).data.length, 1);
});

test('250 items are paged through in both orders while others append',
    async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	const want = [];
	for (let i = 0; i < 250; i += 50) {
		const made = await c.conversations.items.create(conv.id, { items:
		    Array.from({ length: 50 }, (_, k) => user(`n${i + k}`)) });
		want.push(...made.data.map((x) => x.id));
	}
	for (const [order, limit] of [['asc', undefined], ['desc', undefined],
	    ['asc', 7], ['desc', 7], ['asc', 100], ['desc', 250],
	    ['desc', 249]]) {
		const ids = [];
		for await (const item of c.conversations.items.list(conv.id,
		    { order, limit }))
			ids.push(item.id);
		assert.deepEqual(ids, order === 'asc' ? want : want.toReversed(),
		    `${order} ${limit}`);
	}
	let busy = true;
	let added = 0;
	const noise = (async () => {
		while (busy) {
			await c.conversations.items.create(conv.id,
			    { items: [user(`late${added++}`)] });
		}
	})();
	for (const order of ['desc', 'asc']) {
		const ids = [];
		for await (const item of c.conversations.items.list(conv.id,
		    { order, limit: 10 })) {
			ids.push(item.id);
			if (ids.length >= 450)
				break;
		}
		const known = new Set(want);
		const old = ids.filter((id) => known.has(id));
		assert.deepEqual(old, order === 'asc' ? want :
		    want.toReversed(), `${order} while others append`);
		assert.equal(new Set(ids).size, ids.length, 'none twice');
	}
	busy = false;
	await noise;
	assert.ok(added > 0);
}, { timeout: 120_000 });

test('a walk goes on when items of it are deleted', async () => {
	const c = it.client();
	const conv = await c.conversations.create({ items:
	    Array.from({ length: 20 }, (_, i) => user(`d${i}`)) });
	const all = (await c.conversations.items.list(conv.id,
	    { order: 'asc' })).data.map((i) => i.id);
	const first = await c.conversations.items.list(conv.id,
	    { order: 'asc', limit: 5 });
	await c.conversations.items.delete(all[0], { conversation_id: conv.id });
	await c.conversations.items.delete(all[7], { conversation_id: conv.id });
	const second = await first.getNextPage();
	assert.deepEqual(second.data.map((i) => i.id),
	    [all[5], all[6], all[8], all[9], all[10]]);
});

test('errors have the classes the client knows', async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	await rejects(c.conversations.items.create(conv.id, { items: [] }),
	    OpenAI.BadRequestError, 400, { code: 'empty_array', param: 'items' });
	await rejects(c.conversations.items.create(conv.id,
	    { items: [{ type: 'message', role: 'pirate', content: 'x' }] }),
	    OpenAI.BadRequestError, 400, { param: 'items[0].role' });
	await rejects(c.conversations.items.list(conv.id, { limit: 5000 }),
	    OpenAI.BadRequestError, 400,
	    { code: 'integer_above_max_value', param: 'limit' });
	await rejects(it.client({ key: 'nonsense' }).conversations.create(),
	    OpenAI.AuthenticationError, 401, { code: 'invalid_api_key' });
	const e = await rejects(c.conversations.retrieve('conv_nonexistent123'),
	    OpenAI.NotFoundError, 404);
	assert.equal(e.message,
	    "404 Conversation with id 'conv_nonexistent123' not found.");
	await rejects(c.post(`/conversations/${conv.id}/items`,
	    { body: { items: [user('a')] }, headers:
	    { 'If-Match': '"999999"' } }), OpenAI.APIError, 412);
	await rejects(c.put(`/conversations/${conv.id}`, { body: {} }),
	    OpenAI.APIError, 405);
	const once = { headers: { 'Idempotency-Key': 'client-422' } };
	await c.conversations.items.create(conv.id, { items: [user('a')] }, once);
	await rejects(c.conversations.items.create(conv.id,
	    { items: [user('b')] }, once), OpenAI.UnprocessableEntityError, 422);
	await rejects(c.conversations.create({ items:
	    [user('x'.repeat(33 << 20))] }), OpenAI.APIError, 413,
	    { code: 'request_too_large' });
	assert.equal((await c.conversations.items.list(conv.id)).data.length, 1);
});

test('50 parallel appends: whole batches, none between', async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	const acks = [];
	await Promise.all(Array.from({ length: 50 }, async (_, n) => {
		const size = 1 + n % 7;
		const sent = performance.now();
		const made = await c.conversations.items.create(conv.id, { items:
		    Array.from({ length: size }, (_, k) => user(`${n}/${k}`)) });
		acks.push({ n, sent, acked: performance.now(),
		    ids: made.data.map((i) => i.id) });
		assert.deepEqual(made.data.map(text),
		    Array.from({ length: size }, (_, k) => `${n}/${k}`));
	}));
	const stored = [];
	for await (const item of c.conversations.items.list(conv.id,
	    { order: 'asc', limit: 1000 }))
		stored.push(item.id);
	assert.equal(stored.length, acks.reduce((s, a) => s + a.ids.length, 0));
	const place = new Map(stored.map((id, i) => [id, i]));
	for (const a of acks)
		a.ids.forEach((id, k) => assert.equal(place.get(id),
		    place.get(a.ids[0]) + k, `batch ${a.n} is contiguous`));
	acks.sort((a, b) => place.get(a.ids[0]) - place.get(b.ids[0]));
	let latest = 0;
	for (const a of acks) {
		assert.ok(a.acked >= latest, 'acknowledged before the other ' +
		    'was sent, yet stored behind it');
		latest = Math.max(latest, a.sent);
	}
});

test('200 parallel creates have 200 ids', async () => {
	const c = it.client();
	const made = await parallel(50, Array.from({ length: 200 }, (_, i) =>
	    () => c.conversations.create({ metadata: { n: String(i) } })));
	assert.equal(new Set(made.map((m) => m.id)).size, 200);
	for (const [i, m] of made.entries())
		assert.equal(m.metadata.n, String(i));
});

test('1 MB in one field, several in one list', async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	const big = Array.from({ length: 5 }, (_, i) =>
	    `${i}é\u{1F600}\n`.repeat(1 << 17) + i);
	for (const b of big)
		await c.conversations.items.create(conv.id, { items: [user(b)] });
	await c.conversations.items.create(conv.id, { items: [
		{ type: 'function_call', call_id: 'c', name: 'f', arguments: big[0] },
		{ type: 'function_call_output', call_id: 'c', output: big[1] }] });
	const page = await c.conversations.items.list(conv.id, { order: 'asc' });
	assert.equal(page.data.length, 7);
	for (const [i, b] of big.entries())
		assert.ok(text(page.data[i]) === b, `item ${i} came back`);
	assert.ok(page.data[5].arguments === big[0]);
	assert.ok(page.data[6].output === big[1]);
}, { timeout: 120_000 });

test('a base URL that ends in / works', async () => {
	const c = new OpenAI({ apiKey: it.key, baseURL: it.base + '/',
	    maxRetries: 0 });
	const conv = await c.conversations.create();
	assert.equal((await c.conversations.retrieve(conv.id)).id, conv.id);
});

test('metadata: every edge of its limits, by code points', async () => {
	const c = it.client();
	const many = (n) => Object.fromEntries(
	    Array.from({ length: n }, (_, i) => [`k${i}`, `v${i}`]));
	const good = [many(16), { ['k'.repeat(64)]: 'v' }, { k: 'v'.repeat(512) },
		{ k: 'é'.repeat(512) }, { ['\u{1F600}'.repeat(64)]:
		    '\u{1F600}'.repeat(512) }, { k: '' }, { '': 'x' },
		{ k: '\u0000' }];
	for (const metadata of good) {
		const conv = await c.conversations.create({ metadata });
		assert.deepEqual(conv.metadata, metadata);
	}
	const conv = await c.conversations.create({ metadata: { stays: 'here' } });
	const bad = [
		[many(17), 'object_above_max_properties', 'metadata'],
		[{ ['k'.repeat(65)]: 'v' }, 'property_name_above_max_length'],
		[{ k: 'é'.repeat(513) }, 'string_above_max_length', 'metadata.k'],
		[{ k: 1 }, 'invalid_type', 'metadata.k'],
		[{ k: null }, 'invalid_type', 'metadata.k'],
		[{ k: {} }, 'invalid_type', 'metadata.k'],
		['x', 'invalid_type', 'metadata'],
		[[], 'invalid_type', 'metadata'],
		[7, 'invalid_type', 'metadata'],
	];
	for (const [metadata, code, param] of bad) {
		for (const p of [() => c.conversations.create({ metadata }),
		    () => c.conversations.update(conv.id, { metadata })]) {
			const e = await rejects(p(), OpenAI.BadRequestError, 400,
			    { code });
			assert.ok(e.param.startsWith('metadata'), e.param);
			if (param !== undefined)
				assert.equal(e.param, param);
		}
	}
	assert.match((await rejects(c.conversations.update(conv.id,
	    { metadata: many(17) }), OpenAI.BadRequestError, 400)).message,
	    /^400 Invalid 'metadata': too many properties\. Expected an object with at most 16 properties, but got an object with 17 properties instead\.$/);
	await rejects(c.conversations.update(conv.id, {}),
	    OpenAI.BadRequestError, 400, { code: 'missing_required_parameter',
		    param: 'metadata' });
	assert.deepEqual((await c.conversations.retrieve(conv.id)).metadata,
	    { stays: 'here' }, 'a refused call changes nothing');
});

test('include asks for times and positions, else nothing is added', async () => {
	const c = it.client();
	const conv = await c.conversations.create({ items: [user('a'), user('b')] });
	const plain = await c.conversations.items.list(conv.id);
	assert.deepEqual(Object.keys(plain.data[0]).sort(),
	    ['content', 'id', 'role', 'status', 'type']);
	const page = await c.conversations.items.list(conv.id,
	    { order: 'asc', include: ['created_at'] });
	for (const i of page.data) {
		assert.ok(Number.isInteger(i.created_at));
		assert.ok(Number.isInteger(i.created_at_ms));
		assert.equal(Math.floor(i.created_at_ms / 1000), i.created_at);
		assert.ok(Number.isInteger(i.position));
		assert.ok(Math.abs(i.created_at_ms - Date.now()) < 60_000);
	}
	assert.ok(page.data[0].position < page.data[1].position);
	const one = await c.conversations.items.retrieve(page.data[0].id,
	    { conversation_id: conv.id, include: ['created_at'] });
	assert.equal(one.position, page.data[0].position);
	const made = await c.conversations.items.create(conv.id,
	    { items: [user('c')], include: ['created_at'] });
	assert.ok(made.data[0].position > page.data[1].position);
	await c.conversations.items.list(conv.id, { include: [
		'file_search_call.results', 'reasoning.encrypted_content',
		'message.output_text.logprobs', 'code_interpreter_call.outputs',
		'web_search_call.action.sources', 'web_search_call.results',
		'message.input_image.image_url',
		'computer_call_output.output.image_url'] });
});

test('the agents SDK keeps its session here', async () => {
	const session = new OpenAIConversationsSession({ client: it.client() });
	assert.deepEqual(await session.getItems(), []);
	const run = [
		{ role: 'user', content: 'What is the weather?' },
		{ type: 'reasoning', id: 'rs_abc', content: [],
			rawContent: [{ type: 'reasoning_text', text: 'hm' }] },
		{ type: 'function_call', name: 'weather', callId: 'call_7',
			arguments: '{"city":"Oslo"}', status: 'completed' },
		{ type: 'function_call_result', name: 'weather', callId: 'call_7',
			status: 'completed', output: { type: 'text', text: 'rain' } },
		{ type: 'message', role: 'assistant', status: 'completed',
			content: [{ type: 'output_text', text: 'It rains.' }] },
	];
	await session.addItems(run);
	await session.addItems(Array.from({ length: 45 }, (_, i) =>
	    ({ role: 'user', content: `turn ${i}` })));
	const all = await session.getItems();
	assert.equal(all.length, 50);
	assert.equal(all[0].content[0].text, 'What is the weather?');
	assert.equal(all[1].id, 'rs_abc', 'reasoning keeps its id');
	assert.equal(all[2].callId, 'call_7');
	assert.equal(all[4].content[0].text, 'It rains.');
	const last = await session.getItems(3);
	assert.deepEqual(last.map((i) => i.content[0].text),
	    ['turn 42', 'turn 43', 'turn 44']);
	assert.equal((await session.popItem()).content[0].text, 'turn 44');
	assert.equal((await session.getItems()).length, 49);
	await session.clearSession();
	assert.deepEqual(await session.getItems(), []);
});
