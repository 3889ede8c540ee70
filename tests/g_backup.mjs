/**
 * rememberctl backup and restore: of a daemon under load, once and again, cut
 * off and refused, whole, one tenant and one conversation.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, refused, run, runAsync, build, root, user, scratch, walk,
	sleep, until } from './harness.mjs';

const { test, it } = suite({ include: 'flush_interval = "200ms"\n' });
const rememberctl = path.join(build, 'rememberctl');

/** The lines of README.md's crontab: its variables and its jobs' commands. */
function crontab()
{
	const lines = /`\/etc\/cron\.d\/\w+`:\n\n((?: {4}.*\n)+)/.exec(
	    fs.readFileSync(path.join(root, 'README.md'), 'utf8'))[1]
	    .split('\n').map((l) => l.trim()).filter(Boolean);
	const variables = lines.filter((l) => /^\w+=/.test(l))
	    .map((l) => /^(\w+)=(.*)$/.exec(l).slice(1));
	const jobs = lines.filter((l) => !/^\w+=/.test(l)).map((l) =>
		/^(?:\S+ +){5}rememberd +(.*)$/.exec(l)[1]
		    .replaceAll('\\%', '%'));
	return ({ variables: Object.fromEntries(variables), jobs });
}

/** A configuration for a store in dir, without a daemon. */
function place(dir = scratch(), more = '')
{
	fs.writeFileSync(`${dir}/conf`, `store = "${dir}/store"\n` +
	    `cache = "${dir}/cache"\nsocket = "${dir}/f.sock"\n` +
	    `control_socket = "${dir}/c.sock"\n${more}`);
	return {
		dir, store: `${dir}/store`,
		ctl: (args, options) => run([rememberctl, '-c', `${dir}/conf`,
		    ...args], options),
		daemon: async () => {
			const d = spawn(path.join(build, 'rememberd'), ['-c',
			    `${dir}/conf`], { stdio: 'ignore' });
			await until(() => fs.existsSync(`${dir}/c.sock`));
			return (d);
		},
		remove: () => fs.rmSync(dir, { recursive: true }),
	};
}

const end = (daemon) => {
	daemon.kill('SIGTERM');
	return (new Promise((done) => daemon.on('exit', done)));
};
const good = (r) => {
	assert.equal(r.status, 0, r.all);
	return (r);
};
const failed = (r, said) => {
	assert.equal(r.status, 1, r.all);
	assert.match(r.err, said);
	return (r);
};
const dump = (dir, ...more) => good(run([rememberctl, 'dump', dir,
    ...more])).out;
const inode = (p) => fs.statSync(p).ino;
const files = (dir) => walk(dir).map((p) => path.relative(dir, p)).sort();
const isSegment = (p) => p.startsWith('journal/');
const isDocument = (p) => p.startsWith('tenants/');

async function make(key, n = 3)
{
	const made = [];
	for (let i = 0; i < n; i++)
		made.push(ok(await it.req('POST', '/conversations', { key,
		    body: { items: [user(`one ${i}`), user(`two ${i}`)] } })).id);
	return (made);
}

const documents = () => files(it.store).filter(isDocument);

/** Wait until so many conversations have a document. */
const flushed = (tenant, n) => until(() => documents().filter((p) =>
	p.startsWith(`tenants/${tenant}/conversations/conv_`)).length >= n);

/** Writers that count what was acknowledged, until stop() is called. */
function load(key, ids)
{
	let on = true;
	const acked = new Map(ids.map((id) => [id, 0]));
	const all = ids.map(async (id) => {
		for (let i = 0; on; i++) {
			ok(await it.req('POST', `/conversations/${id}/items`,
			    { key, body: { items: [user(`load ${i}`)] } }));
			acked.set(id, i + 1);
		}
	});
	return {
		acked: () => new Map(acked),
		stop: async () => {
			on = false;
			await Promise.all(all);
		},
	};
}

