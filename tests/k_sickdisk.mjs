/**
 * A disk that is slow or fails while the daemon runs (promise 8), behind
 * nginx: what callers are told, what readers are shown, what the log says,
 * and that all is well again when the disk is.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { suite, ok, refused, user, text, until, sleep } from './harness.mjs';
import { documentOf, segments } from './documents.mjs';
import { SickDisk } from './sickdisk.mjs';

/* Flushes are asked for, but for the one at the end. */
const { test: plainTest, it } = suite({
	include: 'flush_interval = "1h"\njournal_segment = "256K"\n' +
	    'journal_keep = "1s"\n',
	setup: async (instance) => {
		await instance.term();
		disk = new SickDisk(instance);
		await disk.start();
	} });
let disk;
let n = 0;

/* Whatever comes of a test, the next one finds the disk well. */
const test = (name, fn, options) => plainTest(name, async () => {
	try {
		await fn();
	} finally {
		disk.heal();
		await until(async () => (await it.req('POST', '/conversations',
		    { body: {} })).status === 200, 20_000, 'it takes changes again');
	}
}, options);

const journal = '/journal/';
const documentsOf = '/tenants/';
const fresh = () => `sick-${process.pid}-${++n}`;
const create = async (body = {}) =>
    ok(await it.req('POST', '/conversations', { body }));
const send = (conv, content, { key, ...options } = {}) =>
    it.req('POST', `/conversations/${conv}/items`, { ...options,
	headers: key === undefined ? {} : { 'idempotency-key': key },
	body: { items: [user(content)] } });
