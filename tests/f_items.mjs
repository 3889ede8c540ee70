/**
 * Items: every type comes back byte for byte, what is wrong is refused whole,
 * and text stays exactly what it was.  Requests are written by hand, for a
 * client that parses and prints JSON hides what these tests look for.
 */
import assert from 'node:assert/strict';
import { suite, ok, refused, refusedJson, user, text } from './harness.mjs';

const { test, it } = suite();

async function conversation(body = {})
{
	return (ok(await it.req('POST', '/conversations', { body })).id);
}

async function append(conv, items, more)
{
	return (it.req('POST', `/conversations/${conv}/items`, { ...more,
	    body: typeof items === 'string' ? `{"items":${items}}` : { items } }));
}

async function count(conv)
{
	return (ok(await it.req('GET',
	    `/conversations/${conv}/items?limit=1000`)).data.length);
}

/* One of each type of WIRE.md 5, with all its fields. */
const types = {
	message_user: { type: 'message', role: 'user', content: [
		{ type: 'input_text', text: 'hi', prompt_cache_breakpoint: true },
		{ type: 'input_image', image_url: 'https://x.example/a.png',
			detail: 'auto' },
		{ type: 'input_image', file_id: 'file_1', detail: 'low' },
		{ type: 'input_file', file_id: 'file_2', filename: 'a.pdf' },
		{ type: 'input_file', file_data: 'data:;base64,AA==',
			filename: 'b' },
		{ type: 'input_file', file_url: 'https://x.example/c' }] },
	message_system: { type: 'message', role: 'system', content: [
		{ type: 'input_text', text: 'be brief' }] },
	message_developer: { type: 'message', role: 'developer', content: [
		{ type: 'input_text', text: 'be kind' }] },
	message_assistant: { type: 'message', role: 'assistant',
		phase: 'final_answer', content: [
		{ type: 'output_text', text: 'yes', annotations: [
			{ type: 'url_citation', start_index: 0, end_index: 1,
				url: 'https://x.example', title: 't' }],
			logprobs: [{ token: 'yes', logprob: -0.25, bytes: [121],
				top_logprobs: [] }] },
		{ type: 'refusal', refusal: 'no' }] },
	message_text: { type: 'message', role: 'unknown', content: [
		{ type: 'text', text: 'plain' },
		{ type: 'summary_text', text: 's' },
		{ type: 'reasoning_text', text: 'r' },
		{ type: 'computer_screenshot', image_url: null, file_id: 'f' }] },
	message_critic: { type: 'message', role: 'critic', content: [] },
	message_discriminator: { type: 'message', role: 'discriminator',
		content: [] },
	message_tool: { type: 'message', role: 'tool', content: [] },
	function_call: { type: 'function_call', call_id: 'call_1', name: 'f',
		arguments: '{"a": 1,  "b":[ 1.0 ]}', namespace: 'n',
		caller: { type: 'program', id: 'p' }, created_by: 'me' },
	function_call_output: { type: 'function_call_output', call_id: 'call_1',
		output: '', caller: null, created_by: 'me' },
	function_call_output_parts: { type: 'function_call_output',
		call_id: 'call_2', output: [
		{ type: 'input_text', text: 'x' },
		{ type: 'input_image', image_url: 'u', detail: 'high' },
		{ type: 'input_file', file_id: 'f' }] },
	reasoning: { type: 'reasoning', summary: [
		{ type: 'summary_text', text: 'thought' }], content: [
		{ type: 'reasoning_text', text: 'long thought' }],
		encrypted_content: 'gAAAA' },
	reasoning_empty: { type: 'reasoning', id: 'rs_kept', summary: [] },
	custom_tool_call: { type: 'custom_tool_call', call_id: 'c3', name: 'n',
		input: 'free text' },
	custom_tool_call_output: { type: 'custom_tool_call_output',
		call_id: 'c3', output: 'done' },
	web_search_call: { type: 'web_search_call', action: { type: 'search',
		query: 'q', sources: [{ type: 'url', url: 'u' }] } },
	web_search_call_open: { type: 'web_search_call', status: 'failed',
		action: { type: 'open_page', url: 'u' } },
	web_search_call_find: { type: 'web_search_call',
		action: { type: 'find_in_page', url: 'u', pattern: 'p' } },
	file_search_call: { type: 'file_search_call', queries: ['a', 'b'],
		results: [{ file_id: 'f', score: 0.5, text: 't',
			attributes: { k: 'v' } }] },
	code_interpreter_call: { type: 'code_interpreter_call', code: 'print(1)',
		container_id: 'cntr_1', outputs: [{ type: 'logs', logs: '1\n' }] },
	code_interpreter_call_null: { type: 'code_interpreter_call', code: null,
		container_id: 'cntr_1', outputs: null },
	image_generation_call: { type: 'image_generation_call', result: 'AAAA' },
	image_generation_call_null: { type: 'image_generation_call',
		status: 'generating', result: null },
	computer_call: { type: 'computer_call', call_id: 'c4',
		pending_safety_checks: [{ id: 's', code: 'c', message: 'm' }],
		action: { type: 'click', button: 'left', x: 1, y: 2 } },
	computer_call_output: { type: 'computer_call_output', call_id: 'c4',
		output: { type: 'computer_screenshot', image_url: 'u' },
		acknowledged_safety_checks: [] },
	local_shell_call: { type: 'local_shell_call', call_id: 'c5',
		action: { type: 'exec', command: ['ls', '-l'], env: { A: 'b' },
			timeout_ms: 1000, user: null, working_directory: null } },
	local_shell_call_output: { type: 'local_shell_call_output', id: 'lso_1',
		output: '{}' },
	shell_call: { type: 'shell_call', call_id: 'c6', action: { commands:
		['ls'], timeout_ms: null, max_output_length: 100 },
		environment: null },
	shell_call_output: { type: 'shell_call_output', call_id: 'c6', output:
		[{ stdout: 'a', stderr: '', outcome: { type: 'exit',
			exit_code: 0 } }], max_output_length: null },
	apply_patch_call: { type: 'apply_patch_call', call_id: 'c7', operation:
		{ type: 'update_file', path: 'a', diff: '@@' },
		status: 'completed' },
	apply_patch_call_output: { type: 'apply_patch_call_output',
		call_id: 'c7', status: 'failed', output: 'why' },
	mcp_list_tools: { type: 'mcp_list_tools', server_label: 's', tools: [
		{ name: 't', input_schema: { type: 'object' }, description: null,
			annotations: null }], error: null },
	mcp_approval_request: { type: 'mcp_approval_request', arguments: '{}',
		name: 'n', server_label: 's' },
	mcp_approval_response: { type: 'mcp_approval_response',
		approval_request_id: 'a', approve: false, reason: 'no' },
	mcp_call: { type: 'mcp_call', arguments: '{}', name: 'n',
		server_label: 's', output: null, error: 'e',
		approval_request_id: null },
	tool_search_call: { type: 'tool_search_call', arguments: { q: 1 },
		execution: 'client', call_id: null },
	tool_search_output: { type: 'tool_search_output', tools: [],
		execution: 'server', call_id: 'x' },
	additional_tools: { type: 'additional_tools', role: 'developer',
		tools: [{ type: 'function', name: 'f', parameters: {},
			strict: true }] },
	program: { type: 'program', call_id: 'c8', code: 'x',
		fingerprint: 'fp' },
	program_output: { type: 'program_output', call_id: 'c8', result: 'r',
		status: 'completed' },
	compaction: { type: 'compaction', encrypted_content: 'gAA',
		created_by: 'x' },
};

