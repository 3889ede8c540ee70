/**
 * Limits that a real kernel sets (promise 8): a small file system that is
 * full or read-only, files that may not grow (RLIMIT_FSIZE), descriptors that
 * run out (RLIMIT_NOFILE).  Nothing acknowledged is lost, reads go on, what
 * makes room is still taken, and service resumes by itself.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { isAlive, judged, must, ok, patience, refused, run, sleep, start, text,
	until, user } from './harness.mjs';
import { checkDocument, documentOf, documents, segments } from
    './documents.mjs';
import { SmallDisk, noSmallDisk } from './smalldisk.mjs';

const include = 'flush_interval = "1h"\njournal_segment = "256K"\n' +
    'journal_keep = "1s"\ndisk_reserve = "64K"\n';

/* Run fn with an instance whose store is on a small disk. */
function onSmallDisk(name, bytes, fn)
{
	test(name, { timeout: 90_000 * patience, skip: noSmallDisk }, async () => {
		const disk = await SmallDisk.make(bytes);
		try {
			const it = await start({ include, within: disk.within,
				args: ['--store', path.join(disk.dir, 'store')] });
			await judged(it, () => fn(it, disk));
		} finally {
			await disk.end();
		}
	});
}

const create = async (it, body = {}) =>
    ok(await it.req('POST', '/conversations', { body })).id;
const send = (it, conv, content, key) =>
    it.req('POST', `/conversations/${conv}/items`, {
	headers: key === undefined ? {} : { 'idempotency-key': key },
	body: { items: [user(content)] } });
