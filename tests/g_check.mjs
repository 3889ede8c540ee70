/**
 * rememberctl check: every kind of damage is found in a store, with what is
 * lost by it, while a daemon writes and at rest, and nothing is touched.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, run, build, must, scratch, user, until } from
    './harness.mjs';
import { documentOf, segments } from './documents.mjs';

const { test, it } = suite({ include: 'flush_interval = "1h"\n' });
const rememberctl = path.join(build, 'rememberctl');

/* No configuration: a folder is enough. */
const check = (...args) => run([rememberctl, '-c', '/nowhere', 'check',
    ...args]);
const print = (dir) => must(['sh', '-c', 'cd "$1" && find . -printf ' +
    '"%p %i %s %m %T@ %C@\\n" | sort && find . -type f -print0 | sort -z | ' +
    'xargs -0 md5sum', 'sh', dir]);
const create = async (body) => ok(await it.req('POST', '/conversations',
    { body }));
const summary = (r) => Object.fromEntries(r.out.split('\n').map((l) =>
    /^(\w+) +(\S+)$/.exec(l)).filter(Boolean).map((m) => [m[1], m[2]]));

async function flush()
{
	assert.equal(it.ctl(['flush']).status, 0);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0);
}

function copyOf(store)
{
	const copy = path.join(scratch(), 'store');
	must(['cp', '-a', store, copy]);
	return (copy);
}

const drop = (copy) => fs.rmSync(path.dirname(copy), { recursive: true });
/* The last segment that holds the text; another is made ahead of need. */
const segmentWith = (copy, text) => segments(copy).findLast((s) =>
    fs.readFileSync(s).includes(text));
const forget = (copy) => segments(copy).forEach((s) => fs.rmSync(s));

let one, two;

test('a sound store, the daemon running', async () => {
	it.addTenant('empty');
	one = await create({ items: [user('one'), user('two')] });
	two = await create({ title: 'second', items: [user('three')] });
	const gone = await create({});
	ok(await it.req('DELETE', `/conversations/${gone.id}`));
	for (const step of [() => {}, flush]) {
		await step();
		const r = it.ctl(['check']);
		assert.equal(r.status, 0, r.all);
		assert.equal(r.err, '');
		const s = summary(r);
		const { data } = ok(await it.req('GET', '/conversations'));
		const status = JSON.parse(it.ctl(['-j', 'status']).out);
		assert.equal(s.store_id, status.store_id);
		assert.equal(Number(s.tenants), status.tenants);
		assert.equal(Number(s.conversations), data.length);
		assert.equal(Number(s.items), 3);
		assert.equal(Number(s.bytes), data.reduce((n, c) =>
		    n + c.bytes, 0));
		assert.ok(Number(s.segment_files) >= 1);
		assert.equal(s.segments, undefined);
		assert.ok(status.segments <= Number(s.segment_files));
		/* Other words for what is not the same. */
		assert.equal(status.conversations, undefined);
		assert.equal(status.conversations_in_memory, data.length + 1,
		    'the deleted one is kept');
		for (const k of ['quarantined', 'damaged', 'odd'])
			assert.equal(s[k], '0', k);
	}
});

test('the same at rest, by its folder and as JSON', async () => {
	const live = summary(it.ctl(['check']));
	await it.term();
	const before = print(it.store);
	const r = it.ctl(['check']);
	assert.equal(r.status, 0, r.all);
	assert.equal(print(it.store), before, 'not a byte is touched');
	delete live.segment_files;
	const { segment_files: n, ...rest } = summary(r);
	assert.deepEqual(rest, live);
	const j = run([rememberctl, '-c', '/nowhere', '-j', 'check', it.store]);
	assert.equal(j.status, 0, j.all);
	const { problems, segment_files: m, ...said } = JSON.parse(j.out);
	assert.deepEqual(problems, []);
	assert.deepEqual(Object.fromEntries(Object.entries(said).map(([k, v]) =>
	    [k, String(v)])), rest);
	assert.equal(run([rememberctl, '-c', '/nowhere', 'check']).status, 2);
	const none = check(scratch());
	assert.equal(none.status, 1, none.all);
	assert.match(none.err, /cannot be opened/);
	await it.restart();
});

/*
 * [what happened, to the copy, what is said of which file, what is lost,
 * conversations left].  lost null: odd, and no damage.
 */
const flip = (f, at) => {
	const b = fs.readFileSync(f);
	b[at ?? b.length >> 1] ^= 1;
	fs.writeFileSync(f, b);
};
const doc = (copy) => documentOf(copy, one.id);
const ofTenant = (copy, ...rest) => path.join(copy, 'tenants', it.tenant,
    ...rest);