test('a backup of a daemon under load holds all that was acknowledged',
    async () => {
	const t = it.addTenant();
	const ids = await make(t.key, 4);
	const writers = load(t.key, ids);
	const dir = scratch();
	let previous = [];
	for (let round = 0; round < 4; round++) {
		await sleep(150);
		const before = writers.acked();
		const to = `${dir}/${round}`;
		const r = good(await runAsync([rememberctl, '-c', it.conf,
		    'backup', to, ...previous]));
		assert.match(r.out, /copied \d+ files of \S+, linked \d+, kept/);
		const said = JSON.parse(fs.readFileSync(`${to}/backup.json`));
		assert.ok(said.ended_at >= said.started_at);
		assert.equal(fs.existsSync(`${to}/lock`), false);
		const held = new Map(dump(to, '--tenant', t.name).split('\n')
		    .filter(Boolean).map((l) => JSON.parse(l))
		    .map((l) => [l.conversation.id, l.items]));
		for (const id of ids) {
			const items = held.get(id);
			assert.ok(items.length >= 2 + before.get(id),
			    `${items.length} of ${before.get(id)}`);
			/* In order, and none twice or left out. */
			items.slice(2).forEach((x, i) => assert.equal(
			    x.item.content[0].text, `load ${i}`));
		}
		good(run([rememberctl, 'check', to]));
		previous = ['--against', to];
	}
	await writers.stop();
	fs.rmSync(dir, { recursive: true });
});

test('documents and closed segments are linked, the rest is copied',
    async () => {
	const t = it.addTenant(), to = scratch();
	await make(t.key);
	await flushed(t.name, 3);
	/* Nothing is dirty, so that nothing is written anew meanwhile. */
	const dirty = () => JSON.parse(it.ctl(['-j', 'status']).out).dirty;
	await until(() => dirty() === 0);
	fs.mkdirSync(`${it.store}/quarantine`, { recursive: true });
	fs.writeFileSync(`${it.store}/quarantine/x.1`, 'x');
	fs.writeFileSync(`${it.store}/quarantine/.tmp-0123`, 'x');
	fs.writeFileSync(`${it.store}/tenants/${t.name}/.tmp-0123`, 'x');
	good(it.ctl(['backup', to]));
	const linked = (p) => inode(`${to}/${p}`) === inode(`${it.store}/${p}`);
	const all = files(to);
	assert.ok(all.filter(isDocument).length >= 4);
	for (const p of all.filter(isDocument))
		assert.ok(linked(p), p);
	const segments = all.filter(isSegment);
	assert.ok(segments.length >= 2, String(segments));
	/* The open one, and the one made ahead of need behind it. */
	const open = segments.findIndex((p) => !linked(p));
	assert.ok(open > 0 && open >= segments.length - 2, String(segments));
	assert.ok(segments.slice(open).every((p) => !linked(p)));
	assert.ok(!linked('quarantine/x.1'));
	assert.ok(!linked('store.json'));
	assert.ok(!all.some((p) => p.includes('.tmp-')), String(all));
	assert.deepEqual(all.filter((p) => !p.includes('/')).sort(),
	    ['backup.json', 'store.json']);
	fs.rmSync(`${it.store}/tenants/${t.name}/.tmp-0123`);
	fs.rmSync(`${it.store}/quarantine`, { recursive: true });
	fs.mkdirSync(`${it.store}/quarantine`);
	/* What is written from now on is not in it. */
	const was = dump(to);
	await make(t.key);
	await flushed(t.name, 6);
	good(it.ctl(['flush']));
	assert.equal(dump(to), was);
	fs.rmSync(to, { recursive: true });
});

