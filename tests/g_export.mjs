/**
 * rememberctl export and import: what goes out comes in again, byte for byte,
 * into this store or another, with a daemon and without; what is cut off is
 * noticed, what is there is not overwritten.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, run, build, user, scratch } from './harness.mjs';

const { test, it } = suite();
const rememberctl = path.join(build, 'rememberctl');

/** Another store, without a daemon; more is what its configuration says. */
function other(more = '')
{
	const dir = scratch();
	fs.writeFileSync(`${dir}/conf`, `store = "${dir}/store"\n` +
	    `cache = "${dir}/cache"\nsocket = "${dir}/f.sock"\n` +
	    `control_socket = "${dir}/c.sock"\n${more}`);
	return {
		store: `${dir}/store`,
		ctl: (args, options) => run([rememberctl, '-c', `${dir}/conf`,
		    ...args], options),
		remove: () => fs.rmSync(dir, { recursive: true }),
	};
}

const good = (r) => {
	assert.equal(r.status, 0, r.all);
	return (r);
};
const lines = (text) => text.split('\n').filter(Boolean);
const counts = (r) => Object.fromEntries([...r.out.matchAll(
    /(\w+) (\d+)/g)].map(([, name, n]) => [name, Number(n)]));

/** A tenant with conversations of every kind. */
async function fill(t)
{
	for (let i = 0; i < 5; i++) {
		const c = ok(await it.req('POST', '/conversations', { key: t.key,
		    body: { metadata: { n: String(i) }, items:
		    [user(`first \u0000 ${i} äöü 😀`), user('second')] } }));
		const items = ok(await it.req('GET',
		    `/conversations/${c.id}/items`, { key: t.key })).data;
		if (i === 1)
			ok(await it.req('DELETE',
			    `/conversations/${c.id}/items/${items[1].id}`,
			    { key: t.key }));
		if (i === 2)
			ok(await it.req('PATCH', `/conversations/${c.id}`,
			    { key: t.key, body: { title: 'a "title"' } }));
		if (i > 2)
			ok(await it.req('POST', `/conversations/${c.id}/items`,
			    { key: t.key, body: { items: [{ type: 'x_y',
			    n: 0.1, deep: { list: [1, [2, {}]] } }] } }));
	}
}

test('out and in again is the same, byte for byte', async () => {
	const t = it.addTenant();
	await fill(t);
	const out = good(it.ctl(['export', '--tenant', t.name])).out;
	assert.equal(lines(out).length, 6);
	assert.deepEqual(JSON.parse(lines(out)[5]),
	    { export: 'end', conversations: 5, items: 11 });
	const o = other();
	assert.deepEqual(counts(good(o.ctl(['import'], { input: out }))),
	    { imported: 5, replaced: 0, skipped: 0, failed: 0, items: 11 });
	assert.equal(good(o.ctl(['export'])).out, out);
	/* Once more, from a file: all is there. */
	fs.writeFileSync(`${o.store}.ndjson`, out);
	assert.deepEqual(counts(good(o.ctl(['import', `${o.store}.ndjson`]))),
	    { imported: 0, replaced: 0, skipped: 5, failed: 0, items: 0 });
	assert.equal(good(o.ctl(['export'])).out, out);
	o.remove();
});

test('into a running daemon, under another name', async () => {
	const t = it.addTenant(), u = it.addTenant();
	await fill(t);
	const out = good(it.ctl(['export', '--tenant', t.name])).out;
	good(it.ctl(['import', '--tenant', u.name], { input: out }));
	const ids = lines(out).slice(0, 5).map((l) =>
	    JSON.parse(l).conversation.id);
	for (const id of ids) {
		const mine = (key) => it.req('GET', `/conversations/${id}/items`,
		    { key });
		assert.equal((await mine(u.key)).text, (await mine(t.key)).text);
	}
	/* It lives on, and is another's. */
	ok(await it.req('POST', `/conversations/${ids[0]}/items`,
	    { key: u.key, body: { items: [user('more')] } }));
	assert.equal(ok(await it.req('GET', `/conversations/${ids[0]}`,
	    { key: t.key })).item_count, 2);
	await it.kill9();
	await it.restart();
	assert.equal(ok(await it.req('GET', `/conversations/${ids[0]}`,
	    { key: u.key })).item_count, 3);
	assert.equal(ok(await it.req('GET', `/conversations/${ids[3]}`,
	    { key: u.key })).item_count, 3);
});