const onceFile = (copy) => ofTenant(copy, 'once',
    fs.readdirSync(ofTenant(copy, 'once'))[0]);
const lostOne = () => `conversation ${one.id} of tenant ${it.tenant}`;
const docName = () => `tenants/${it.tenant}/conversations/${one.id}.json`;
const kinds = [
	['an empty document', (c) => fs.truncateSync(doc(c), 0),
	    docName, lostOne, 1],
	['a truncated one', (c) => fs.truncateSync(doc(c), 100),
	    docName, lostOne, 1],
	['a flipped bit', (c) => flip(doc(c)), docName, lostOne, 1],
	['a folder in its place', (c) => {
		const f = doc(c);
		fs.rmSync(f);
		fs.mkdirSync(f);
	}, docName, lostOne, 1],
	['a pipe in its place', (c) => {
		const f = doc(c);
		fs.rmSync(f);
		must(['mkfifo', f]);
	}, docName, lostOne, 1],
	['another\'s name', (c) => fs.copyFileSync(documentOf(c, two.id), doc(c)),
	    docName, lostOne, 1],
	['another tenant\'s', (c) => {
		fs.mkdirSync(path.join(c, 'tenants/empty/conversations'),
		    { recursive: true });
		fs.renameSync(doc(c), path.join(c, 'tenants/empty/conversations',
		    `${one.id}.json`));
	}, () => `tenants/empty/conversations/${one.id}.json`,
	() => `conversation ${one.id} of tenant empty`, 1],
	['a broken tenant', (c) => flip(ofTenant(c, 'tenant.json')),
	    () => `tenants/${it.tenant}/tenant.json`,
	    () => `the keys of tenant ${it.tenant}`, 2],
	['no tenant.json', (c) => fs.rmSync(ofTenant(c, 'tenant.json')),
	    () => `tenants/${it.tenant}/tenant.json`,
	    () => `the keys of tenant ${it.tenant}`, 2],
	['broken idempotency records', (c) => flip(onceFile(c)),
	    () => `tenants/${it.tenant}/once/`, () => 'a retry is taken as new',
	    2],
	['a foreign segment', (c) => {
		const f = path.join(c, 'journal/00000000000000099999');
		fs.copyFileSync(segments(it.store)[0], f);
		flip(f, 40);
	},
	    () => 'journal/00000000000000099999',
	    () => 'changes in it that stand in no document', 2],
	['no store.json', (c) => fs.rmSync(path.join(c, 'store.json')),
	    () => 'store.json', () => 'no daemon opens the store', 2],
	['a broken store.json', (c) => flip(path.join(c, 'store.json')),
	    () => 'store.json', () => 'no daemon opens the store', 2],
	['no journal at all', (c) => fs.rmSync(path.join(c, 'journal'),
	    { recursive: true }), () => 'journal', () => 'every change', 2],
	['no tenants at all', (c) => fs.rmSync(path.join(c, 'tenants'),
	    { recursive: true }), () => 'tenants', () => 'every document', 0],
	['a stray file', (c) => fs.writeFileSync(ofTenant(c,
	    'conversations/no document\n'), ''),
	    () => `tenants/${it.tenant}/conversations/no document?`, null, 2],
	['a stray tenant', (c) => fs.mkdirSync(path.join(c, 'tenants/UPPER')),
	    () => 'tenants/UPPER', null, 2],
	['a stray segment', (c) => fs.writeFileSync(path.join(c,
	    'journal/notes.txt'), ''), () => 'journal/notes.txt', null, 2],
];

test('every kind of damage is told, and what is lost', async () => {
	const gone = ok(await it.req('POST', '/conversations', { body: {},
	    headers: { 'idempotency-key': 'k' } }));
	ok(await it.req('DELETE', `/conversations/${gone.id}`));
	await flush();
	for (const [name, hurt, file, lost, left] of kinds) {
		const copy = copyOf(it.store);
		forget(copy);
		hurt(copy);
		const before = print(copy);
		const r = check(copy);
		const at = `${name}: ${r.all}`;
		assert.equal(r.status, lost === null ? 0 : 1, at);
		assert.equal(print(copy), before, at);
		const told = r.out.split('\n').filter((l) =>
		    l.startsWith(file()) && /: /.test(l));
		assert.equal(told.length, 1, at);
		assert.equal(told[0].includes('; lost: '), lost !== null, at);
		if (lost !== null)
			assert.ok(told[0].includes(lost()), at);
		const s = summary(r);
		assert.equal(Number(s.damaged), lost === null ? 0 : 1, at);
		assert.equal(Number(s.odd), lost === null ? 1 : 0, at);
		assert.equal(Number(s.conversations), left, at);

		const j = JSON.parse(run([rememberctl, '-c', '/nowhere', '-j',
		    'check', copy]).out);
		assert.equal(j.problems.length, 1, at);
		assert.ok(j.problems[0].file.startsWith(file()), at);
		assert.equal(j.problems[0].is_damage, lost !== null, at);
		assert.ok(j.problems[0].what.length > 5, at);
		drop(copy);
	}
});