for (const [name, item] of Object.entries(types)) {
	test(`${name} comes back as it went in`, async () => {
		const conv = await conversation();
		const made = ok(await append(conv, [item])).data[0];
		assert.equal(typeof made.id, 'string');
		assert.ok(made.id.length > 0);
		const { id, status, ...rest } = made;
		const { id: id0, status: status0, ...want } = item;
		assert.deepEqual(rest, want);
		if (id0 !== undefined)
			assert.equal(id, id0);
		if (status0 !== undefined)
			assert.equal(status, status0);
		const read = await it.req('GET',
		    `/conversations/${conv}/items/${id}`);
		assert.deepEqual(ok(read), made);
		/* Bytes: each field of ours stands in the reply as we wrote it. */
		for (const [k, v] of Object.entries(item))
			assert.ok(read.text.includes(`${JSON.stringify(k)}:` +
			    JSON.stringify(v)), `${k} as sent`);
		const listed = ok(await it.req('GET',
		    `/conversations/${conv}/items`));
		assert.deepEqual(listed.data, [made]);
	});
}

test('all types in one batch keep their order', async () => {
	const conv = await conversation();
	const items = Object.values(types);
	const made = ok(await append(conv, items));
	assert.deepEqual(made.data.map((i) => i.type), items.map((i) => i.type));
	const list = ok(await it.req('GET',
	    `/conversations/${conv}/items?order=asc&limit=100`));
	assert.deepEqual(list.data, made.data);
});

