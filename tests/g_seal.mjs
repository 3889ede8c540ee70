/**
 * rememberctl seal: what a hand edited gets its checksum again, or a word of
 * what is wrong with it and where.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, user, until, run, build, scratch } from './harness.mjs';
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

test('refused in the folder of another tenant, however it is reached', () => {
	const t = it.addTenant(), folder = `${it.store}/tenants/${t.name}`;
	const good = fs.readFileSync(file, 'utf8').replace('{"at":x', '{"at":');
	fs.mkdirSync(`${folder}/conversations`, { recursive: true });
	const there = `${folder}/conversations/${path.basename(file)}`;
	fs.writeFileSync(there, good);
	const dir = scratch();
	fs.symlinkSync(`${folder}/conversations`, `${dir}/link`);
	const seal = (name, cwd) => run([path.join(build, 'rememberctl'), '-c',
		it.conf, 'seal', name], { cwd });
	for (const [name, cwd] of [[there], [path.basename(there),
		path.dirname(there)], [`conversations/${path.basename(there)}`,
		folder], [`${dir}/link/${path.basename(there)}`]]) {
		const r = seal(name, cwd);
		assert.equal(r.status, 1, r.all);
		assert.match(r.err, /it says that it is of tenant \w+, but stands /);
		assert.ok(r.err.includes(`in the folder of ${t.name}`), r.err);
		assert.equal(fs.readFileSync(there, 'utf8'), good);
	}
	/* Elsewhere nobody knows whose it should be. */
	fs.copyFileSync(there, `${dir}/${path.basename(there)}`);
	assert.equal(seal(`${dir}/${path.basename(there)}`).status, 0);
	/* A tenant's folder may be a link to another disk. */
	const away = `${it.store}/tenants/${t.name}-away`;
	fs.cpSync(path.dirname(path.dirname(file)), `${dir}/disk`,
	    { recursive: true });
	fs.writeFileSync(`${dir}/disk/conversations/${path.basename(file)}`, good);
	fs.symlinkSync(`${dir}/disk`, away);
	assert.equal(seal(`${away}/conversations/${path.basename(file)}`).status,
	    1);
	fs.rmSync(away);
	fs.rmSync(there);
	fs.writeFileSync(file, good);
	assert.equal(seal(file).status, 0);
	fs.rmSync(dir, { recursive: true });
});