test('what the journal makes good is not lost, but damaged', () => {
	const copy = copyOf(it.store);
	flip(doc(copy));
	const r = check(copy);
	assert.equal(r.status, 1, r.all);
	assert.match(r.out, new RegExp(`^${docName()}: .*; lost: nothing`, 'm'));
	assert.equal(summary(r).conversations, '2');
	drop(copy);
});

test('a temporary file is nothing, nor is a torn tail', () => {
	const copy = copyOf(it.store);
	fs.writeFileSync(ofTenant(copy, 'conversations/.tmp-123'), 'half');
	assert.equal(summary(check(copy)).odd, '0');
	const last = segmentWith(copy, two.id);
	const bytes = fs.readFileSync(last);
	const end = bytes.lastIndexOf('}\n') + 2;
	bytes.write('{"lsn": 7 torn', end);
	fs.writeFileSync(last, bytes.subarray(0, end + 100));
	const r = check(copy);
	assert.equal(r.status, 0, r.all);
	assert.equal(summary(r).odd, '0');
	drop(copy);
});

test('a damaged journal in place: where, and which versions', async () => {
	const c = await create({});
	for (const t of ['one', 'two', 'three', 'four'])
		ok(await it.req('POST', `/conversations/${c.id}/items`,
		    { body: { items: [user(t)] } }));
	await it.kill9();
	const last = segmentWith(it.store, '"two"');
	const sound = fs.readFileSync(last);
	const fd = fs.openSync(last, 'r+');
	const bad = Buffer.from('#');
	const poke = (bytes, at) => fs.writeSync(fd, bytes, 0, 1, at);
	const at = sound.indexOf('"two"');
	assert.ok(at > 0);
	poke(bad, at + 1);
	const r = it.ctl(['check']);
	poke(sound.subarray(at + 1), at + 1);
	fs.closeSync(fd);
	assert.equal(r.status, 1, r.all);
	assert.match(r.out, new RegExp(`^journal/${path.basename(last)}: ` +
	    'it has damaged places.*; lost: changes in it', 'm'));
	assert.match(r.out, new RegExp(`^journal: .*${c.id}.*; lost: ` +
	    '.*behind its version 2$', 'm'));
	const dump = it.ctl(['dump', '--conversation', c.id]);
	assert.equal(JSON.parse(dump.out).items.length, 4);
	await it.restart();
	assert.equal(it.ctl(['check']).status, 0);
});

test('what the daemon has set aside', async () => {
	await flush();
	await it.term();
	forget(it.store);
	flip(documentOf(it.store, one.id));
	it.allow(/is set aside as quarantine/);
	await it.restart();
	ok(await it.req('GET', '/conversations'));
	for (const running of [true, false]) {
		const r = it.ctl(['check']);
		assert.equal(r.status, 1, r.all);
		assert.match(r.out, new RegExp(`^${docName()}: it lies in ` +
		    `quarantine; lost: ${lostOne()}$`, 'm'));
		assert.match(r.out, new RegExp('^quarantine/' + it.tenant +
		    `.conversations.${one.id}.json.\\d+: set aside: .*checksum`,
		    'm'));
		const s = summary(r);
		assert.equal(s.quarantined, '1');
		assert.equal(s.odd, '1');
		assert.equal(s.damaged, '1');
		if (!running)
			continue;
		assert.equal(JSON.parse(it.ctl(['-j', 'status']).out)
		    .quarantined, 1);
		await it.term();
	}
	/* A tenant's own file: it lies there, and nothing is in its place. */
	const copy = copyOf(it.store);
	fs.renameSync(ofTenant(copy, 'tenant.json'), path.join(copy,
	    'quarantine', `${it.tenant}.tenant.json.1`));
	forget(copy);
	const r = check(copy);
	assert.equal(r.status, 1, r.all);
	assert.match(r.out, new RegExp(`^tenants/${it.tenant}/tenant.json: it ` +
	    'lies in quarantine; lost: the keys of', 'm'));
	assert.match(r.out, /tenant.json.1: set aside: nothing says why$/m);
	drop(copy);
	await it.restart();
});