test('status is filled in where the type has one, and kept where sent',
    async () => {
	const conv = await conversation();
	const made = ok(await append(conv, [
		user('a'), { role: 'user', content: 'b', status: 'incomplete' },
		{ role: 'assistant', content: 'c', status: 'in_progress' },
		types.function_call, types.function_call_output,
		types.mcp_approval_request,
	])).data;
	assert.deepEqual(made.map((i) => i.status), ['completed', 'incomplete',
	    'in_progress', 'completed', 'completed', undefined]);
});

test('string content gets its normal form by role', async () => {
	const conv = await conversation();
	for (const role of ['user', 'system', 'developer']) {
		const i = ok(await append(conv, [{ role, content: `I ${role}` }]))
		    .data[0];
		assert.deepEqual(i.content,
		    [{ type: 'input_text', text: `I ${role}` }]);
		assert.equal(i.type, 'message');
	}
	const a = ok(await append(conv, [{ role: 'assistant', content: '' }]))
	    .data[0];
	assert.deepEqual(a.content, [{ type: 'output_text', text: '',
		annotations: [], logprobs: [] }]);
});

test('numbers, nulls, key order and unknown fields are bytes', async () => {
	const conv = await conversation();
	const inner = '"z":0.1,"a":1.0,"m":-0,"e":1e2,"E":1E+2,"t":0.10,' +
	    '"big":9007199254740993,"neg":-9223372036854775808,' +
	    '"tiny":2.5e-300,"n":null,"f":false,"o":{"y":1,"x":{}},"l":[[],[null]],' +
	    '"pi":3.141592653589793238462643383279';
	for (const type of ['message', 'com.example:thing-1', 'x_y.z', 'a',
	    'z'.repeat(64)]) {
		const head = type === 'message' ?
		    '"type":"message","role":"user","content":[]' :
		    `"type":"${type}"`;
		const r = await append(conv, `[{${head},${inner}}]`);
		const id = ok(r).data[0].id;
		assert.ok(r.text.includes(inner), r.text);
		const read = await it.req('GET',
		    `/conversations/${conv}/items/${id}`);
		assert.ok(read.text.includes(inner), read.text);
		const list = await it.req('GET',
		    `/conversations/${conv}/items?limit=1`);
		assert.ok(list.text.includes(inner), list.text);
	}
});

test('white space between tokens goes, inside strings it stays', async () => {
	const conv = await conversation();
	const r = await append(conv, '[ {\n\t"type" : "x.y" ,\r\n "v" : ' +
	    '[ 1 , "a  b\\n" , { } ] } ]');
	assert.ok(ok(r) && r.text.includes('"v":[1,"a  b\\n",{}]'), r.text);
});

test('a number jansson cannot hold is 400 invalid_value', async () => {
	const conv = await conversation();
	const refuse = async (n) => {
		const r = await append(conv, `[{"type":"x.y","v":[${n}]}]`);
		refused(r, 400, { code: 'invalid_value' });
	};
	for (const n of ['1e400', '-1e400', '1.5e309'])
		await refuse(n);
	for (const n of ['12345678901234567890', '-12345678901234567890',
	    '18446744073709551616']) {
		const r = await append(conv, `[{"type":"x.y","v":[${n}]}]`);
		if (r.status === 400)
			refused(r, 400, { code: 'invalid_value' });
		else
			assert.ok(ok(r) && r.text.includes(`"v":[${n}]`), r.text);
	}
});

test('unknown types are stored when well-formed, else refused', async () => {
	const conv = await conversation();
	ok(await append(conv, [{ type: 'future.thing', anything: [1, { a: null }] }]));
	for (const type of ['', 'Upper', '1abc', 'a b', 'é', '_a', '-a', '.a',
	    'a/b', 'z'.repeat(65), 'a\u0000'])
		refused(await append(conv, [{ type }]), 400,
		    { param: 'items[0].type' });
	for (const type of [1, null, {}, [], true])
		refused(await append(conv, [{ type }]), 400,
		    { param: 'items[0].type' });
	assert.equal(await count(conv), 1);
});