test('one conversation, and what is not there', async () => {
	const t = it.addTenant();
	await fill(t);
	const all = lines(good(it.ctl(['export', '--tenant', t.name])).out);
	const id = JSON.parse(all[2]).conversation.id;
	const one = good(it.ctl(['export', '--tenant', t.name,
	    '--conversation', id])).out;
	assert.equal(one, `${all[2]}\n{"export":"end","conversations":1,` +
	    `"items":${JSON.parse(all[2]).items.length}}\n`);
	for (const args of [['--tenant', 'nobody'],
	    ['--tenant', t.name, '--conversation', 'conv_none']]) {
		const r = it.ctl(['export', ...args]);
		assert.equal(r.status, 1, r.all);
		assert.doesNotMatch(r.out, /"end"/);
	}
});

test('what is there is replaced only if told to', async () => {
	const t = it.addTenant();
	await fill(t);
	const out = good(it.ctl(['export', '--tenant', t.name])).out;
	const { id, version } = JSON.parse(lines(out)[0]).conversation;
	ok(await it.req('POST', `/conversations/${id}/items`, { key: t.key,
	    body: { items: [user('newer')] } }));
	ok(await it.req('DELETE', `/conversations/${JSON.parse(lines(out)[4])
	    .conversation.id}`, { key: t.key }));
	assert.deepEqual(counts(good(it.ctl(['import'], { input: out }))),
	    { imported: 1, replaced: 0, skipped: 4, failed: 0, items: 3 });
	assert.equal(ok(await it.req('GET', `/conversations/${id}`,
	    { key: t.key })).item_count, 3);
	assert.deepEqual(counts(good(it.ctl(['import', '--replace'],
	    { input: out }))),
	    { imported: 0, replaced: 5, skipped: 0, failed: 0, items: 11 });
	const r = await it.req('GET', `/conversations/${id}`, { key: t.key });
	assert.equal(ok(r).item_count, 2);
	assert.ok(Number(r.headers.etag.replaceAll('"', '')) > version + 1);
});

test('what was cut off is noticed', async () => {
	const t = it.addTenant();
	await fill(t);
	const out = good(it.ctl(['export', '--tenant', t.name])).out;
	const all = lines(out);
	const cuts = [
		[`${all.slice(0, 5).join('\n')}\n`, 5, /end of the export/],
		[out.slice(0, -1), 5, /end of the export/],
		/* In the first line behind a whole one. */
		[out + all[0].slice(0, 150), 5, /end of the export/],
		[`${all.slice(0, 3).join('\n')}\n${all[3].slice(0, 99)}`, 3,
			/end of the export/],
		[`${all.filter((_, i) => i !== 2).join('\n')}\n`, 4,
			/5 conversations/],
		['', 0, /end of the export/],
	];
	for (const [input, imported, said] of cuts) {
		const o = other();
		const r = o.ctl(['import'], { input });
		assert.equal(r.status, 1, r.all);
		assert.match(r.err, said);
		assert.equal(counts(r).imported, imported);
		o.remove();
	}
});

test('a line that is none is told, and the rest comes in', async () => {
	const t = it.addTenant();
	await fill(t);
	const all = lines(good(it.ctl(['export', '--tenant', t.name])).out);
	all.splice(2, 0, '{"no":"export"}');
	const o = other();
	const r = o.ctl(['-j', 'import'], { input: all.join('\n') + '\n' });
	assert.equal(r.status, 1);
	assert.match(r.err, /line 3: /);
	const c = JSON.parse(r.out);
	assert.equal(c.imported, 5);
	assert.equal(c.failed, 1);
	o.remove();
});

