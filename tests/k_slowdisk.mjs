/**
 * A disk on which each fdatasync of the journal takes ten seconds (promise
 * 8): who waits is acknowledged behind it, or told after request_timeout that
 * the outcome is unknown; reads go on, and nothing is lost or done twice.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judged, ok, patience, refused, start, text, until, user } from
    './harness.mjs';
import { SickDisk } from './sickdisk.mjs';

const slow = { calls: 'fdatasync', part: '/journal/', ms: 10_000 };

/* Run fn with an instance of its own, on a disk that is well at first. */
function onDisk(name, include, fn)
{
	test(name, { timeout: 90_000 * patience }, async () => {
		const it = await start({ include: `flush_interval = "1h"\n${include}` });
		await judged(it, async () => {
			await it.term();
			const disk = new SickDisk(it);
			await disk.start();
			await fn(it, disk);
		});
	});
}

const create = async (it, content) => ok(await it.req('POST',
    '/conversations', { body: { items: [user(content)] } })).id;
const send = (it, conv, content, key) =>
    it.req('POST', `/conversations/${conv}/items`, {
	headers: { 'idempotency-key': key },
	body: { items: [user(content)] } });
const texts = async (it, conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc`)).data.map(text);
const ready = async (it) => {
	const r = await it.req('GET', '/readyz', { base: false, key: null });
	return (r.status === 200 ? [] : r.json.reasons);
};

/* Read until promise is kept: the others, that wait for nothing. */
async function readUntil(it, other, promise)
{
	let isOver = false, reads = 0;
	promise.then(() => isOver = true, () => isOver = true);
	while (!isOver) {
		assert.deepEqual(await texts(it, other), ['other']);
		ok(await it.req('GET', `/conversations/${other}`));
		reads++;
	}
	assert.ok(reads >= 10, `${reads} reads`);
	return (await promise);
}

describe('a slow disk', { concurrency: true }, () => {
	onDisk('an fdatasync of ten seconds: others are read, and the send is ' +
	    'acknowledged after it', '', async (it, disk) => {
		const conv = await create(it, 'one');
		const other = await create(it, 'other');
		const rule = disk.ail({ ...slow, times: 1 });
		const sent = send(it, conv, 'slow', 'key');
		await disk.reached(rule);
		/* This one is in the batch behind it. */
		const made = create(it, 'made');
		const first = ok(await readUntil(it, other, sent));
		assert.deepEqual(await texts(it, await made), ['made']);
		await it.kill9();
		await disk.start();
		assert.deepEqual(ok(await send(it, conv, 'slow', 'key')), first);
		assert.deepEqual(await texts(it, conv), ['one', 'slow']);
	});

	onDisk('an fdatasync of ten seconds, and request_timeout is four: ' +
	    'disk_hangs, until it is over', 'request_timeout = "4s"\n',
	async (it, disk) => {
		it.allow(/the disk hangs/);
		const conv = await create(it, 'one');
		const other = await create(it, 'other');
		assert.deepEqual(await ready(it), []);
		const rule = disk.ail({ ...slow, times: 1 });
		const sent = send(it, conv, 'slow', 'key');
		await disk.reached(rule);
		const behind = send(it, conv, 'behind', 'behind');
		for (const r of await readUntil(it, other,
		    Promise.all([sent, behind]))) {
			refused(r, 503, { code: 'outcome_unknown' });
			assert.ok(Number(r.headers['retry-after']) >= 1);
		}
		assert.deepEqual(await ready(it), ['disk_hangs']);
		assert.equal(JSON.parse(it.ctl(['-j', 'status']).out).health,
		    'hangs');
		/* What is not safe is not shown; nobody waits to be told so. */
		assert.deepEqual(await texts(it, conv), ['one']);
		assert.deepEqual(await texts(it, other), ['other']);

		await until(async () => (await ready(it)).length === 0, 20_000,
		    'the disk goes on');
		const want = ['one', 'slow', 'behind'];
		await until(async () => (await texts(it, conv)).length === 3,
		    20_000, 'all of it is safe');
		for (const again of [false, true]) {
			if (again) {
				await it.kill9();
				await disk.start();
			}
			assert.equal(ok(await send(it, conv, 'slow', 'key')).data.length,
			    1);
			ok(await send(it, conv, 'behind', 'behind'));
			assert.deepEqual(await texts(it, conv), want);
		}
	});
});
