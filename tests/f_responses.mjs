/**
 * POST /v1/responses of the built-in agent recall, without streaming: enough
 * for a client to have somebody to talk to.
 */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { suite, ok, refused, refusedJson, user, text } from './harness.mjs';

const { test, it } = suite();

async function create(body = {})
{
	return (ok(await it.req('POST', '/conversations', { body })).id);
}

const ask = (body, more) => it.req('POST', '/responses', { ...more,
    body: typeof body === 'string' ? body : { model: 'recall', ...body } });
const items = async (conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc&limit=1000`)).data;

function checkShape(r)
{
	assert.match(r.id, /^resp_[0-9a-f]{48}$/);
	assert.equal(r.object, 'response');
	assert.ok(Number.isInteger(r.created_at));
	assert.equal(r.status, 'completed');
	assert.equal(r.model, 'recall');
	assert.ok(Array.isArray(r.output) && r.output.length >= 1);
	const m = r.output.at(-1);
	assert.equal(m.type, 'message');
	assert.equal(m.role, 'assistant');
	assert.equal(m.status, 'completed');
	assert.match(m.id, /^msg_/);
	assert.equal(m.content[0].type, 'output_text');
	assert.ok(m.content[0].text.length > 0);
	assert.deepEqual(m.content[0].annotations, []);
	for (const [k, v] of Object.entries({ error: null,
		incomplete_details: null, parallel_tool_calls: true,
		temperature: 1, top_p: 1, tool_choice: 'auto', tools: [],
		metadata: {}, background: false, previous_response_id: null,
		max_output_tokens: null, truncation: 'disabled' }))
		assert.deepEqual(r[k], v, k);
	assert.deepEqual(r.text, { format: { type: 'text' } });
	assert.equal('output_text' in r, false);
	assert.ok('usage' in r && 'instructions' in r && 'store' in r);
}

test('the official client asks and is answered', async () => {
	const c = it.client();
	const conv = await c.conversations.create();
	const r = await c.responses.create({ model: 'recall',
		conversation: conv.id, input: 'My cat is called Miezi.' });
	assert.ok(r.output_text.length > 0);
	assert.equal(r.conversation.id, conv.id);
	const again = await c.responses.create({ model: 'recall',
		conversation: { id: conv.id }, input: 'What is my cat called?' });
	assert.match(again.output_text, /Miezi/,
	    'recall answers from the conversation');
	const got = await items(conv.id);
	assert.deepEqual(got.map((i) => i.role),
	    ['user', 'assistant', 'user', 'assistant']);
	assert.equal(text(got[0]), 'My cat is called Miezi.');
	assert.equal(got[1].id, r.output[0].id, 'stored are the response\'s own');
	assert.deepEqual(got[3], again.output[0]);
});

test('the response object in full', async () => {
	const conv = await create();
	const r = ok(await ask({ conversation: conv, input: 'Hello' }));
	checkShape(r);
	assert.deepEqual(r.conversation, { id: conv });
});

test('input as a list, with parts', async () => {
	const conv = await create();
	const r = ok(await ask({ conversation: conv, input: [user('one'),
		{ role: 'user', content: [{ type: 'input_text', text: 'two' }] }] }));
	checkShape(r);
	assert.deepEqual((await items(conv)).map((i) => i.role),
	    ['user', 'user', 'assistant']);
});

test('conversation and no input: the message was posted before', async () => {
	const conv = await create({ items: [user('The word is plum.')] });
	const r = ok(await ask({ conversation: conv }));
	checkShape(r);
	const got = await items(conv);
	assert.deepEqual(got.map((i) => i.role), ['user', 'assistant']);
	assert.equal(got[1].id, r.output[0].id);
});

test('without a conversation nothing is stored in one', async () => {
	const before = ok(await it.req('GET', '/conversations?limit=1000'))
	    .data.length;
	const r = ok(await ask({ input: 'Hello' }));
	checkShape(r);
	assert.ok(r.conversation === null || r.conversation === undefined);
	assert.equal(ok(await it.req('GET', '/conversations?limit=1000'))
	    .data.length, before);
});

test('instructions are used and never stored', async () => {
	const conv = await create();
	const r = ok(await ask({ conversation: conv, input: 'x',
		instructions: 'be brief, marker-instructions' }));
	assert.equal(r.instructions, 'be brief, marker-instructions');
	assert.ok(!JSON.stringify(await items(conv))
	    .includes('marker-instructions'));
});

test('fields that clients send are taken; null is absent', async () => {
	const conv = await create();
	ok(await ask({ conversation: conv, input: 'x', temperature: 0.5,
		top_p: null, tools: [], tool_choice: 'auto', include: [],
		metadata: { a: 'b' }, store: true, stream: false,
		background: false, parallel_tool_calls: true, truncation: null,
		user: 'u', text: { format: { type: 'text' } }, reasoning: null,
		max_output_tokens: 100, previous_response_id: null,
		service_tier: 'auto', prompt_cache_key: 'k',
		safety_identifier: 's' }));
	ok(await ask({ conversation: null, input: 'x', stream: null }));
});

test('what is refused, with nothing stored', async () => {
	const conv = await create({ items: [user('first')] });
	const no = async (body, status, want) => {
		refused(await ask(body), status, want);
	};
	await no({ conversation: conv, input: 'x', stream: true }, 400,
	    { param: 'stream' });
	await no({ model: undefined, conversation: conv, input: 'x' }, 400,
	    { param: 'model', code: 'missing_required_parameter' });
	await no({ model: 7, conversation: conv, input: 'x' }, 400,
	    { param: 'model' });
	const unknown = await ask({ model: 'gpt-9', conversation: conv,
		input: 'x' });
	refused(unknown, unknown.status === 404 ? 404 : 400, { param: 'model' });
	await no({ conversation: 'conv_unknown', input: 'x' }, 404,
	    { message: "Conversation with id 'conv_unknown' not found." });
	await no({ conversation: { id: 'conv_unknown' }, input: 'x' }, 404);
	await no({ conversation: 7, input: 'x' }, 400);
	await no({}, 400, {});
	await no({ conversation: conv, input: 7 }, 400, { param: /^input/ });
	await no({ conversation: conv, input: [7] }, 400, { param: /^input/ });
	await no({ conversation: conv, input: [{ role: 'pirate',
		content: 'x' }] }, 400, { param: 'input[0].role' });
	await no({ conversation: conv, previous_response_id: 'resp_x',
		input: 'x' }, 400, { code: 'mutually_exclusive_parameters',
		param: null });
	const previous = await ask({ previous_response_id: 'resp_x',
		input: 'x' });
	refused(previous, previous.status === 404 ? 404 : 400);
	await no({ conversation: conv, input: 'x', metadata: 'no' }, 400,
	    { param: 'metadata' });
	refusedJson(await ask('{'));
	refused(await ask('[]'), 400);
	refused(await it.req('GET', '/responses/resp_unknown'), 404);
	refused(await it.req('POST', '/responses/input_tokens', { body: {} }),
	    404);
	refused(await it.req('POST', '/responses/compact', { body: {} }), 404);
	assert.equal((await items(conv)).length, 1);
});

test('an Idempotency-Key answers with the same response', async () => {
	const conv = await create();
	const headers = { 'idempotency-key': `resp-${process.pid}` };
	const a = ok(await ask({ conversation: conv, input: 'x' }, { headers }));
	const b = ok(await ask({ conversation: conv, input: 'x' }, { headers }));
	assert.equal(b.id, a.id);
	assert.deepEqual(b.output, a.output);
	assert.equal((await items(conv)).length, 2);
	refused(await ask({ conversation: conv, input: 'y' }, { headers }), 422);
	await it.kill9();
	await it.restart();
	const c = ok(await ask({ conversation: conv, input: 'x' }, { headers }));
	assert.equal(c.id, a.id);
	assert.deepEqual(c.output, a.output);
	assert.equal((await items(conv)).length, 2);
});

test('parallel asks on one conversation: pairs stay together', async () => {
	const conv = await create();
	const all = await Promise.all(Array.from({ length: 12 }, (_, i) =>
	    ask({ conversation: conv, input: `q${i}` })));
	for (const r of all)
		ok(r);
	const got = await items(conv);
	assert.equal(got.length, 24);
	for (let i = 0; i < 24; i += 2) {
		const r = all.find((x) => x.json.output[0].id === got[i + 1].id);
		assert.ok(r !== undefined);
		assert.equal(text(got[i]), `q${all.indexOf(r)}`);
	}
});

test('recall answers odd conversations too', async () => {
	for (const list of [[], [user('')], [user('\u0000\u{1F600}')],
	    [{ type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' }],
	    [user('x'.repeat(300_000))], [{ type: 'x.y', v: 1 }]]) {
		const conv = await create({ items: list });
		checkShape(ok(await ask({ conversation: conv, input: 'hello?' })));
	}
});

test('recall quotes another tenant never', async () => {
	const mine = await create();
	const theirs = ok(await it.req('POST', '/conversations', { key: it.key2,
		body: { items: [user('The password is xyzzy-plugh.')] } })).id;
	const r = ok(await ask({ conversation: mine,
		input: 'What is the password?' }));
	assert.doesNotMatch(JSON.stringify(r.output), /xyzzy-plugh/);
	assert.ok(theirs !== mine);
});

test('a missing key and a wrong one, as the client sees them', async () => {
	await assert.rejects(it.client({ key: 'nope' }).responses.create(
	    { model: 'recall', input: 'x' }), OpenAI.AuthenticationError);
	await assert.rejects(it.client().responses.create(
	    { model: 'recall', input: 'x', conversation: 'conv_unknown' }),
	    OpenAI.NotFoundError);
});