/* With small requests: long ones in parts, many in many requests. */
for (const live of [true, false]) {
	test(`long conversations come in parts, ${live ? 'to a daemon' :
	    'to a store'}`, async (t) => {
		const o = other('max_body = "64K"\n');
		const item = (i, n) => ({ at: 1000 + i,
			item: { id: `i${i}`, type: 'x', s: 'y'.repeat(n) } });
		const line = (id, items) => JSON.stringify({ tenant: 'acme',
		    conversation: { id, created_at: 5, updated_at: 6,
		    version: 9, user: 'u', title: 't', metadata: {} },
		    items });
		const long = Array.from({ length: 300 }, (_, i) => item(i, 900));
		long[7].position = 100;
		const text = (...l) => `${l.join('\n')}\n{"export":"end",` +
		    `"conversations":${l.length},"items":${l.reduce((n, x) =>
			n + JSON.parse(x).items.length, 0)}}\n`;
		const all = text(line('a', [item(1, 5)]), line('b', long),
		    ...Array.from({ length: 200 }, (_, i) =>
			line(`c${1000 + i}`, [item(1, 300)])),
		    line('z', [item(1, 30_000), item(2, 30_000),
			item(3, 10)]));
		/* Without JSON's own order of members nothing is the same. */
		const norm = all.replaceAll(
		    /\{"at":(\d+),"item":(\{[^}]*\}),"position":(\d+)\}/g,
		    '{"at":$1,"position":$3,"item":$2}');
		let daemon;
		if (live) {
			const { spawn } = await import('node:child_process');
			daemon = spawn(path.join(build, 'rememberd'), ['-c',
			    path.join(path.dirname(o.store), 'conf')],
			    { stdio: 'ignore' });
			/* Also if something below fails. */
			t.after(() => daemon.kill());
			const { until } = await import('./harness.mjs');
			await until(() => fs.existsSync(path.join(
			    path.dirname(o.store), 'c.sock')));
		}
		const r = good(o.ctl(['import'], { input: norm }));
		assert.deepEqual(counts(r), { imported: 203, replaced: 0,
			skipped: 0, failed: 0, items: 504 });
		assert.equal(good(o.ctl(['export'])).out, norm);
		assert.deepEqual(counts(good(o.ctl(['import'],
		    { input: norm }))), { imported: 0, replaced: 0,
			skipped: 203, failed: 0, items: 0 });
		/* A broken long one is no conversation at all. */
		const broken = line('d', long).replace('"at":1250,', '"at":,');
		const bad = o.ctl(['import'], { input: text(line('d', long))
		    .replace(/^.*$/m, broken) });
		assert.equal(bad.status, 1);
		assert.equal(counts(bad).failed, 1);
		assert.equal(counts(bad).items, 0);
		/* Nor one that is broken just where it is cut. */
		const big = line('d', [item(1, 30_000), item(2, 30_000)]);
		const torn = o.ctl(['import'], { input: text(big)
		    .replace('},{"at":1002', '} {"at":1002') });
		assert.equal(torn.status, 1);
		assert.equal(counts(torn).failed, 1);
		assert.equal(good(o.ctl(['export'])).out, norm);
		/* What was written when more was let in comes in. */
		assert.deepEqual(counts(good(o.ctl(['import'], { input:
		    text(line('e', [item(1, 100_000)]), line('f', [item(1, 5),
			item(2, 40_000), item(3, 100_000)])) }))),
		    { imported: 2, replaced: 0, skipped: 0, failed: 0,
			items: 4 });
		if (live) {
			daemon.kill('SIGTERM');
			await new Promise((done) => daemon.on('exit', done));
		}
		o.remove();
	});
}

test('usage', () => {
	for (const args of [['import', 'a', 'b'], ['export', 'x'],
	    ['export', '--replace'], ['import', '--conversation', 'x']])
		assert.equal(it.ctl(args).status, 2, args.join(' '));
	const r = it.ctl(['import', '/nonexistent/file']);
	assert.equal(r.status, 1);
	assert.match(r.err, /nonexistent/);
	assert.equal(it.ctl(['import', '--tenant', 'No'],
	    { input: '' }).status, 1);
});