/* [what is wrong, the item, param, code (where it is plain)] */
const wrong = [
	['not an object', 7, 'items[1]', 'invalid_type'],
	['null', null, 'items[1]', 'invalid_type'],
	['a string', 'x', 'items[1]', 'invalid_type'],
	['a list', [], 'items[1]', 'invalid_type'],
	['neither type nor role', {}, /^items\[1\]/],
	['message without content', { type: 'message', role: 'user' },
		'items[1].content', 'missing_required_parameter'],
	['content a number', { role: 'user', content: 5 }, 'items[1].content',
		'invalid_type'],
	['content null', { role: 'user', content: null }, 'items[1].content'],
	['content an object', { role: 'user', content: {} },
		'items[1].content', 'invalid_type'],
	['a part that is no object', { role: 'user', content: ['x'] },
		'items[1].content[0]', 'invalid_type'],
	['a part without type', { role: 'user', content: [{ text: 'x' }] },
		/^items\[1\]\.content\[0\]/],
	['a part without text', { role: 'user', content:
		[{ type: 'input_text' }] }, 'items[1].content[0].text',
		'missing_required_parameter'],
	['a text part whose text is a number', { role: 'user', content:
		[{ type: 'input_text', text: 1 }] }, 'items[1].content[0].text',
		'invalid_type'],
	['unknown role', { role: 'pirate', content: 'x' }, 'items[1].role',
		'invalid_value'],
	['role a number', { role: 1, content: 'x' }, 'items[1].role',
		'invalid_type'],
	['message without role', { type: 'message', content: 'x' },
		'items[1].role', 'missing_required_parameter'],
	['function_call without call_id', { type: 'function_call', name: 'f',
		arguments: '{}' }, 'items[1].call_id',
		'missing_required_parameter'],
	['function_call without name', { type: 'function_call', call_id: 'c',
		arguments: '{}' }, 'items[1].name', 'missing_required_parameter'],
	['function_call without arguments', { type: 'function_call',
		call_id: 'c', name: 'f' }, 'items[1].arguments',
		'missing_required_parameter'],
	['function_call with arguments an object', { type: 'function_call',
		call_id: 'c', name: 'f', arguments: {} }, 'items[1].arguments',
		'invalid_type'],
	['function_call_output without call_id',
		{ type: 'function_call_output', output: '' }, 'items[1].call_id',
		'missing_required_parameter'],
	['function_call_output without output',
		{ type: 'function_call_output', call_id: 'c' }, 'items[1].output',
		'missing_required_parameter'],
	['function_call_output with output a number',
		{ type: 'function_call_output', call_id: 'c', output: 3 },
		'items[1].output', 'invalid_type'],
	['reasoning without summary', { type: 'reasoning', id: 'rs_1' },
		'items[1].summary', 'missing_required_parameter'],
	['an unknown status', { role: 'user', content: 'x', status: 'maybe' },
		'items[1].status', 'invalid_value'],
	['an id that is a number', { role: 'user', content: 'x', id: 5 },
		'items[1].id', 'invalid_type'],
	['a malformed id', { role: 'user', content: 'x', id: 'a b' },
		'items[1].id', 'invalid_value'],
	['an empty id', { role: 'user', content: 'x', id: '' }, 'items[1].id'],
	['an id of 65 characters', { role: 'user', content: 'x',
		id: 'x'.repeat(65) }, 'items[1].id'],
];

for (const [what, item, param, code] of wrong) {
	test(`refused whole: ${what}`, async () => {
		const conv = await conversation();
		const before = ok(await it.req('GET', `/conversations/${conv}`));
		refused(await append(conv, [user('good'), item, user('too')]), 400,
		    { param, code, type: 'invalid_request_error' });
		assert.equal(await count(conv), 0);
		assert.deepEqual(ok(await it.req('GET',
		    `/conversations/${conv}`)), before);
		refused(await it.req('POST', '/conversations',
		    { body: { items: [user('good'), item] } }), 400,
		    { param, code });
	});
}

