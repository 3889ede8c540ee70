/**
 * rememberctl dump: what a store holds, a line a conversation, of one that a
 * daemon writes to, one at rest and one that is torn, and not a byte touched.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, run, build, must, scratch, user, until, sleep, patience } from
    './harness.mjs';
import { documentOf, segments } from './documents.mjs';

const { test, it } = suite({ include: 'flush_interval = "1h"\n' });
const rememberctl = path.join(build, 'rememberctl');

/* No configuration: a folder is enough. */
const dump = (dir, ...more) => run([rememberctl, '-c', '/nowhere', 'dump',
    dir, ...more]);
const lines = (r) => r.out.split('\n').slice(0, -1).map((l) => JSON.parse(l));
const print = (dir) => must(['sh', '-c', 'cd "$1" && find . -printf ' +
    '"%p %i %s %m %T@ %C@\\n" | sort && find . -type f -print0 | sort -z | ' +
    'xargs -0 md5sum', 'sh', dir]);
const create = async (body, key) => ok(await it.req('POST', '/conversations',
    { body, key }));
const append = async (id, items, key) => ok(await it.req('POST',
    `/conversations/${id}/items`, { body: { items }, key }));

function copyOf(store)
{
	const copy = path.join(scratch(), 'store');
	must(['cp', '-a', store, copy]);
	return (copy);
}

/*
 * Run what must not touch the store.  The daemon may: it makes a segment ahead
 * of need; a second time it has not.
 */
function untouched(what)
{
	let before, r;
	for (let i = 0; i < 3; i++) {
		before = print(it.store);
		r = what();
		if (print(it.store) === before)
			return (r);
	}
	assert.fail('it was touched each time');
}

/* One line against what the API says of the conversation. */
async function isServed(line, key)
{
	const c = ok(await it.req('GET', `/conversations/${line.conversation.id}`,
	    { key }));
	assert.deepEqual(Object.keys(line), ['tenant', 'conversation', 'items']);
	assert.equal(Math.floor(line.conversation.created_at / 1000),
	    c.created_at);
	assert.equal(Math.floor(line.conversation.updated_at / 1000),
	    c.updated_at);
	for (const k of ['version', 'user', 'metadata'])
		assert.deepEqual(line.conversation[k], c[k], k);
	assert.equal(line.conversation.title, c.title);
	assert.equal(line.items.length, c.item_count);
	const page = ok(await it.req('GET', `/conversations/${c.id}/items` +
	    '?order=asc&limit=1000', { key }));
	assert.deepEqual(line.items.map((i) => i.item), page.data);
}

async function isWhole(keys)
{
	const r = untouched(() => dump(it.store));
	assert.equal(r.status, 0, r.all);
	assert.equal(r.err, '');
	const all = lines(r);
	for (const [tenant, key] of Object.entries(keys)) {
		const list = ok(await it.req('GET', '/conversations?limit=100',
		    { key }));
		const mine = all.filter((l) => l.tenant === tenant);
		assert.deepEqual(mine.map((l) => l.conversation.id),
		    list.data.map((c) => c.id).sort(), tenant);
		for (const l of mine)
			await isServed(l, key);
	}
	return (all);
}

let keys, one, other;

test('a daemon is running: all that it serves', async () => {
	const t = it.addTenant('zeta');
	keys = { [it.tenant]: it.key, zeta: t.key };
	one = await create({ title: 'a "title"\n', metadata: { k: 'v' },
		items: [user('one', { id: 'i1' }), user('two', { id: 'i2' }),
			user('three', { id: 'i3' })] });
	ok(await it.req('DELETE', `/conversations/${one.id}/items/i2`));
	await append(one.id, [user('four', { id: 'i4' })]);
	other = await create({ user: 'ann' });
	await create({ items: [user('theirs')] }, t.key);
	const gone = await create({ items: [user('unforgettable')] });
	ok(await it.req('DELETE', `/conversations/${gone.id}`));
	/* From the journal alone, from documents, and from both. */
	const all = await isWhole(keys);
	assert.deepEqual(all.map((l) => l.tenant),
	    all.map((l) => l.tenant).sort());
	const mine = all.find((l) => l.conversation.id === one.id);
	assert.deepEqual(mine.items.map((i) => [i.item.id, i.position]),
	    [['i1', undefined], ['i3', 3], ['i4', undefined]]);
	assert.ok(mine.items.every((i) => Math.abs(i.at - Date.now()) < 60_000));
	assert.equal(it.ctl(['flush']).status, 0);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0);
	await isWhole(keys);
	await append(one.id, [user('five')]);
	ok(await it.req('DELETE', `/conversations/${other.id}`));
	assert.ok(!JSON.stringify(await isWhole(keys)).includes('unforgettable'));
});

test('an item\'s bytes are those that were sent', async () => {
	const c = await create({});
	ok(await it.req('POST', `/conversations/${c.id}/items`, { body:
	    '{"items":[{"type":"x.y","id":"n","v":[0.10,1e3]}]}' }));
	const r = dump(it.store, '--conversation', c.id);
	assert.equal(r.status, 0, r.all);
	assert.match(r.out, /"v":\[0\.10,1e3\]/);
	assert.equal(lines(r).length, 1);
});