test('on another file system what is the same is linked to the backup before',
    async (context) => {
	if (!fs.existsSync('/dev/shm') ||
	    fs.statSync('/dev/shm').dev === fs.statSync(it.store).dev)
		return (context.skip('there is no other file system'));
	const shm = fs.mkdtempSync('/dev/shm/rmb-');
	try {
		const t = it.addTenant();
		const [id] = await make(t.key);
		await flushed(t.name, 3);
		await until(() => JSON.parse(it.ctl(['-j', 'status']).out)
		    .dirty === 0);
		good(it.ctl(['backup', `${shm}/1`]));
		ok(await it.req('POST', `/conversations/${id}/items`,
		    { key: t.key, body: { items: [user('news')] } }));
		await until(() => JSON.parse(it.ctl(['-j', 'status']).out)
		    .dirty === 0);
		const r = JSON.parse(good(it.ctl(['-j', 'backup', `${shm}/2`,
		    '--against', `${shm}/1`])).out);
		assert.equal(r.linked, 0);
		assert.ok(r.kept >= 4, JSON.stringify(r));
		const same = (p) => inode(`${shm}/1/${p}`) ===
		    inode(`${shm}/2/${p}`);
		const mine = files(`${shm}/2`).filter((p) =>
			p.startsWith(`tenants/${t.name}/`));
		assert.equal(mine.length, 4);
		for (const p of mine)
			assert.equal(same(p), !p.includes(id), p);
		assert.equal(JSON.parse(dump(`${shm}/2`, '--conversation', id))
		    .items.length, 3);
		/* Without the first the second is whole. */
		const was = dump(`${shm}/2`);
		fs.rmSync(`${shm}/1`, { recursive: true });
		assert.equal(dump(`${shm}/2`), was);
	} finally {
		fs.rmSync(shm, { recursive: true });
	}
});