test('items missing, null, no array, empty, too many', async () => {
	const conv = await conversation();
	const post = (body) => it.req('POST', `/conversations/${conv}/items`,
	    { body });
	refused(await post({}), 400, { code: 'missing_required_parameter',
		param: 'items', message: "Missing required parameter: 'items'." });
	for (const items of [null, 'x', {}, 7, true])
		refused(await post({ items }), 400, { param: 'items' });
	refused(await post({ items: {} }), 400, { code: 'invalid_type' });
	refused(await post({ items: [] }), 400, { code: 'empty_array',
		param: 'items' });
	refused(await post({ items: Array.from({ length: 1001 }, () =>
	    user('x')) }), 400, { code: 'array_above_max_length',
		param: 'items' });
	refused(await post(undefined), 400);
	for (const body of ['[]', '"x"', '7', 'null', 'true'])
		refused(await post(body), 400);
	assert.equal(await count(conv), 0);
	const most = ok(await post({ items: Array.from({ length: 1000 },
	    (_, i) => user(`${i}`)) }));
	assert.equal(most.data.length, 1000);
	assert.equal(await count(conv), 1000);
});

test('unknown top-level parameters are named', async () => {
	const conv = await conversation();
	refused(await it.req('POST', `/conversations/${conv}/items`,
	    { body: { items: [user('x')], colour: 'red' } }), 400,
	    { code: 'unknown_parameter', param: 'colour',
		message: "Unknown parameter: 'colour'." });
	refused(await it.req('POST', '/conversations', { body: { colour: 1 } }),
	    400, { code: 'unknown_parameter', param: 'colour' });
	assert.equal(await count(conv), 0);
});

/* --- ids that clients choose ---------------------------------------------- */

test('a well-formed id of the client is kept', async () => {
	const conv = await conversation();
	for (const id of ['a', 'A-b_9', 'x'.repeat(64), 'msg_1', '0', '-', '_']) {
		const made = ok(await append(conv, [user('x', { id })])).data[0];
		assert.equal(made.id, id);
		assert.equal(ok(await it.req('GET',
		    `/conversations/${conv}/items/${id}`)).id, id);
	}
});

test('the same id with the same content is a retry', async () => {
	const conv = await conversation();
	const a = { id: 'mine', role: 'user', content: 'same' };
	const first = ok(await append(conv, [a]));
	const again = ok(await append(conv, [a]));
	assert.deepEqual(again.data, first.data);
	/* Compared after completion: content as parts, status given. */
	const normal = ok(await append(conv, [{ id: 'mine', type: 'message',
		role: 'user', content: [{ type: 'input_text', text: 'same' }],
		status: 'completed' }]));
	assert.deepEqual(normal.data, first.data);
	assert.equal(await count(conv), 1);
});

test('the same id with other content refuses the whole batch', async () => {
	const conv = await conversation();
	ok(await append(conv, [user('one', { id: 'mine' })]));
	refused(await append(conv, [user('new'), user('two', { id: 'mine' })]),
	    400, { code: 'item_already_in_conversation', param: 'items',
		message: 'Item already in conversation' });
	assert.equal(await count(conv), 1);
	refused(await append(conv, [user('p', { id: 'dup' }),
	    user('q', { id: 'dup' })]), 400);
	assert.equal(await count(conv), 1);
});

test('references to items: known is there already, unknown wins with 404',
    async () => {
	const conv = await conversation();
	ok(await append(conv, [user('one', { id: 'mine' })]));
	const known = { type: 'item_reference', id: 'mine' };
	const unknown = { type: 'item_reference', id: 'msg_nowhere' };
	refused(await append(conv, [user('new'), known]), 400,
	    { code: 'item_already_in_conversation', param: 'items',
		message: 'Item already in conversation' });
	for (const items of [[unknown], [known, unknown], [user('x'), unknown],
	    [user('other', { id: 'mine' }), unknown]])
		refused(await append(conv, items), 404, { code: null, message:
		    "Item with id 'msg_nowhere' not found in conversation." });
	refused(await append(conv, [{ type: 'item_reference' }]), 400,
	    { code: 'missing_required_parameter', param: 'items[0].id',
		message: "Missing required parameter: 'items[0].id'." });
	refused(await it.req('POST', '/conversations',
	    { body: { items: [unknown] } }), 404);
	assert.equal(await count(conv), 1);
});

test('a batch partly there: old ones keep their place', async () => {
	const conv = await conversation();
	ok(await append(conv, [user('a', { id: 'a' }), user('b', { id: 'b' })]));
	const r = ok(await append(conv, [user('c', { id: 'c' }),
	    user('a', { id: 'a' }), user('d', { id: 'd' })]));
	assert.deepEqual(r.data.map((i) => i.id), ['c', 'a', 'd']);
	assert.equal(r.first_id, 'c');
	assert.equal(r.last_id, 'd');
	const all = ok(await it.req('GET',
	    `/conversations/${conv}/items?order=asc`));
	assert.deepEqual(all.data.map((i) => i.id), ['a', 'b', 'c', 'd']);
});

