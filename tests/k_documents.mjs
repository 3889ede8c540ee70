/**
 * What stands on the disk: documents and journal, flushes that write what
 * changed and nothing else, and stores that a crash, a torn tail or a copier
 * left behind.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { judged, start, ok, refused, user, text, until, must, scratch, sleep,
	parallel, run, patience } from './harness.mjs';
import { checkDocument, documentOf, documents, segments } from
    './documents.mjs';

const slow = 'flush_interval = "1h"\n';

/* Run fn with an instance that is ended in any case. */
function withInstance(name, options, fn)
{
	test(name, { timeout: 120_000 * patience }, async () => {
		const it = await start(options);
		await judged(it, () => fn(it));
	});
}

/* A daemon on a store that was copied; its own folder, the store's keys. */
async function on(store, key, fn, { allow = [], include } = {})
{
	const it = await start({ include, args: ['--store', store] });
	it.key = key;
	it.allow(...allow);
	await judged(it, () => fn(it));
}

function copyOf(store)
{
	const copy = path.join(scratch(), 'store');
	must(['cp', '-a', store, copy]);
	return (copy);
}

const drop = (copy) => fs.rmSync(path.dirname(copy), { recursive: true });
const create = async (it, body = {}) =>
    ok(await it.req('POST', '/conversations', { body }));
const append = async (it, id, ...texts) =>
    ok(await it.req('POST', `/conversations/${id}/items`,
	{ body: { items: texts.map((t) => user(t)) } }));
const texts = async (it, id) => ok(await it.req('GET',
    `/conversations/${id}/items?order=asc&limit=1000`)).data.map(text);

/* rememberctl flush begins one; it is over when nothing is dirty. */
async function flush(it)
{
	const r = it.ctl(['flush']);
	assert.equal(r.status, 0, r.all);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0,
	    10_000, 'the end of the flush');
	await sleep(200 * patience);
}

const stamp = (f) => {
	const s = fs.statSync(f, { bigint: true });
	return (`${s.ino} ${s.mtimeNs} ${s.size}`);
};

withInstance('a flush writes dirty conversations and no others',
    { include: slow }, async (it) => {
	const all = [];
	for (let i = 0; i < 20; i++)
		all.push((await create(it, { title: `c${i}`,
			items: [user(`item ${i}`)] })).id);
	assert.equal(documentOf(it.store, all[0]), undefined,
	    'nothing is written before its time');
	await flush(it);
	const files = all.map((id) => documentOf(it.store, id));
	assert.ok(files.every((f) => f !== undefined));
	files.forEach(checkDocument);
	const before = files.map(stamp);
	await flush(it);
	assert.deepEqual(files.map(stamp), before, 'nothing was dirty');

	await append(it, all[3], 'more');
	ok(await it.req('PATCH', `/conversations/${all[7]}`,
	    { body: { title: 'new' } }));
	/* Reads make nothing dirty. */
	for (const id of all)
		await texts(it, id);
	await flush(it);
	const after = files.map(stamp);
	assert.deepEqual(after.flatMap((s, i) => s === before[i] ? [] : [i]),
	    [3, 7]);
	const doc = checkDocument(files[3]);
	assert.match(JSON.stringify(doc), /more/);
	assert.match(fs.readFileSync(files[7], 'utf8'), /"new"/);
	assert.ok(!walkTemporary(it.store), 'no temporary file is left');
});

function walkTemporary(store)
{
	return (must(['find', store, '-name', '.tmp*']) !== '');
}