test('a backup that is killed or fails is no backup', async () => {
	const dir = scratch(), o = place();
	const t = it.addTenant();
	await make(t.key);
	let cut = 0;
	for (let i = 0; i < 20; i++) {
		const child = spawn(rememberctl, ['-c', it.conf, 'backup',
		    `${dir}/${i}`], { stdio: 'ignore' });
		await sleep(i);
		child.kill('SIGKILL');
		await new Promise((done) => child.on('exit', done));
		if (fs.existsSync(`${dir}/${i}/backup.json`) ||
		    !fs.existsSync(`${dir}/${i}`))
			continue;
		if (fs.existsSync(`${dir}/${i}/store.json`))
			continue;
		cut++;
		failed(o.ctl(['restore', `${dir}/${i}`]), /cut off/);
		failed(it.ctl(['backup', `${dir}/next`, '--against',
		    `${dir}/${i}`]), /no finished backup/);
		assert.equal(fs.existsSync(`${dir}/next`), false);
	}
	assert.ok(cut > 0);
	/* A file may have no more than a few bytes: what a full disk does. */
	const r = run(['sh', '-c', `trap '' XFSZ; exec prlimit --fsize=5000 ` +
	    `${rememberctl} -c ${it.conf} backup ${dir}/full`]);
	failed(r, /full is not finished, and no backup: remove it/);
	assert.equal(fs.existsSync(`${dir}/full/backup.json`), false);
	/* All the same for the daemon. */
	await make(t.key, 1);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('it tells when a copy by other means would have taken too long',
    async (context) => {
	const { bavail, bsize } = fs.statfsSync(it.store);
	if (bavail * bsize > 2 ** 40)
		return (context.skip('no reserve is larger than what is free'));
	const dir = scratch(), o = place(undefined, 'disk_reserve = "1T"\n');
	const backup = (p, n) => {
		const r = good(p.ctl(['-j', 'backup', `${dir}/${n}`]));
		return ({ at: JSON.parse(r.out).copy_time, err: r.err });
	};
	assert.deepEqual(backup(it, 1), { at: 3600, err: '' });
	/* Nothing is removed while no daemon runs. */
	good(o.ctl(['tenant', 'add', 'acme']));
	assert.deepEqual(backup(o, 2), { at: null, err: '' });
	const d = await o.daemon();
	const short = backup(o, 3);
	assert.equal(short.at, 0);
	assert.match(short.err, /longer than .* which is 0 s: this backup is/);
	await end(d);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('what is in the way is refused', async () => {
	const o = place(), dir = scratch();
	good(it.ctl(['backup', `${dir}/1`]));
	const again = failed(it.ctl(['backup', `${dir}/1`]),
	    /\/1 is not empty: name a folder that is, or .* not there yet/);
	assert.match(again.err, /no backup was made/);
	/* What was there is a good one still. */
	assert.doesNotMatch(again.err, /is not a backup|not finished/);
	good(run([rememberctl, 'check', `${dir}/1`]));
	failed(it.ctl(['backup', `${dir}/none/2`]), /No such file/);
	failed(it.ctl(['backup', `${dir}/2`, '--against', o.dir]),
	    /no finished backup/);
	failed(it.ctl(['backup', `${dir}/2`, '--against', `${dir}/none`]),
	    /none/);
	/* Of another store. */
	good(o.ctl(['tenant', 'add', 'acme']));
	failed(o.ctl(['backup', `${dir}/2`, '--against', `${dir}/1`]),
	    /another store/);
	assert.deepEqual(fs.readdirSync(dir), ['1']);
	/* Its own is in use, and the other is not empty. */
	const was = dump(it.store);
	failed(it.ctl(['restore', `${dir}/1`]), /a daemon answers/);
	failed(it.ctl(['restore', `${dir}/1`, '--force']), /a daemon answers/);
	assert.equal(dump(it.store), was);
	failed(o.ctl(['restore', `${dir}/1`]), /not empty/);
	failed(o.ctl(['restore', `${dir}/none`]), /none/);
	failed(o.ctl(['restore', dir]), /no store/);
	assert.equal(o.ctl(['restore', `${dir}/1`, '--conversation', 'x'])
	    .status, 2);
	assert.match(o.ctl(['tenant', 'list']).out, /acme/);
	/* A daemon that does not answer on that socket is one, too. */
	const conf = `${o.dir}/conf2`;
	fs.writeFileSync(conf, `store = "${it.store}"\ncontrol_socket = ` +
	    `"${o.dir}/none.sock"\n`);
	failed(run([rememberctl, '-c', conf, 'restore', `${dir}/1`,
	    '--force']), /in use by process \d+/);
	assert.equal(dump(it.store), was);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('nothing is copied into itself', () => {
	const o = place(), dir = scratch();
	good(o.ctl(['tenant', 'add', 'acme']));
	fs.mkdirSync(`${o.store}/there/deep`, { recursive: true });
	fs.symlinkSync(o.store, `${dir}/link`);
	fs.symlinkSync(`${o.store}/there/deep`, `${dir}/deep`);
	const was = files(o.store);
	for (const to of [o.store, `${o.store}/`, `${o.store}/new`,
		`${o.store}/there`, `${o.store}/tenants/acme/new`,
		`${dir}/link/new`, `${dir}/deep`, `${dir}/deep/new`,
		`${o.store}/../store/new`]) {
		const r = failed(o.ctl(['backup', to]),
		    /is in .*\/store, of which it would be a copy: name a/);
		assert.match(r.err, /no backup was made/);
		assert.deepEqual(files(o.store), was, to);
	}
	/* Beside it is not in it. */
	good(o.ctl(['backup', `${o.store}.new`]));
	good(o.ctl(['backup', `${dir}/link/../new`]));
	/* A store in the backup that it is to come from. */
	const inner = place(`${o.dir}/new`);
	failed(inner.ctl(['restore', `${o.dir}/new`]),
	    /new\/store is in .*\/new, of which/);
	assert.ok(!fs.existsSync(inner.store));
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('what is set aside takes no name that is taken', () => {
	const o = place(), dir = scratch();
	good(o.ctl(['tenant', 'add', 'acme']));
	good(o.ctl(['backup', `${dir}/b`]));
	/* Whatever second it will be, there were restores in it. */
	const now = Date.now() - 1000;
	for (let i = 0; i < 60; i++) {
		const at = new Date(now + 1000 * i).toISOString()
		    .replace(/[-:]|\.\d+/g, '');
		fs.mkdirSync(`${o.store}.before-${at}`);
		fs.mkdirSync(`${o.store}.partial-${at}.2`);
	}
	const r = good(o.ctl(['restore', `${dir}/b`, '--force']));
	const aside = /is now (.*)/.exec(r.out)[1];
	assert.match(aside, /store\.before-\d+T\d+Z\.3$/);
	assert.ok(fs.existsSync(`${aside}/store.json`));
	assert.match(good(o.ctl(['tenant', 'list'])).out, /acme/);
	/* And what failed then has its own beside that. */
	fs.symlinkSync('/nowhere', `${dir}/b/tenants/away`);
	failed(o.ctl(['restore', `${dir}/b`, '--force']), /is what it was/);
	assert.equal(fs.readdirSync(o.dir).filter((n) =>
		/^store\.partial.*\.[34]$/.test(n)).length, 1);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('the whole store comes back', async () => {
	const o = place(), dir = scratch();
	const t = it.addTenant();
	const ids = await make(t.key);
	ok(await it.req('DELETE', `/conversations/${ids[1]}`, { key: t.key }));
	good(it.ctl(['backup', `${dir}/b`]));
	const was = dump(`${dir}/b`);
	const r = good(o.ctl(['restore', `${dir}/b`]));
	assert.match(r.out, /restored \d+ conversations with \d+ items/);
	assert.equal(dump(o.store), was);
	/* Nothing of it is shared, and it is a live store. */
	for (const p of files(`${dir}/b`).filter((f) => f !== 'backup.json'))
		assert.notEqual(inode(`${dir}/b/${p}`),
		    inode(`${o.store}/${p}`), p);
	assert.equal(fs.existsSync(`${o.store}/backup.json`), false);
	const d = await o.daemon();
	assert.match(good(o.ctl(['key', 'list', t.name])).out, /key_/);
	failed(o.ctl(['restore', `${dir}/b`, '--force']), /a daemon answers/);
	good(o.ctl(['tenant', 'add', 'newer']));
	await end(d);
	assert.equal(dump(o.store), was);
	/* Once more over it: what was there is kept beside. */
	failed(o.ctl(['restore', `${dir}/b`]), /not empty/);
	good(o.ctl(['restore', `${dir}/b`, '--force']));
	assert.doesNotMatch(good(o.ctl(['tenant', 'list'])).out, /newer/);
	const aside = fs.readdirSync(o.dir).filter((n) =>
		n.startsWith('store.before-'));
	assert.equal(aside.length, 1);
	assert.ok(fs.existsSync(`${o.dir}/${aside[0]}/tenants/newer`));
	assert.equal(dump(`${dir}/b`), was);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('a restore that cannot be leaves the store in its place', async () => {
	const o = place(), dir = scratch();
	good(o.ctl(['tenant', 'add', 'mine']));
	good(o.ctl(['backup', `${dir}/b`]));
	fs.cpSync(`${dir}/b`, `${o.store}/inside`, { recursive: true });
	fs.mkdirSync(`${dir}/none`);
	fs.cpSync(`${dir}/b`, `${dir}/torn`, { recursive: true });
	fs.writeFileSync(`${dir}/torn/store.json`, '{}');
	fs.symlinkSync(o.store, `${dir}/link`);
	const still = () => {
		assert.match(good(o.ctl(['tenant', 'list'])).out, /mine/);
		return (fs.readdirSync(o.dir).filter((n) =>
			/before|partial/.test(n)).sort());
	};
	const force = (from) => o.ctl(['restore', from, '--force']);
	failed(force(`${dir}/none`), /no store/);
	failed(force(`${dir}/missing`), /No such file/);
	failed(force(`${dir}/torn`), /store\.json/);
	for (const self of [o.store, `${o.store}/`, `${o.store}/inside`,
		`${dir}/link`])
		failed(force(self), /in the store .* itself/);
	assert.deepEqual(still(), []);
	/* One that is cut off on its way: it leads nowhere. */
	fs.symlinkSync('/nowhere', `${dir}/b/tenants/away`);
	const r = failed(force(`${dir}/b`), /away.*No such file/);
	assert.match(r.err, /is what it was before/);
	const [partial, ...more] = still();
	assert.match(partial, /^store\.partial-\d+T\d+Z$/);
	assert.deepEqual(more, []);
	assert.ok(!fs.existsSync(`${o.dir}/${partial}/store.json`));
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('any copy of a store can be restored', async () => {
	const o = place(), dir = scratch();
	await make(it.key);
	run(['cp', '-r', it.store, `${dir}/copy`]);
	const r = good(o.ctl(['restore', `${dir}/copy`]));
	assert.match(r.err, /by other means/);
	assert.equal(dump(o.store), dump(`${dir}/copy`));
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('a tenant comes back, with its keys if it is not there', async () => {
	const o = place(), dir = scratch();
	const t = it.addTenant(), u = it.addTenant();
	const secret = it.addJwtKey(t.name, 'k1');
	assert.ok(secret);
	await make(t.key);
	await make(u.key);
	good(it.ctl(['backup', `${dir}/b`]));
	good(o.ctl(['restore', `${dir}/b`, '--tenant', t.name]));
	assert.equal(dump(o.store), dump(`${dir}/b`, '--tenant', t.name));
	for (const what of ['key', 'jwt-key'])
		assert.equal(good(o.ctl([what, 'list', t.name])).out,
		    good(it.ctl([what, 'list', t.name])).out);
	/* A key that was revoked since does not come back. */
	const id = /key_\w+/.exec(o.ctl(['key', 'list', t.name]).out)[0];
	good(o.ctl(['key', 'revoke', t.name, id]));
	for (const more of [[], ['--force']]) {
		good(o.ctl(['restore', `${dir}/b`, '--tenant', t.name,
		    ...more]));
		assert.equal(good(o.ctl(['key', 'list', t.name])).out, '');
	}
	failed(o.ctl(['restore', `${dir}/b`, '--tenant', 'nobody']),
	    /not in the backup/);
	assert.doesNotMatch(good(o.ctl(['tenant', 'list'])).out, /nobody/);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('only damage of what was asked for is told', () => {
	const o = place(), p = place(), dir = scratch(), b = `${dir}/b`;
	const lines = ['acme', 'acme2'].flatMap((tenant) => ['c1', 'c2'].map(
	    (id) => JSON.stringify({ tenant, conversation: { id, created_at: 1,
		updated_at: 2 }, items: [] })));
	good(o.ctl(['import'], { input: `${lines.join('\n')}\n{"export":"end",` +
	    '"conversations":4,"items":0}\n' }));
	good(o.ctl(['backup', b]));
	/* Nothing makes good what is damaged. */
	fs.rmSync(`${b}/journal`, { recursive: true });
	fs.mkdirSync(`${b}/journal`);
	for (const name of ['acme/conversations/c2.json', 'acme2/tenant.json',
		'acme2/conversations/c1.json']) {
		fs.rmSync(`${b}/tenants/${name}`);
		fs.writeFileSync(`${b}/tenants/${name}`, 'x');
	}
	const restore = (...more) => p.ctl(['restore', b, ...more]);
	for (const ask of [restore, (...more) => run([rememberctl, 'dump', b,
		...more])]) {
		const both = (t, c) => ask('--tenant', t, '--conversation', c);
		for (const [t, c] of [['acme', 'c1'], ['acme2', 'c2']])
			assert.equal(good(both(t, c)).err, '');
		assert.match(failed(both('acme', 'c2'), /acme.*\/c2\.json/).err,
		    /^((?!c1).)*$/s);
		const all = failed(ask('--tenant', 'acme'), /acme\/.*c2\.json/);
		assert.doesNotMatch(all.err, /acme2|c1/);
		failed(ask('--tenant', 'acme2'), /acme2\/tenant\.json/);
		failed(ask('--tenant', 'acme2'), /acme2\/.*c1\.json/);
	}
	failed(run([rememberctl, 'dump', b]), /acme\/.*c2.*acme2\/.*c1/s);
	/* What the journal held may be anybody's. */
	fs.rmdirSync(`${b}/journal`);
	failed(restore('--tenant', 'acme', '--conversation', 'c1'), /journal/);
	fs.rmSync(dir, { recursive: true });
	o.remove();
	p.remove();
});

test('what the journal lacks counts for whom it is of', async () => {
	const o = place(), dir = scratch(), b = `${dir}/3`;
	const t = it.addTenant(), u = it.addTenant();
	await make(t.key, 1);
	const [gap, whole] = await make(u.key);
	await flushed(u.name, 3);
	await until(() => JSON.parse(it.ctl(['-j', 'status']).out).dirty === 0);
	for (const n of [1, 2, 3]) {
		ok(await it.req('POST', `/conversations/${gap}/items`,
		    { key: u.key, body: { items: [user(`mark ${n}`)] } }));
		/* It closes a segment. */
		good(it.ctl(['backup', `${dir}/${n}`]));
	}
	/* The document of the first, and the journal of the third. */
	const name = `tenants/${u.name}/conversations/${gap}.json`;
	fs.rmSync(`${b}/${name}`);
	fs.cpSync(`${dir}/1/${name}`, `${b}/${name}`);
	const all = files(b).filter(isSegment);
	const third = all.findIndex((p) =>
		fs.readFileSync(`${b}/${p}`).includes('mark 3'));
	assert.ok(third > 0);
	all.slice(0, third).forEach((p) => fs.rmSync(`${b}/${p}`));
	const restore = (...more) => o.ctl(['restore', b, '--tenant', ...more]);
	assert.equal(good(restore(t.name)).err, '');
	assert.equal(good(restore(u.name, '--conversation', whole)).err, '');
	for (const more of [[], ['--conversation', gap]])
		failed(restore(u.name, ...more), /journal.*is missing; lost: .*conv/);
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('one conversation comes back beside a running daemon', async () => {
	const dir = scratch();
	const t = it.addTenant();
	const [id, other] = await make(t.key);
	const url = (i) => `/conversations/${i}/items`;
	const was = (await it.req('GET', url(id), { key: t.key })).text;
	good(it.ctl(['backup', `${dir}/b`]));
	ok(await it.req('DELETE', `/conversations/${id}`, { key: t.key }));
	ok(await it.req('POST', url(other), { key: t.key,
	    body: { items: [user('newer')] } }));
	const restore = (...more) => it.ctl(['restore', `${dir}/b`,
		'--tenant', t.name, ...more]);
	assert.match(good(restore('--conversation', id)).out,
	    /imported 1, replaced 0, skipped 0/);
	assert.equal((await it.req('GET', url(id), { key: t.key })).text, was);
	/* What is there is left alone, or goes back when told to. */
	assert.match(good(restore()).out, /imported 0, replaced 0, skipped 3/);
	assert.equal(ok(await it.req('GET', `/conversations/${other}`,
	    { key: t.key })).item_count, 3);
	assert.match(good(restore('--conversation', other, '--force')).out,
	    /imported 0, replaced 1, skipped 0/);
	assert.equal(ok(await it.req('GET', `/conversations/${other}`,
	    { key: t.key })).item_count, 2);
	failed(restore('--conversation', 'conv_none'), /not in the backup/);
	await it.kill9();
	await it.restart();
	assert.equal((await it.req('GET', url(id), { key: t.key })).text, was);
	assert.equal(ok(await it.req('GET', `/conversations/${other}`,
	    { key: t.key })).item_count, 2);
	refused(await it.req('GET', `/conversations/${id}`), 404);
	fs.rmSync(dir, { recursive: true });
});

test('without a daemon', async () => {
	const o = place(), dir = scratch();
	good(o.ctl(['import'], { input: `{"tenant":"acme","conversation":` +
	    `{"id":"c","created_at":1,"updated_at":2},"items":[]}\n` +
	    `{"export":"end","conversations":1,"items":0}\n` }));
	const was = files(o.store);
	good(o.ctl(['backup', `${dir}/b`]));
	assert.deepEqual(files(o.store), was);
	assert.equal(dump(`${dir}/b`), dump(o.store));
	good(o.ctl(['backup', `${dir}/c`, '--against', `${dir}/b`]));
	assert.equal(dump(`${dir}/c`), dump(o.store));
	fs.rmSync(dir, { recursive: true });
	o.remove();
});

test('the crontab of README.md deletes only behind a good new backup', () => {
	const o = place(), dir = scratch(), b = `${dir}/b`, sbin = `${dir}/sbin`;
	good(o.ctl(['tenant', 'add', 'acme']));
	fs.mkdirSync(sbin);
	fs.mkdirSync(b);
	/* Where it is installed; a verb that stands in `fails` does. */
	fs.writeFileSync(`${sbin}/rememberctl`, `#!/bin/sh\n[ "$1" = "$(cat ` +
	    `${dir}/fails 2>&-)" ] && exit 1\necho "$@" >>${dir}/calls\n` +
	    `exec ${rememberctl} -c ${o.dir}/conf "$@"\n`, { mode: 0o755 });
	const { variables, jobs } = crontab();
	assert.ok(jobs.length >= 1);
	const env = [...Object.entries({ HOME: dir, PATH: '/usr/bin:/bin',
		...variables, B: b })].map(([name, value]) =>
		`${name}=${name === 'PATH' ? value.split(':').map((p) =>
			p === '/usr/sbin' ? sbin : p).join(':') : value}`);
	/* As cron does, which knows no more than that. */
	const night = () => jobs.map((job) => run(['env', '-i', ...env,
		'/bin/sh', '-c', job])).every((r) => r.status === 0);
	const age = (name) => {
		const then = Date.now() / 1000 - 40 * 86400;
		fs.utimesSync(`${b}/${name}`, then, then);
	};
	const names = () => fs.readdirSync(b).sort();
	const last = () => path.basename(fs.readlinkSync(`${b}/last`));

	assert.equal(night(), true);
	const today = last();
	assert.deepEqual(names(), [today, 'last']);
	good(o.ctl(['check', `${b}/last/`]));
	/* The next nights: all that is there has become old by then. */
	fs.renameSync(`${b}/${today}`, `${b}/1999-12-31`);
	fs.rmSync(`${b}/last`);
	fs.symlinkSync(`${b}/1999-12-31`, `${b}/last`);
	fs.mkdirSync(`${b}/1999-12-30`);
	const old = ['1999-12-30', '1999-12-31'];
	for (const verb of ['backup', 'check']) {
		old.forEach(age);
		fs.writeFileSync(`${dir}/fails`, verb);
		assert.equal(night(), false);
		assert.deepEqual(names().filter((n) => n !== today),
		    [...old, 'last']);
		assert.equal(last(), '1999-12-31');
		fs.rmSync(`${b}/${today}`, { recursive: true, force: true });
	}
	/* One that fails by itself. */
	fs.rmSync(`${dir}/fails`);
	fs.mkdirSync(`${b}/${today}/rest`, { recursive: true });
	assert.equal(night(), false);
	assert.deepEqual(names().filter((n) => n !== today), [...old, 'last']);
	fs.rmSync(`${b}/${today}`, { recursive: true });
	/* A good one, and the others go. */
	assert.equal(night(), true);
	assert.deepEqual(names(), [today, 'last']);
	assert.equal(last(), today);
	assert.match(fs.readFileSync(`${dir}/calls`, 'utf8'),
	    /backup \S+ --against \S+\/last\/\n/);
	good(o.ctl(['check', `${b}/last/`]));
	fs.rmSync(dir, { recursive: true });
	o.remove();
});