test('an id whose item was deleted is new again', async () => {
	const conv = await conversation();
	ok(await append(conv, [user('a', { id: 'x' }), user('b')]));
	ok(await it.req('DELETE', `/conversations/${conv}/items/x`));
	ok(await append(conv, [user('other', { id: 'x' })]));
	const all = ok(await it.req('GET',
	    `/conversations/${conv}/items?order=asc`));
	assert.deepEqual(all.data.map(text), ['b', 'other']);
});

test('the same id in two conversations is two items', async () => {
	const a = await conversation();
	const b = await conversation();
	ok(await append(a, [user('in a', { id: 'shared' })]));
	ok(await append(b, [user('in b', { id: 'shared' })]));
	assert.equal(text(ok(await it.req('GET',
	    `/conversations/${a}/items/shared`))), 'in a');
	assert.equal(text(ok(await it.req('GET',
	    `/conversations/${b}/items/shared`))), 'in b');
});

test('items read from one conversation go into another, with their ids',
    async () => {
	const a = await conversation({ items: [user('one'),
		{ role: 'assistant', content: 'two' }, types.reasoning,
		types.function_call, types.function_call_output] });
	const read = ok(await it.req('GET',
	    `/conversations/${a}/items?order=asc`)).data;
	const b = await conversation();
	assert.deepEqual(ok(await append(b, read)).data, read);
});

/* --- text ----------------------------------------------------------------- */

const exact = {
	'the escape \\u0000': 'a\u0000b',
	'all controls': Array.from({ length: 32 }, (_, i) =>
	    String.fromCharCode(i)).join('') + '\u007f\u0080\u009f',
	'U+2028 and U+2029': 'a\u2028b\u2029c',
	'U+FFFE and U+FFFF': 'a\ufffeb\uffffc',
	'a BOM in front': '\ufefftext\ufeff',
	'4-byte characters': '\u{1F600}\u{10FFFF}\u{10000}',
	'unnormalised text': 'e\u0301 \u00e9 \u212b \ufb01',
	'the empty string': '',
	'quotes and backslashes': '"\\\\"\\/\b\f',
	'white space at both ends': '  \t\n x \r\n ',
	'what looks like JSON': '{"a":[1,2]}',
	'what looks like HTML': '</script><!-- & &amp; -->',
	'right to left': '\u202eabc\u05d0\u200f',
	'a family of emoji': '\u{1F468}\u200d\u{1F469}\u200d\u{1F467}',
};

for (const [what, value] of Object.entries(exact)) {
	test(`text is kept: ${what}`, async () => {
		const conv = await conversation();
		const made = ok(await append(conv, [user(value),
			{ role: 'assistant', content: value },
			{ type: 'function_call', call_id: 'c' + value.length, name: 'f',
				arguments: value },
			{ type: 'x.y', [`k${value}`]: value }]));
		const list = ok(await it.req('GET',
		    `/conversations/${conv}/items?order=asc`));
		assert.deepEqual(list.data, made.data);
		assert.equal(text(list.data[0]), value);
		assert.equal(text(list.data[1]), value);
		assert.equal(list.data[2].arguments, value);
		assert.equal(list.data[3][`k${value}`], value);
	});
}

test('escapes are kept as text, however they were written', async () => {
	const conv = await conversation();
	const r = await append(conv, '[{"type":"x.y","v":"\\u00e9\\/\\ud83d\\ude00' +
	    '\\u0041\\u0000"}]');
	assert.equal(ok(r).data[0].v, 'é/\u{1F600}A\u0000');
	const read = ok(await it.req('GET', `/conversations/${conv}/items`));
	assert.equal(read.data[0].v, 'é/\u{1F600}A\u0000');
});

/* --- JSON that is none ---------------------------------------------------- */

const deep = (n) => '{"type":"x.y","v":' + '['.repeat(n) + ']'.repeat(n) + '}';
const bytes = (...parts) => Buffer.concat(parts.map((p) =>
    typeof p === 'string' ? Buffer.from(p) : Buffer.from(p)));
const inText = (...b) => bytes('{"items":[{"role":"user","content":"', b,
    '"}]}');