const texts = async (conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc&limit=1000`)).data.map(text);

const status = () => JSON.parse(it.ctl(['-j', 'status']).out);

/* What the log says of warnings and errors from now on. */
function watchLog()
{
	const from = it.logText().length;
	return (() => it.logText().slice(from).split('\n').filter((l) =>
	    /\blevel=(warn|error)\b/.test(l)));
}

const noSpare = /no spare segment can be made/;

/*
 * Exactly these lines, in this order, since watchLog(); and it may be told
 * once that the segment to come could not be made.
 */
function saidExactly(lines, ...patterns)
{
	const all = lines();
	const said = all.filter((l) => !noSpare.test(l));
	assert.ok(all.length - said.length <= 1, all.join('\n'));
	it.allow(noSpare);
	assert.equal(said.length, patterns.length, said.join('\n'));
	patterns.forEach((re, i) => assert.match(said[i], re));
	it.allow(...patterns);
}

const broke = /journal is broken, changes are refused/;
const mended = /journal works again/;
const moved = /its batch is now in/;

async function isReady(reason)
{
	const r = await it.req('GET', '/readyz', { base: false, key: null });
	assert.equal(r.status, reason === undefined ? 200 : 503, r.text);
	assert.deepEqual(r.json.reasons, reason === undefined ? undefined :
	    [reason]);
}

/* The service resumes by itself. */
async function resumed(conv)
{
	await until(async () => (await send(conv, 'resumed')).status === 200,
	    15_000, 'a send is taken again');
}

async function afterCrash(check)
{
	await check();
	disk.heal();
	await it.kill9();
	await disk.start();
	await check();
}

/* --- the journal, once ------------------------------------------------------ */

for (const [calls, error] of [['fdatasync', 'EIO'], ['pwritev', 'EIO'],
    ['pwritev', 'ENOSPC'], ['fdatasync', 'EDQUOT']])
	test(`${calls} of the journal fails once with ${error}: nobody notices`,
	    async () => {
		const conv = (await create()).id;
		const lines = watchLog();
		const rule = disk.ail({ calls, part: journal, error, times: 1 });
		const client = it.client();
		const made = await client.conversations.items.create(conv,
		    { items: [user('one')] });
		assert.equal(disk.hits(rule).length, 1);
		ok(await send(conv, 'two'));
		saidExactly(lines, moved);
		await afterCrash(async () => {
			const page = await client.conversations.items.list(conv,
			    { order: 'asc' });
			assert.deepEqual(page.data.map(text), ['one', 'two']);
			assert.equal(page.data[0].id, made.data[0].id);
		});
	});

/* --- the journal, for a while ----------------------------------------------- */

/*
 * A send is waiting for the disk when it fails for good, others come while it
 * is broken, and then the disk is well again.
 */
async function breakdown(error, refusal, code)
{
	const conv = (await create()).id;
	const other = (await create({ title: 'old', items:
	    [user('of old', { id: 'old' })] })).id;
	const doomed = (await create({ items: [user('doomed')] })).id;
	ok(await send(conv, 'before'));
	const list = async () => ok(await it.req('GET',
	    '/conversations?sort=created_at&limit=1000')).data;
	const read = () => Promise.all([texts(conv), texts(other),
		texts(doomed), list()]);
	const listed = await list();
	const lines = watchLog();
	const { lsn } = status();

	const held = disk.hold({ calls: 'fdatasync', part: journal });
	const key = fresh();
	const waiting = send(conv, 'waiting', { key });
	const unkeyed = send(conv, 'waiting unkeyed');
	const created = it.req('POST', '/conversations', { body: {},
		headers: { 'idempotency-key': key } });
	const others = [
		it.req('PATCH', `/conversations/${other}`,
		    { body: { title: 'new' } }),
		it.req('DELETE', `/conversations/${other}/items/old`),
		it.req('DELETE', `/conversations/${doomed}`),
	];
	await disk.reached(held);
	await until(() => status().lsn >= lsn + 6, 10_000, 'all six wait');
	/* Who waits to read when it breaks is shown what is durable, too. */
	const parked = read();
	parked.catch(() => {});
	/* The others are in the next batch; none is acknowledged. */
	disk.ail({ part: journal, error });
	for (const r of await Promise.all([waiting, unkeyed, created,
	    ...others])) {
		refused(r, 503, { code: 'outcome_unknown' });
		assert.ok(Number(r.headers['retry-after']) >= 1);
	}

	for (const change of [() => send(conv, 'refused'),
	    () => it.req('POST', '/conversations', { body: {} }),
	    () => it.req('PATCH', `/conversations/${other}`,
		{ body: { title: 't' } }),
	    () => it.req('DELETE', `/conversations/${other}`)]) {
		const r = await change();
		refused(r, refusal, { code });
		assert.ok(Number(r.headers['retry-after']) >= 1, 'Retry-After');
		assert.equal(r.headers['x-should-retry'],
		    refusal === 507 ? 'false' : undefined);
	}
	for (const shown of [await parked, await read()])
		assert.deepEqual(shown, [['before'], ['of old'], ['doomed'],
		    listed]);
	const head = ok(await it.req('GET', `/conversations/${other}`));
	assert.equal(head.title, 'old');
	assert.equal(head.item_count, 1);
	await isReady(refusal === 507 ? 'disk_full' : 'journal_broken');
	return ({ conv, other, doomed, key, lines });
}

/* The retry with the same key has the one true outcome, and once. */
async function settled({ conv, other, doomed, key, lines })
{
	disk.heal();
	await resumed(conv);
	/* And the segment to come is made again. */
	await until(() => status().health === 'ok', 15_000, 'all is well');
	await isReady();
	saidExactly(lines, broke, mended);
	const one = await send(conv, 'waiting', { key });
	const two = await send(conv, 'waiting', { key });
	assert.deepEqual(ok(one), ok(two));
	/* What was only asked for is done by now. */
	assert.deepEqual(await texts(other), []);
	assert.equal(ok(await it.req('GET', `/conversations/${other}`)).title,
	    'new');
	refused(await it.req('GET', `/conversations/${doomed}`), 404);
	const made = await Promise.all([1, 2].map(() => it.req('POST',
	    '/conversations', { body: {}, headers: { 'idempotency-key': key } })));
	assert.equal(ok(made[0]).id, ok(made[1]).id);
	await afterCrash(async () => {
		const all = await texts(conv);
		assert.equal(all.filter((t) => t === 'waiting').length, 1);
		assert.ok(all.filter((t) => t === 'waiting unkeyed').length <= 1);
		assert.ok(!all.includes('refused'));
		assert.equal(all[0], 'before');
		assert.deepEqual(ok(await send(conv, 'waiting', { key })), ok(one));
		assert.equal(ok(await it.req('GET', `/conversations/${conv}`))
		    .item_count, all.length);
	});
}

for (const [error, status, code] of [['EIO', 503, 'storage_unavailable'],
    ['EROFS', 503, 'storage_unavailable'], ['ENOSPC', 507, 'storage_full'],
    ['EDQUOT', 507, 'storage_full']])
	test(`the journal fails for a while with ${error}: ${status}, and it ` +
	    'resumes by itself', async () => {
		await settled(await breakdown(error, status, code));
	});

test('kill -9 while the journal is broken loses nothing acknowledged',
    async () => {
	const { conv, key, lines } = await breakdown('EIO', 503,
	    'storage_unavailable');
	saidExactly(lines, broke);
	await it.kill9();
	disk.heal();
	await disk.start();
	const there = await texts(conv);
	assert.equal(there[0], 'before');
	/* It may have reached the disk, and then it is done already. */
	const one = ok(await send(conv, 'waiting', { key }));
	assert.equal(one.data.length, 1);
	assert.equal((await texts(conv)).filter((t) => t === 'waiting').length, 1);
});

test('an unmodified client waits out a short failure, and its item is there ' +
    'once', async () => {
	const conv = (await create()).id;
	const lines = watchLog();
	disk.ail({ part: journal, error: 'EIO' });
	const statuses = [];
	const client = it.client({ maxRetries: 5, fetch: async (url, init) => {
		const r = await fetch(url, init);
		statuses.push(r.status);
		if (statuses.length === 2)
			disk.heal();
		return (r);
	} });
	const made = await client.conversations.items.create(conv,
	    { items: [user('patient')] });
	assert.equal(statuses[0], 503);
	assert.equal(statuses.at(-1), 200);
	saidExactly(lines, broke, mended);
	await afterCrash(async () => {
		const page = await client.conversations.items.list(conv);
		assert.deepEqual(page.data.map((i) => i.id),
		    made.data.map((i) => i.id));
	});
});

test('a full disk is told to a client at once: no retry', async () => {
	const conv = (await create()).id;
	const lines = watchLog();
	disk.ail({ part: journal, error: 'ENOSPC' });
	await assert.rejects(it.client().conversations.items.create(conv,
	    { items: [user('meets it')] }), (e) => e.status === 503);
	let calls = 0;
	const client = it.client({ maxRetries: 5, fetch: (url, init) => {
		calls++;
		return (fetch(url, init));
	} });
	await assert.rejects(client.conversations.items.create(conv,
	    { items: [user('no')] }), (e) => e.status === 507 &&
	    e.code === 'storage_full');
	assert.equal(calls, 1);
	disk.heal();
	await resumed(conv);
	saidExactly(lines, broke, mended);
});

/* --- a slow disk ------------------------------------------------------------ */

test('while one fdatasync takes seconds, others are read; the send is ' +
    'acknowledged after it', async () => {
	const conv = (await create({ items: [user('one')] })).id;
	const other = (await create({ items: [user('other')] })).id;
	const held = disk.hold({ calls: 'fdatasync', part: journal });
	let isAnswered = false;
	const slow = send(conv, 'slow').then((r) => {
		isAnswered = true;
		return (r);
	});
	await disk.reached(held);
	/* This one is in the batch behind it. */
	const next = it.req('DELETE', `/conversations/${other}/items/none`);
	const made = it.req('POST', '/conversations', { body: {} });
	const end = Date.now() + 4_000;
	let reads = 0;
	while (Date.now() < end) {
		assert.deepEqual(await texts(other), ['other']);
		ok(await it.req('GET', `/conversations/${other}`));
		reads++;
	}
	assert.ok(reads >= 10, `${reads} reads`);
	assert.equal(isAnswered, false);
	assert.equal(disk.hits(held).length, 1, 'one fdatasync at a time');
	disk.end(held);
	ok(await slow);
	ok(await made);
	refused(await next, 404);
	await afterCrash(async () =>
	    assert.deepEqual(await texts(conv), ['one', 'slow']));
});

test('every call is slow: sends are slow, and right', async () => {
	const conv = (await create()).id;
	disk.ail({ calls: 'fdatasync,fsync,pwritev', ms: 40 });
	const sent = await Promise.all(Array.from({ length: 40 }, (_, i) =>
	    send(conv, `s${i}`)));
	const order = sent.map((r, i) => [ok(r).data[0].id, `s${i}`]);
	assert.equal(it.ctl(['flush']).status, 0);
	disk.heal();
	const there = ok(await it.req('GET',
	    `/conversations/${conv}/items?limit=100`)).data;
	assert.equal(there.length, 40);
	assert.deepEqual(new Map(there.map((i) => [i.id, text(i)])),
	    new Map(order));
});

/* --- documents -------------------------------------------------------------- */

const isClean = () => until(() => status().dirty === 0, 15_000,
    'nothing is dirty');

async function flushed()
{
	assert.equal(it.ctl(['flush']).status, 0);
	await isClean();
}

/* The oldest of the journal's files in which the conversation stands. */
const holder = (conv) => segments(it.store).find((f) =>
    fs.readFileSync(f).includes(conv));

for (const [calls, error] of [['fsync', 'EIO'], ['write', 'ENOSPC'],
    ['renameat', 'EIO'], ['creat', 'EROFS'], ['creat', 'EMFILE']])
	test(`documents cannot be written (${calls}: ${error}): they stay ` +
	    'dirty, hold the journal and are written when they can be',
	    async () => {
		const conv = (await create({ items: [user('kept')] })).id;
		await it.kill9();
		await disk.start();
		const segment = holder(conv);
		const lines = watchLog();
		const rule = disk.ail({ calls, part: documentsOf, error });
		for (let i = 1; i <= 3; i++) {
			it.ctl(['flush']);
			await disk.reached(rule, i);
			/* What is sent goes on all the while. */
			ok(await send(conv, `more ${i}`));
			/* Longer than journal_keep. */
			await sleep(600);
			assert.ok(fs.existsSync(segment), 'the journal is held');
			assert.ok(status().dirty > 0);
		}
		/* A disk that is full for documents alone takes a new spare. */
		const said = lines().filter((l) => !/spare .* makes room/.test(l));
		/* Once, however often it is tried. */
		assert.equal(said.length, 1, said.join('\n'));
		for (const l of said)
			assert.match(l, /conv_|tenant|once|flush|document/);
		it.allow(/level=(warn|error)/);

		disk.heal();
		await flushed();
		await until(() => documentOf(it.store, conv) !== undefined, 15_000,
		    'its document');
		await until(() => {
			it.ctl(['flush']);
			return (!fs.existsSync(segment));
		}, 15_000, 'the journal is let go');
		await afterCrash(async () => assert.deepEqual(await texts(conv),
		    ['kept', 'more 1', 'more 2', 'more 3']));
	});

/* --- killed at every call ---------------------------------------------------- */

/*
 * Let what begin(arm, n) does after arm() come to its first call that changes
 * a file, kill -9 the daemon there, look what is left; then to its second, and
 * so on, until isOver() says that it got through.  Returns how many calls that
 * were.
 */
async function killedAtEach(begin, isOver, check)
{
	for (let n = 1; ; n++) {
		let held;
		await begin(() => held = disk.holdNth(n, {}), n);
		await until(() => disk.hits(held).length > 0 || isOver(), 20_000,
		    `call ${n}, or the end`);
		const call = disk.hits(held)[0];
		await it.kill9();
		disk.heal();
		await disk.start();
		try {
			await check(n);
		} catch (e) {
			e.message += `\nafter a kill -9 at call ${n}: ${call}`;
			throw e;
		}
		if (call === undefined)
			return (n - 1);
	}
}

test('killed at each call of a flush', async () => {
	it.allow(/\btorn\b/);
	let conv, doomed, key;
	const calls = await killedAtEach(async (arm, n) => {
		key = fresh();
		conv = (await create({ title: 't', items: [user('old')] })).id;
		doomed = (await create({ items: [user('z')] })).id;
		if (n % 2 === 0)
			await flushed();
		ok(await send(conv, `new ${n}`, { key }));
		ok(await it.req('PATCH', `/conversations/${conv}`,
		    { body: { title: 'u' } }));
		ok(await it.req('DELETE', `/conversations/${doomed}`));
		arm();
		assert.equal(it.ctl(['flush']).status, 0);
	}, () => status().dirty === 0, async (n) => {
		const want = ['old', `new ${n}`];
		assert.deepEqual(await texts(conv), want);
		const c = ok(await it.req('GET', `/conversations/${conv}`));
		assert.equal(c.title, 'u');
		refused(await it.req('GET', `/conversations/${doomed}`), 404);
		ok(await send(conv, `new ${n}`, { key }));
		assert.deepEqual(await texts(conv), want, 'its retry adds nothing');
	});
	assert.ok(calls >= 8, `${calls} calls`);
}, { timeout: 120_000 });

test('killed at each call of a start', async () => {
	it.allow(/\btorn\b/);
	const conv = (await create()).id;
	const want = [];
	const key = fresh();
	ok(await send(conv, 'keyed', { key }));
	want.push('keyed');
	const calls = await killedAtEach(async (arm, n) => {
		ok(await send(conv, `s${n}`));
		want.push(`s${n}`);
		await it.kill9();
		arm();
		await disk.start({ wait: false });
	}, () => it.logText().includes(`ready pid=${it.pid} `), async () => {
		assert.deepEqual(await texts(conv), want);
		ok(await send(conv, 'keyed', { key }));
		assert.deepEqual(await texts(conv), want, 'its retry adds nothing');
	});
	assert.ok(calls >= 5, `${calls} calls`);
}, { timeout: 120_000 });

test('killed at each call of sends that fill more than a segment', async () => {
	it.allow(/\btorn\b/);
	let conv, acked, sent;
	const size = 40_000;
	const calls = await killedAtEach(async (arm) => {
		conv = (await create()).id;
		acked = [];
		arm();
		sent = (async () => {
			for (let i = 0; i < 10; i++) {
				const content = `s${i} ${'x'.repeat(size)}`;
				const r = await send(conv, content);
				if (r.status !== 200)
					return;
				acked.push(`s${i}`);
			}
		})();
	}, () => acked.length === 10, async () => {
		await sent;
		const there = (await texts(conv)).map((t) => t.split(' ')[0]);
		/* One more may have been on its way. */
		assert.deepEqual(there.slice(0, acked.length), acked);
		assert.ok(there.length <= acked.length + 1);
		assert.deepEqual(there, there.map((_, i) => `s${i}`));
	});
	assert.ok(calls >= 10, `${calls} calls`);
}, { timeout: 120_000 });
