/**
 * What the page shows of an item, a token, a path, a time, an error.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayOf, groupOf } from '../www/js/model/days.js';
import { plainText, show } from '../www/js/model/items.js';
import { NEW, pathOf, placeOf } from '../www/js/model/place.js';
import { claimsOf, isExpired, tokenIn, whose } from '../www/js/model/token.js';
import { sentenceFor, wordsFor, wordsForSignIn } from '../www/js/model/words.js';

const texts = (item) => show(item).pieces.map((p) => p.text);

test('the words of a message come through exactly', () => {
	const text = ' <b>&amp;</b>\n\n\0 \u202e🌼\ud83d\ude00 ';
	for (const content of [text, [{ type: 'input_text', text }],
	    [{ type: 'output_text', text }], [{ type: 'text', text }]]) {
		const shown = show({ id: 'm', role: 'user', content });
		assert.equal(shown.kind, 'message');
		assert.deepEqual(shown.pieces, [{ kind: 'text', text }]);
	}
	assert.deepEqual(texts({ id: 'm', role: 'assistant',
	    content: [{ type: 'refusal', refusal: 'No.' }] }), ['No.']);
	assert.equal(plainText({ id: 'm', role: 'assistant', content: [
	    { type: 'output_text', text: 'a' }, { type: 'output_text', text: 'b' }] }),
	    'a\nb');
});

test('a picture or a file is a note, and its data no page of letters', () => {
	const content = [{ type: 'input_image', image_url: 'https://e.org/i.png' },
	    { type: 'input_image', image_url: 'data:image/png;base64,AAAA' },
	    { type: 'input_file', filename: 'a.pdf', file_data: 'AAAA' },
	    { type: 'new_part', x: 1 }];
	const shown = show({ id: 'm', role: 'user', content });
	assert.deepEqual(shown.pieces.map((p) => p.kind), Array(4).fill('aside'));
	assert.deepEqual(shown.pieces.slice(0, 3).map((p) => p.text),
	    ['Image: https://e.org/i.png', 'Image: embedded', 'File: a.pdf']);
});

test('a step has a name, a gist, and its JSON laid out', () => {
	const call = show({ id: 'f', type: 'function_call', name: 'look',
	    call_id: 'c', arguments: '{"a":[1,2]}' });
	assert.equal(call.kind, 'step');
	assert.equal(call.gist, 'look');
	assert.deepEqual(call.pieces,
	    [{ kind: 'text', text: '{\n  "a": [\n    1,\n    2\n  ]\n}' }]);
	assert.deepEqual(texts({ id: 'o', type: 'function_call_output', call_id: 'c',
	    output: [{ type: 'input_text', text: 'done' }] }), ['done']);
});

test('JSON is laid out only if no token of it changes', () => {
	const args = (s) => texts({ id: 'f', type: 'function_call', name: 'n',
	    arguments: s })[0];
	for (const s of ['{"a":12345678901234567890}', '{"a":1.0}', '{"a":1,"a":2}',
	    '{"a":', 'plain words', '12'])
		assert.equal(args(s), s);
	assert.equal(args('{ "a" : "b c" }'), '{\n  "a": "b c"\n}');
});

test('an item of any type and shape is shown without a throw', () => {
	const types = ['function_call', 'function_call_output', 'custom_tool_call',
	    'custom_tool_call_output', 'mcp_call', 'reasoning', 'web_search_call',
	    'file_search_call', 'code_interpreter_call', 'local_shell_call',
	    'shell_call', 'image_generation_call', 'x.y:z', 'constructor'];
	const fields = ['name', 'arguments', 'output', 'summary', 'content', 'action',
	    'queries', 'code', 'input', 'outputs', 'results', 'error'];
	for (const type of types) {
		for (const value of [undefined, null, 7, 'x', [], [null], {}, [{}]]) {
			const item = { id: 'i', type };
			for (const field of fields)
				item[field] = value;
			const shown = show(item);
			assert.equal(shown.kind, 'step');
			assert.equal(typeof shown.gist, 'string');
			for (const piece of shown.pieces)
				assert.equal(typeof piece.text, 'string');
		}
	}
	assert.equal(show({ id: 'i', type: 'image_generation_call' }).who,
	    'Image generation call');
	const other = texts({ id: 'i', type: 'x', created_at: 1, created_at_ms: 1,
	    position: 3 })[0];
	assert.deepEqual(JSON.parse(other), { id: 'i', type: 'x' });
});

const b64 = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
const jwt = (claims) => `${b64({ alg: 'HS256' })}.${b64(claims)}.c2ln`;

test('a token is found in a link, a fragment, or alone', () => {
	const token = jwt({ tenant: 't', sub: 's' });
	for (const text of [token, ` ${token}\n`, `#token=${token}`,
	    `http://h:1/#token=${token}`, `http://h/c/x#a=b&token=${token}&c=d`])
		assert.equal(tokenIn(text), token);
	for (const text of ['', 'two words', '#token=', '#token=a%0d%0ab',
	    '#token=%ff', 'http://h/?q=1', 'tokén'])
		assert.equal(tokenIn(text), null);
});

test('claims name the person, whoever signed and whenever it ends', () => {
	const token = jwt({ tenant: 'acme', sub: 'Zoë 🌼', exp: 2000 });
	assert.deepEqual(claimsOf(token),
	    { tenant: 'acme', sub: 'Zoë 🌼', exp: 2000 });
	assert.equal(whose(token), 'acme/Zoë 🌼');
	assert.equal(whose(jwt({ tenant: 'acme', sub: 'Zoë 🌼', exp: 9 })),
	    whose(token));
	assert.equal(whose(`rk_a_b_${'0f'.repeat(32)}`), 'a_b');
	assert.equal(whose('garbage'), '');
	assert.equal(claimsOf('a.b.c'), null);
	assert.equal(isExpired(token, 1999999), false);
	assert.equal(isExpired(token, 2000000), true);
	assert.equal(isExpired('garbage', 0), false);
});

test('a place and its path name one another', () => {
	for (const place of [NEW, 'conv_1', 'a/b', 'ü?#%'])
		assert.equal(placeOf(pathOf(place)), place);
	assert.equal(placeOf('/c/x/'), 'x');
	assert.equal(placeOf('/c/%ff'), '%ff');
	assert.equal(placeOf('/c/a/b'), NEW);
});

test('days have names that get coarser with time', () => {
	const now = new Date(2026, 5, 15, 0, 30);
	const at = (...when) => new Date(...when).getTime() / 1000;
	const group = (...when) => groupOf(at(...when), now, 'en');
	assert.equal(group(2026, 5, 15, 0, 1), 'Today');
	assert.equal(group(2026, 5, 15, 23, 0), 'Today', 'a clock may be ahead');
	assert.equal(group(2026, 5, 14, 23, 59), 'Yesterday');
	assert.equal(group(2026, 5, 9), 'Last 7 days');
	assert.equal(group(2026, 5, 8), 'Last 30 days');
	assert.equal(group(2026, 4, 1), 'May 2026');
	assert.equal(dayOf(at(2026, 5, 14, 12), now, 'en'), 'Yesterday');
	assert.equal(dayOf(at(2026, 5, 1), now, 'en'), 'June 1');
	assert.equal(dayOf(at(2025, 5, 1), now, 'en'), 'June 1, 2025');
});

test('each failure has words, and unknown ones the server’s', () => {
	for (const status of [0, 403, 404, 413, 429, 502, 503, 504, 507]) {
		const words = wordsFor({ status, message: 'm', requestId: 'r' });
		assert.ok(words.title && words.text && words.text !== 'm');
		assert.equal(words.reference, 'r');
	}
	assert.equal(wordsFor({ status: 400, message: 'Invalid x.' }).text,
	    'Invalid x.');
	assert.match(sentenceFor({ status: 400, message: 'Invalid x.' }),
	    /\. Invalid x\.$/);
	const titles = ['none', 'left', 'expired', 'refused'].map((reason) =>
	    wordsForSignIn(reason).title);
	assert.equal(new Set(titles).size, 4);
});