const malformed = {
	'an empty body': '',
	'white space alone': '  \n',
	'trailing garbage': '{"items":[]} x',
	'two values': '{"items":[]}{}',
	'a trailing comma': '{"items":[],}',
	'a missing bracket': '{"items":[{"role":"user","content":"x"}]',
	'single quotes': "{'items':[]}",
	'a raw newline in a string': '{"items":[{"role":"user","content":"a\nb"}]}',
	'a raw tab in a string': '{"items":[{"role":"user","content":"a\tb"}]}',
	'the escape \\x': '{"items":[{"role":"user","content":"\\x41"}]}',
	'an escape cut short': '{"items":[{"role":"user","content":"\\u12"}]}',
	'the number 01': '{"items":[{"type":"x.y","v":01}]}',
	'the number 1.': '{"items":[{"type":"x.y","v":1.}]}',
	'the number .5': '{"items":[{"type":"x.y","v":.5}]}',
	'the number +1': '{"items":[{"type":"x.y","v":+1}]}',
	'the number -': '{"items":[{"type":"x.y","v":-}]}',
	'NaN': '{"items":[{"type":"x.y","v":NaN}]}',
	'True': '{"items":[{"type":"x.y","v":True}]}',
	'a comment': '{"items":[]/* */}',
	'a BOM in front': '\ufeff{"items":[]}',
	'a raw NUL in a string': inText(0x61, 0, 0x62),
	'a raw NUL behind': bytes('{"items":[]}', [0]),
	'an overlong form': inText(0xc0, 0xaf),
	'an overlong NUL': inText(0xc0, 0x80),
	'a surrogate in UTF-8': inText(0xed, 0xa0, 0x80),
	'above U+10FFFF': inText(0xf4, 0x90, 0x80, 0x80),
	'a sequence cut short': inText(0xe2, 0x82),
	'a stray continuation byte': inText(0x80),
	'the byte 0xff': inText(0xff),
	'Latin-1': inText(0xe9),
	'a lone high surrogate': '{"items":[{"role":"user","content":"\\ud800"}]}',
	'a lone low surrogate': '{"items":[{"role":"user","content":"\\udc00x"}]}',
	'surrogates the wrong way round':
	    '{"items":[{"role":"user","content":"\\udc00\\ud800"}]}',
	'duplicate keys': '{"items":[],"items":[]}',
	'duplicate keys deep inside':
	    '{"items":[{"type":"x.y","v":{"a":1,"b":[{"c":1,"c":1}]}}]}',
	'duplicate keys by escape': '{"items":[{"type":"x.y","a":1,"\\u0061":2}]}',
	'nesting over 128': `{"items":[${deep(126)}]}`,
	'nesting of 100,000': `{"items":[${deep(100_000)}]}`,
	'nesting of 100,000 never closed': '['.repeat(100_000),
};

for (const [what, body] of Object.entries(malformed)) {
	test(`400 invalid_json: ${what}`, async () => {
		const conv = await conversation();
		const r = await it.req('POST', `/conversations/${conv}/items`,
		    { body });
		const at = refusedJson(r);
		assert.ok(at <= Buffer.byteLength(body) + 1, `position ${at}`);
		assert.equal(await count(conv), 0);
		refusedJson(await it.req('POST', `/conversations/${conv}`,
		    { body: body === '' ? ' ' : body }));
	});
}

test('nesting of exactly 128 is taken', async () => {
	const conv = await conversation();
	const body = `{"items":[${deep(125)}]}`;
	ok(await it.req('POST', `/conversations/${conv}/items`, { body }));
	const got = ok(await it.req('GET', `/conversations/${conv}/items`));
	assert.equal(JSON.stringify(got.data[0].v),
	    '['.repeat(125) + ']'.repeat(125));
});

test('the position points at the error', async () => {
	const conv = await conversation();
	const at = refusedJson(await it.req('POST',
	    `/conversations/${conv}/items`, { body: '{"items":[1,2,x]}' }));
	assert.ok(Math.abs(at - 14) <= 1, `position ${at}`);
});

test('an item over max_item is refused, what is below is taken', async () => {
	const conv = await conversation();
	refused(await append(conv, [user('x'.repeat((8 << 20) + 10))]), 413,
	    { code: 'request_too_large' });
	assert.equal(await count(conv), 0);
	ok(await append(conv, [user('x'.repeat(7 << 20))]));
}, { timeout: 120_000 });
