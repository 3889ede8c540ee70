/**
 * rememberctl seal: what a hand edited gets its checksum again, or a word of
 * what is wrong with it and where.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { suite, ok, user, until } from './harness.mjs';
import { checkDocument, documentOf } from './documents.mjs';

const { test, it } = suite({ include: 'flush_interval = "1h"\n' });

let file;

test('sealed, with a warning while a daemon answers', async () => {
	const { id } = ok(await it.req('POST', '/conversations',
	    { body: { items: [user('one')] } }));
	assert.equal(it.ctl(['flush']).status, 0);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0);
	file = documentOf(it.store, id);
	const said = fs.readFileSync(file, 'utf8').replace('one', 'uno');
	fs.writeFileSync(file, said);
	fs.chmodSync(file, 0o640);
	assert.throws(() => checkDocument(file));
	const r = it.ctl(['seal', file]);
	assert.equal(r.status, 0, r.all);
	assert.match(r.err, /a daemon answers on /);
	assert.equal(r.out, '');
	checkDocument(file);
	assert.equal(fs.readFileSync(file, 'utf8').split('\n').slice(0, -2)
	    .join('\n'), said.split('\n').slice(0, -2).join('\n'));
	assert.equal(fs.statSync(file).mode & 0o777, 0o640);
});

test('refused with the line, and left as it is', () => {
	const bad = fs.readFileSync(file, 'utf8').replace('{"at":', '{"at":x');
	fs.writeFileSync(file, bad);
	const r = it.ctl(['seal', file]);
	assert.equal(r.status, 1);
	assert.match(r.err, /\.json: line 5: it has no checksum and is no JSON/);
	assert.equal(fs.readFileSync(file, 'utf8'), bad);
	assert.equal(it.ctl(['seal', `${file}.gone`]).status, 1);
	assert.equal(it.ctl(['seal']).status, 2);
});