test('one tenant, one conversation, none', async () => {
	const all = lines(dump(it.store));
	const zeta = dump(it.store, '--tenant', 'zeta');
	assert.equal(zeta.status, 0, zeta.all);
	assert.deepEqual(lines(zeta), all.filter((l) => l.tenant === 'zeta'));
	const mine = dump(it.store, '--tenant', it.tenant, '--conversation',
	    one.id);
	assert.deepEqual(lines(mine), all.filter((l) =>
	    l.conversation.id === one.id));
	for (const [args, why] of [
		[['--tenant', 'nobody'], /tenant nobody not found/],
		[['--conversation', 'conv_x'], /conversation conv_x not found/],
		[['--tenant', 'zeta', '--conversation', one.id], /not found/]]) {
		const r = dump(it.store, ...args);
		assert.equal(r.status, 1, r.all);
		assert.equal(r.out, '');
		assert.match(r.err, why);
	}
});

test('the configured store without a folder; without either none', async () => {
	const r = it.ctl(['dump']);
	assert.equal(r.status, 0, r.all);
	assert.equal(r.out, dump(it.store).out);
	assert.equal(run([rememberctl, '-c', '/nowhere', 'dump']).status, 2);
	assert.equal(dump(it.store, 'too', 'many').status, 2);
	const none = dump(scratch());
	assert.equal(none.status, 1, none.all);
	assert.match(none.err, /cannot be opened/);
});

test('what cannot be written is said', () => {
	const r = run(['sh', '-c', 'exec "$0" -c /nowhere dump "$1" >/dev/full',
	    rememberctl, it.store]);
	assert.equal(r.status, 1, r.all);
	assert.match(r.err, /No space/);
});

test('a daemon that writes all the time is no damage', async () => {
	let stop = false, sent = 0;
	const c = await create({});
	const writer = (async () => {
		while (!stop) {
			await append(c.id, [user(`n${sent}`)]);
			sent++;
		}
	})();
	try {
		for (let i = 0; i < 10; i++) {
			const before = sent;
			const r = await new Promise((resolve) => setImmediate(() =>
			    resolve(dump(it.store, '--conversation', c.id))));
			assert.equal(r.status, 0, r.all);
			assert.equal(r.err, '');
			const [l] = lines(r);
			assert.ok(l.items.length >= before);
			assert.deepEqual(l.items.map((x) => x.item.content[0].text),
			    l.items.map((_, n) => `n${n}`));
			it.ctl(['flush']);
			await sleep(20 * patience);
		}
	} finally {
		stop = true;
		await writer;
	}
});

test('no daemon, and a torn copy: the rest is printed', async () => {
	const all = await isWhole(keys);
	await it.term();
	const still = dump(it.store);
	assert.equal(still.status, 0, still.all);
	assert.deepEqual(lines(still), all);

	const copy = copyOf(it.store);
	const doc = documentOf(copy, one.id);
	for (const s of segments(copy))
		fs.rmSync(s);
	fs.truncateSync(doc, fs.statSync(doc).size - 5);
	const before = print(copy);
	const torn = dump(copy);
	assert.equal(torn.status, 1, torn.all);
	assert.equal(print(copy), before);
	assert.deepEqual(lines(torn), all.filter((l) =>
	    l.conversation.id !== one.id));
	assert.match(torn.err, new RegExp(`tenants/${it.tenant}/conversations/` +
	    `${one.id}\\.json: .*; lost: conversation ${one.id} of tenant ` +
	    it.tenant));
	fs.rmSync(path.dirname(copy), { recursive: true });
	await it.restart();
});

test('who may not write reads all the same', (t) => {
	if (process.getuid() !== 0 || run(['setpriv', '--version']).status !== 0)
		return (t.skip('it takes root to be somebody else'));
	const copy = copyOf(it.store);
	must(['chmod', '-R', 'a+rX,a-w', copy]);
	fs.chmodSync(path.dirname(copy), 0o755);
	const as = ['setpriv', '--reuid', '65534', '--regid', '65534',
		'--clear-groups'];
	/* The program may lie where only root may go. */
	const tool = path.join(path.dirname(copy), 'rememberctl');
	fs.copyFileSync(rememberctl, tool);
	fs.chmodSync(tool, 0o755);
	const before = print(copy);
	const r = run([...as, tool, '-c', '/nowhere', 'dump', copy]);
	assert.equal(r.status, 0, r.all);
	assert.equal(r.out, dump(it.store).out);
	assert.equal(print(copy), before);

	/* What it may not read is said, the rest read. */
	const doc = documentOf(copy, one.id);
	fs.chmodSync(doc, 0);
	const none = run([...as, tool, '-c', '/nowhere', 'dump', copy]);
	assert.equal(none.status, 1, none.all);
	assert.match(none.err, /conversations\/.*cannot be read: Permission/);
	assert.ok(lines(none).length > 0);
	fs.rmSync(path.dirname(copy), { recursive: true });
});

test('each line is one for jq', (t) => {
	if (run(['jq', '--version']).status !== 0)
		return (t.skip('jq is not there'));
	const r = run(['sh', '-c', '"$0" -c /nowhere dump "$1" | ' +
	    'jq -r ".items[].item.id"', rememberctl, it.store]);
	assert.equal(r.status, 0, r.all);
	assert.ok(r.out.split('\n').includes('i4'));
});