withInstance('a document: one entry a line, for jq and grep',
    { include: slow }, async (it) => {
	const c = await create(it, { title: 'T', metadata: { k: 'v' }, items: [
		user('zero', { id: 'i0' }), { type: 'x.y', id: 'i1', v: [0.1, 1.0] },
		user('two\nlines', { id: 'i2' })] });
	const other = await create(it, { user: 'ann' });
	await flush(it);
	const file = documentOf(it.store, c.id);
	const lines = fs.readFileSync(file, 'utf8').split('\n');
	const entries = lines.filter((l) => /^\s*\{"at":\d+,"item":\{/.test(l));
	assert.equal(entries.length, 3);
	for (const [i, l] of entries.entries()) {
		const e = JSON.parse(l.replace(/,$/, ''));
		assert.equal(e.item.id, `i${i}`);
		assert.ok(Math.abs(e.at - Date.now()) < 60_000);
	}
	assert.ok(entries[1].includes('[0.1,1.0]') ||
	    entries[1].includes('[0.1,1]'));
	const doc = checkDocument(file);
	assert.equal(doc.id, c.id);
	assert.equal(doc.tenant, it.tenant);
	for (const k of ['version', 'lsn', 'birth', 'store'])
		assert.ok(k in doc, k);
	assert.match(fs.readFileSync(documentOf(it.store, other.id), 'utf8'),
	    /"ann"/);
	for (const f of documents(it.store))
		checkDocument(f);
	JSON.parse(fs.readFileSync(path.join(it.store, 'store.json'), 'utf8'));
});

withInstance('a deleted conversation leaves a tombstone, not its text',
    { include: slow }, async (it) => {
	const c = await create(it, { items: [user('unforgettable')] });
	await flush(it);
	const file = documentOf(it.store, c.id);
	ok(await it.req('DELETE', `/conversations/${c.id}`));
	await flush(it);
	const rest = fs.readFileSync(file, 'utf8');
	assert.match(rest, /"deleted"/);
	assert.doesNotMatch(rest, /unforgettable/);
	await it.kill9();
	await it.restart();
	refused(await it.req('GET', `/conversations/${c.id}`), 404);
});

withInstance('documents alone are enough after a clean end', {},
    async (it) => {
	const c = await create(it, { title: 'kept', metadata: { a: 'b' },
		items: [user('one'), { type: 'x.y', id: 'i', v: 1.50 }] });
	const user_ = await create(it, { user: 'ann' });
	const del = await create(it);
	ok(await it.req('DELETE', `/conversations/${del.id}`));
	const headers = { 'idempotency-key': 'kept-key' };
	const keyed = ok(await it.req('POST', `/conversations/${c.id}/items`,
	    { headers, body: { items: [user('keyed')] } }));
	const keyedCreate = ok(await it.req('POST', '/conversations',
	    { headers, body: { title: 'keyed' } }));
	const want = await Promise.all([`/conversations/${c.id}`,
	    `/conversations/${c.id}/items`, `/conversations/${user_.id}`,
	    '/conversations'].map((t) => it.req('GET', t)));
	await it.term();
	const copy = copyOf(it.store);
	fs.rmSync(path.join(copy, 'journal'), { recursive: true });
	await on(copy, it.key, async (twin) => {
		for (const [i, t] of [`/conversations/${c.id}`,
		    `/conversations/${c.id}/items`,
		    `/conversations/${user_.id}`, '/conversations'].entries())
			assert.equal((await twin.req('GET', t)).text, want[i].text);
		refused(await twin.req('GET', `/conversations/${del.id}`), 404);
		const again = ok(await twin.req('POST',
		    `/conversations/${c.id}/items`, { headers,
			body: { items: [user('keyed')] } }));
		assert.deepEqual(again.data, keyed.data);
		assert.equal(ok(await twin.req('POST', '/conversations',
		    { headers, body: { title: 'keyed' } })).id, keyedCreate.id);
		/* And it goes on from there: versions and numbers rise. */
		await append(twin, c.id, 'after');
		await twin.kill9();
		await twin.restart();
		assert.equal(ok(await twin.req('GET', `/conversations/${c.id}`))
		    .version, JSON.parse(want[0].text).version + 1);
	}, { allow: [/journal/i] });
	drop(copy);
	await it.restart();
});

withInstance('the cache may go at any time', { include: slow }, async (it) => {
	const c = await create(it, { items: [user('x')] });
	await flush(it);
	await append(it, c.id, 'y');
	await it.kill9();
	const cache = /^\s*cache\s*=\s*"([^"]+)"/m.exec(
	    fs.readFileSync(it.conf, 'utf8'))[1];
	fs.rmSync(cache, { recursive: true, force: true });
	fs.mkdirSync(cache);
	await it.restart();
	assert.deepEqual(await texts(it, c.id), ['x', 'y']);
});