const items = async (it, conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc&limit=1000`)).data;
/* The first word of each: what follows fills the disk. */
const texts = async (it, conv) => (await items(it, conv)).map((i) =>
    text(i).split(' ')[0]);
let serial = 0;

/* Send until the disk takes no more; what was acknowledged, in order. */
async function sendUntilFull(it, conv, size)
{
	const acked = [];
	for (let i = 0; i < 2000; i++) {
		const word = `n${++serial}`;
		const r = await send(it, conv, `${word} ${'x'.repeat(size)}`);
		if (r.status === 200) {
			acked.push(word);
			continue;
		}
		/* One that met it may have been on its way. */
		if (r.status === 503) {
			refused(r, 503, { code: 'outcome_unknown' });
			continue;
		}
		refused(r, 507, { code: 'storage_full' });
		assert.equal(r.headers['x-should-retry'], 'false');
		assert.ok(Number(r.headers['retry-after']) >= 1);
		return (acked);
	}
	throw new Error('the disk was never full');
}

/* All that was acknowledged is there, in its order. */
function holds(there, acked)
{
	const set = new Set(acked);
	assert.deepEqual(there.filter((t) => set.has(t)), acked);
}

/* As much as was refused before. */
const resumed = (it, conv, size = 20_000) => until(async () =>
    (await send(it, conv, `resumed ${'x'.repeat(size)}`)).status === 200,
    20_000, 'a send is taken again');

onSmallDisk('a full disk: 507, reads and deletions go on, nothing is lost', 6 << 20, async (it, disk) => {
	it.allow(/No space left|journal|space/);
	const kept = await create(it, { items: [user('kept')] });
	const doomed = await create(it, { items: [user('doomed')] });
	const conv = await create(it, { items: Array.from({ length: 30 },
	    (_, i) => user(`d${i}`, { id: `d${i}` })) });
	assert.equal(it.ctl(['flush']).status, 0);
	assert.ok(disk.fill() > 0);
	const acked = await sendUntilFull(it, conv, 2000);
	/* The journal works, and yet it is better not sent requests. */
	const watch = await it.req('GET', '/readyz', { key: null, base: false });
	assert.deepEqual([watch.status, watch.json?.reasons],
	    [503, ['disk_full']]);

	/* Readers notice nothing. */
	holds(await texts(it, conv), acked);
	assert.deepEqual(await texts(it, kept), ['kept']);
	assert.equal(ok(await it.req('GET', '/conversations?limit=100'))
	    .data.length, 3);
	/* What makes room is taken, for good; the rest still is not. */
	for (let i = 0; i < 30; i++) {
		ok(await it.req('DELETE', `/conversations/${conv}/items/d${i}`));
		refused(await send(it, conv, 'x'.repeat(2000)), 507);
	}
	ok(await it.req('DELETE', `/conversations/${doomed}`));
	assert.deepEqual(await texts(it, conv), acked);

	await it.kill9();
	disk.free();
	await it.restart();
	assert.deepEqual(await texts(it, conv), acked);
	refused(await it.req('GET', `/conversations/${doomed}`), 404);
	ok(await send(it, conv, 'room'));
	ok(await it.req('GET', '/readyz', { key: null, base: false }));
});

onSmallDisk('room is made on a full disk: it resumes by itself', 6 << 20,
    async (it, disk) => {
	it.allow(/No space left|journal|space/);
	const conv = await create(it);
	for (let round = 0; round < 2; round++) {
		disk.fill();
		const acked = await sendUntilFull(it, conv, 20_000);
		const key = `round-${round}`;
		const content = `${key} ${'x'.repeat(20_000)}`;
		refused(await send(it, conv, content, key), 507);
		disk.free();
		await resumed(it, conv);
		/* What was refused was not done; with its key it is, once. */
		assert.ok(!(await texts(it, conv)).includes(key));
		ok(await send(it, conv, content, key));
		ok(await send(it, conv, content, key));
		const there = await texts(it, conv);
		holds(there, acked);
		assert.equal(there.filter((t) => t === key).length, 1);
		/* Documents and the journal that they stand for. */
		assert.equal(it.ctl(['flush']).status, 0);
	}
	const before = await texts(it, conv);
	await it.term();
	for (const f of documents(path.join(disk.seen, 'store')))
		checkDocument(f);
	await it.restart();
	assert.deepEqual(await texts(it, conv), before);
});

/* Start on the disk as it is; returns what the log said, when it is up or down. */
async function restarted(it)
{
	const from = it.logText().length;
	const said = () => it.logText().slice(from);
	await it.restart({ wait: false });
	await until(() => it.child.exitCode !== null ||
	    / msg="ready /.test(said()), 20_000, 'it starts or ends');
	return (said());
}

onSmallDisk('a restart on the full disk: the journal gives what it did not use',
    6 << 20, async (it, disk) => {
	it.allow(/No space left|journal|space|flush|document/);
	const conv = await create(it, { items: [user('kept')] });
	/* It has its spare. */
	await until(() => segments(path.join(disk.seen,
	    'store')).length === 2);
	disk.fill();
	await it.kill9();
	assert.match(await restarted(it), /is given back/);
	assert.deepEqual(await texts(it, conv), ['kept']);
	const acked = ['kept', ...await sendUntilFull(it, conv, 2000)];
	/* It has none. */
	disk.fill();
	await it.kill9();
	assert.match(await restarted(it), /is given back/);
	assert.deepEqual(await texts(it, conv), acked);
	const [doomed] = await items(it, conv);
	ok(await it.req('DELETE', `/conversations/${conv}/items/${doomed.id}`));
	acked.shift();
	disk.free();
	await resumed(it, conv);
	await it.kill9();
	await it.restart();
	holds(await texts(it, conv), acked);
});

onSmallDisk('a restart without any room: it says so, and harms nothing', 6 << 20,
    async (it, disk) => {
	it.allow(/No space left|journal|space|flush|document/);
	const conv = await create(it, { items: [user('kept')] });
	disk.fill();
	const acked = await sendUntilFull(it, conv, 2000);
	await it.term();
	/* Each takes what the journal has left, until none is. */
	let said;
	for (let i = 0; i < 5; i++) {
		disk.fill();
		said = await restarted(it);
		if (it.child.exitCode !== null)
			break;
		holds(await texts(it, conv), acked);
		await it.kill9();
	}
	assert.equal(it.child.exitCode, 1);
	assert.match(said, /level=error msg="journal: no room for a fresh segment; make some on the disk of .*No space left on device/);
	/* As much as the page says is enough. */
	disk.free(disk.filled() - 65536);
	await restarted(it);
	holds(await texts(it, conv), acked);
	disk.free();
	await resumed(it, conv);
	await it.kill9();
	await it.restart();
	holds(await texts(it, conv), acked);
	assert.equal((await texts(it, conv))[0], 'kept');
});

onSmallDisk('a store on a read-only medium: it says so, and harms nothing',
    6 << 20, async (it, disk) => {
	const conv = await create(it, { items: [user('kept')] });
	await it.kill9();
	disk.remount('ro');
	it.allow(/Read-only file system/);
	const from = it.logText().length;
	await it.restart({ wait: false });
	await until(() => it.child.exitCode !== null, 10_000, 'its end');
	assert.equal(it.child.exitCode, 1);
	assert.match(it.logText().slice(from),
	    /level=error .*Read-only file system/);
	/* All of it can be read there all the same. */
	const dump = it.ctl(['dump', path.join(disk.dir, 'store')]);
	assert.equal(dump.status, 0, dump.all);
	const [line] = dump.out.trim().split('\n').map((l) => JSON.parse(l));
	assert.equal(line.conversation.id, conv);
	assert.equal(text(line.items[0].item), 'kept');
	disk.remount('rw');
	await it.restart();
	assert.deepEqual(await texts(it, conv), ['kept']);
	ok(await send(it, conv, 'more'));
});

/* --- limits of the process --------------------------------------------------- */

function limited(name, fn)
{
	test(name, { timeout: 90_000 * patience }, async () => {
		const it = await start({ include });
		await judged(it, () => fn(it));
	});
}

/* The soft limit alone: it can be given back. */
const limit = (it, what, value) =>
    must(['prlimit', '--pid', String(it.pid), `--${what}=${value}:`]);

limited('files may not grow (RLIMIT_FSIZE): 507, and it resumes', async (it) => {
	it.allow(/File too large|journal|space/);
	const conv = await create(it, { items: [user('kept')] });
	/* Its own log file is hit as well, which must stop nothing. */
	limit(it, 'fsize', 4096);
	const acked = await sendUntilFull(it, conv, 20_000);
	holds(await texts(it, conv), acked);
	assert.equal((await texts(it, conv))[0], 'kept');
	const ready = await it.req('GET', '/readyz', { base: false, key: null });
	assert.equal(ready.status, 503);
	limit(it, 'fsize', 'unlimited');
	await resumed(it, conv);
	assert.equal(it.ctl(['flush']).status, 0);
	await it.kill9();
	await it.restart();
	holds(await texts(it, conv), acked);
	assert.equal((await texts(it, conv))[0], 'kept');
});

limited('files may not grow at the start and at the end: no signal ends it',
    async (it) => {
	it.allow(/File too large|journal|space|document/);
	const conv = await create(it, { items: [user('kept')] });
	await it.kill9();
	/* Enough for the log. */
	it.within = ['prlimit', '--fsize=16384:'];
	await it.restart({ wait: false });
	await until(() => it.child.exitCode !== null ||
	    it.child.signalCode !== null, 10_000, 'its end');
	assert.equal(it.child.signalCode, null);
	assert.equal(it.child.exitCode, 1);
	assert.match(it.logText(), /level=error .*File too large/);

	it.within = [];
	await it.restart();
	ok(await send(it, conv, `last ${'x'.repeat(30_000)}`));
	limit(it, 'fsize', 16384);
	await it.term();
	assert.equal(it.child.signalCode, null);
	assert.equal(it.child.exitCode, 1, 'not all could be written');
	await it.restart();
	assert.deepEqual(await texts(it, conv), ['kept', 'last']);
});

const descriptors = (it) => fs.readdirSync(`/proc/${it.pid}/fd`);

/* The lowest number that no descriptor has: what the limit is about. */
function firstFree(it)
{
	const taken = new Set(descriptors(it).map(Number));
	let n = 0;

	while (taken.has(n))
		n++;
	return (n);
}

/* Ticks of processor time that the daemon has used, 1/100 s each. */
function ticks(it)
{
	const stat = fs.readFileSync(`/proc/${it.pid}/stat`, 'utf8');
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return (Number(fields[11]) + Number(fields[12]));
}

limited('descriptors run out (RLIMIT_NOFILE): who is connected is served, and ' +
    'others when they can be', async (it) => {
	it.allow(/accept paused: no descriptors/);
	const conv = await create(it, { items: [user('kept')] });
	/* One connection all the way. */
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const one = (method, target, body) =>
	    it.req(method, target, { agent, body });
	ok(await one('GET', `/conversations/${conv}`));
	/* Folders it needs are open by now. */
	assert.equal(it.ctl(['flush']).status, 0);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0);

	/* And so is the next segment. */
	await until(() => segments(it.store).length >= 2);
	limit(it, 'nofile', firstFree(it) + 8);
	const from = it.logText().length;
	const crowd = Array.from({ length: 40 }, () => {
		const s = net.connect(it.env.FCGI_SOCKET);
		s.on('error', () => {});
		return (s);
	});
	await until(() => /accept paused/.test(it.logText().slice(from)),
	    10_000, 'it is told that descriptors ran out');
	/* None at all: documents are written with what was kept back. */
	limit(it, 'nofile', firstFree(it));
	ok(await one('POST', `/conversations/${conv}/items`,
	    { items: [user('first')] }));
	process.kill(it.pid, 'SIGUSR1');
	await until(() => fs.readFileSync(documentOf(it.store, conv), 'utf8')
	    .includes('"first"'), 15_000, 'the document');
	/* And several segments are opened. */
	const sent = [];
	for (let i = 0; i < 40; i++) {
		const word = `n${++serial}`;
		ok(await one('POST', `/conversations/${conv}/items`,
		    { items: [user(`${word} ${'x'.repeat(20_000)}`)] }));
		sent.push(word);
	}
	/* Whoever waits for a descriptor does not spin. */
	const used = ticks(it);
	await sleep(1000);
	assert.ok(ticks(it) - used < 50, `${ticks(it) - used} ticks`);
	const told = it.logText().slice(from).match(/accept paused/g);
	assert.ok(told.length <= 2, 'once for each worker');

	crowd.forEach((s) => s.destroy());
	/* A connection of its own gets through. */
	await until(async () => {
		const r = await it.req('GET', `/conversations/${conv}`,
		    { agent: new http.Agent() });
		return (r.status === 200);
	}, 20_000, 'a new connection is served');
	limit(it, 'nofile', 1024);
	const there = await texts(it, conv);
	assert.deepEqual(there, ['kept', 'first', ...sent]);
	agent.destroy();
});
