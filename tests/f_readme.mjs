/**
 * The curl examples of README.md, run as pasted: every block of sh that has
 * a curl in it, in order, in one shell, with what DIR/env offers.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { suite, root, run, runAsync } from './harness.mjs';

const { test, it } = suite();
const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^( *)```(?:sh|shell|console|bash)\n([^]*?)^\1```/gm)]
    .map((m) => m[2].replaceAll(/^\$ /gm, ''))
    .filter((b) => /\bcurl\b/.test(b));

test('there are curl examples', () => {
	assert.ok(blocks.length >= 1);
	const all = blocks.join('\n');
	for (const part of ['/conversations', '/items', 'Authorization'])
		assert.ok(all.includes(part), part);
});

test('each works as pasted', async () => {
	const script = path.join(it.dir, 'pasted.sh');
	/* A sourcing line of the README finds its own instance. */
	const env = path.join(it.dir, 'env');
	const text = blocks.join('\n').replaceAll(
	    /^(?:set -a; *)?\. +\S*env\b/gm, `. ${env}`);
	fs.writeFileSync(script, `. ${env}\nset -e\n` +
	    'curl() { command curl --fail-with-body "$@" || ' +
	    '{ echo "curl failed: $*" >&2; exit 9; }; }\n' + text);
	const r = await runAsync(['bash', script]);
	assert.equal(r.status, 0, r.all);
	assert.doesNotMatch(r.out, /"error":\s*\{/);
	assert.match(r.out, /"object":\s*"conversation"/);
});

test('the example in JavaScript works as pasted', () => {
	const js = /```js\n([^]*?)```/.exec(readme)?.[1];
	assert.match(js ?? '', /from 'openai'/);
	const r = run([process.execPath, '--input-type=module', '-e', js],
	    { cwd: path.join(root, 'tests'), more: { BASE_URL: it.base,
		API_KEY: it.key } });
	assert.equal(r.status, 0, r.all);
	assert.match(r.out, /^user /m);
});