withInstance('the journal alone is enough after kill -9', { include: slow },
    async (it) => {
	const made = [];
	for (let i = 0; i < 30; i++)
		made.push(await create(it, { items: [user(`j${i}`)] }));
	for (let round = 0; round < 3; round++) {
		await it.kill9();
		await it.restart();
		for (const [i, c] of made.entries()) {
			assert.equal((await texts(it, c.id))[0], `j${i}`);
			await append(it, c.id, `r${round}`);
		}
	}
	assert.equal((await texts(it, made[0].id)).join(), 'j0,r0,r1,r2');
});

/* --- torn tails ------------------------------------------------------------ */

/* Where the last batch ends: behind it there are zeros only. */
function endOf(bytes)
{
	let end = bytes.length;
	while (end > 0 && bytes[end - 1] === 0)
		end--;
	return (end);
}

withInstance('a torn tail opens and serves everything acknowledged',
    { include: slow }, async (it) => {
	const c = await create(it, { items: [user('first')] });
	for (let i = 0; i < 20; i++)
		await append(it, c.id, `t${i}`);
	const want = await texts(it, c.id);
	await it.kill9();
	const newest = path.basename(segments(it.store).at(-1));
	const whole = fs.readFileSync(path.join(it.store, 'journal', newest));
	const end = endOf(whole);
	const headers = [...whole.subarray(0, end).toString('latin1')
	    .matchAll(/\{"lsn":/g)].map((m) => m.index);
	assert.ok(headers.length >= 10, 'batches found in the segment');
	const lastBatch = whole.subarray(headers.at(-1), end);
	const tails = {
		'garbage': Buffer.from(Array.from({ length: 3000 }, () =>
		    Math.floor(Math.random() * 256))),
		'half a batch': lastBatch.subarray(0, lastBatch.length >> 1),
		'a batch without its last byte': lastBatch.subarray(0, -1),
		'the last batch once more': lastBatch,
		'one byte': Buffer.from('{'),
		'ones': Buffer.alloc(5000, 0xff),
		'a line of JSON': Buffer.from('{"lsn":1}\n'),
	};
	for (const [what, tail] of Object.entries(tails)) {
		const copy = copyOf(it.store);
		const bytes = Buffer.concat([whole.subarray(0, end), tail,
			Buffer.alloc(Math.max(0, whole.length - end - tail.length))]);
		fs.writeFileSync(path.join(copy, 'journal', newest), bytes);
		await on(copy, it.key, async (twin) => {
			assert.deepEqual(await texts(twin, c.id), want, what);
			await append(twin, c.id, 'goes on');
			await twin.kill9();
			await twin.restart();
			assert.deepEqual(await texts(twin, c.id),
			    [...want, 'goes on'], what);
		}, { allow: [/torn|copy|segment|journal/i], include: slow });
		drop(copy);
	}
	/* In place it is no copier's work, but a crash's. */
	const file = path.join(it.store, 'journal', newest);
	fs.writeFileSync(file, Buffer.concat([whole.subarray(0, end),
		tails['half a batch'], Buffer.alloc(1000)]));
	it.allow(/torn/i);
	await it.restart();
	assert.deepEqual(await texts(it, c.id), want);
	assert.match(it.logText(), /torn/);
});

withInstance('a last batch that is cut is absent, what is before is there',
    { include: slow }, async (it) => {
	const c = await create(it, { items: [user('first')] });
	for (let i = 0; i < 5; i++)
		await append(it, c.id, `${i}a`, `${i}b`);
	const want = await texts(it, c.id);
	await it.kill9();
	const newest = path.basename(segments(it.store).at(-1));
	const whole = fs.readFileSync(path.join(it.store, 'journal', newest));
	const end = endOf(whole);
	const start_ = whole.subarray(0, end).toString('latin1')
	    .lastIndexOf('{"lsn":');
	for (const at of [start_ + 1, start_ + 100, start_ + 192, end - 2]) {
		for (const isCut of [true, false]) {
			const copy = copyOf(it.store);
			const bytes = Buffer.from(whole);
			bytes.fill(0, at);
			fs.writeFileSync(path.join(copy, 'journal', newest),
			    isCut ? bytes.subarray(0, at) : bytes);
			await on(copy, it.key, async (twin) => {
				assert.deepEqual(await texts(twin, c.id),
				    want.slice(0, -2), `cut at ${at - start_}`);
				await append(twin, c.id, 'next');
				assert.equal((await texts(twin, c.id)).at(-1),
				    'next');
			}, { allow: [/torn|copy|segment|journal/i],
				include: slow });
			drop(copy);
		}
	}
	await it.restart();
});

/* --- retiring, limits ------------------------------------------------------ */

withInstance('segments are retired when all in them stands in documents',
    { include: 'flush_interval = "200ms"\njournal_segment = "64K"\n' +
    'journal_limit = "1M"\njournal_keep = "1s"\n' }, async (it) => {
	const c = await create(it);
	for (let i = 0; i < 60; i++)
		await append(it, c.id, `${i}`.padEnd(20_000, '.'));
	await until(() => segments(it.store).length <= 3, 20_000,
	    'at most three segments');
	const want = await texts(it, c.id);
	await it.kill9();
	await it.restart();
	assert.deepEqual(await texts(it, c.id), want);
	assert.equal(want.length, 60);
});

withInstance('a journal over journal_limit is flushed before its time',
    { include: slow + 'journal_segment = "128K"\njournal_limit = "256K"\n' },
    async (it) => {
	const c = await create(it);
	for (let i = 0; i < 40; i++)
		await append(it, c.id, 'x'.repeat(20_000));
	await until(() => documentOf(it.store, c.id) !== undefined, 10_000,
	    'a document');
});

withInstance('a flush every flush_interval, and one at the end',
    { include: 'flush_interval = "1s"\n' }, async (it) => {
	const c = await create(it, { items: [user('x')] });
	await until(() => documentOf(it.store, c.id) !== undefined, 5_000,
	    'a document');
	await append(it, c.id, 'y');
	await it.term();
	assert.match(fs.readFileSync(documentOf(it.store, c.id), 'utf8'), /"y"/);
	await it.restart();
});

withInstance('beyond once_limit keyed requests get 429, others go on',
    { include: slow + 'once_limit = 10\n' }, async (it) => {
	const c = await create(it);
	const send = (k, t = k) => it.req('POST', `/conversations/${c.id}/items`,
	    { headers: k === null ? {} : { 'idempotency-key': k },
		body: { items: [user(t)] } });
	for (let i = 0; i < 10; i++)
		ok(await send(`k${i}`));
	const r = await send('k10');
	refused(r, 429);
	assert.ok(r.headers['retry-after'] !== undefined);
	ok(await send('k3'));
	ok(await send(null, 'unkeyed'));
	assert.equal((await texts(it, c.id)).length, 11);
});

withInstance('limits of the configuration are those in force',
    { include: 'max_body = "64K"\nmax_item = "16K"\n' +
    'max_items_per_request = 3\n' }, async (it) => {
	const c = await create(it);
	const send = (items) => it.req('POST', `/conversations/${c.id}/items`,
	    { body: { items } });
	const many = refused(await send(Array(4).fill(user('x'))), 400,
	    { code: 'array_above_max_length', param: 'items' });
	assert.match(many.message, /\b3\b/);
	refused(await send([user('x'.repeat(17_000))]), 413);
	refused(await send([user('x'.repeat(70_000))]), 413,
	    { code: 'request_too_large' });
	ok(await send(Array(3).fill(user('x'))));
	ok(await send([user('x'.repeat(15_000))]));
});

withInstance('many conversations: a flush while senders send', {
    include: 'flush_interval = "200ms"\n' }, async (it) => {
	const all = await parallel(16, Array.from({ length: 400 }, (_, i) =>
	    () => create(it, { items: [user(`m${i}`)] })));
	await parallel(16, all.map((c) => () => append(it, c.id, 'two')));
	await it.kill9();
	await it.restart();
	await parallel(16, all.map((c, i) => async () =>
	    assert.deepEqual(await texts(it, c.id), [`m${i}`, 'two'])));
});
