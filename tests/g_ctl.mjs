/**
 * What the sysadmin touches: rememberctl with the daemon running and without,
 * options and exit statuses, mistakes in the configuration, two daemons.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, refused, run, runAsync, build, root, jwt, user, until,
	isAlive, scratch } from './harness.mjs';

const { test, it } = suite();
const rememberd = path.join(build, 'rememberd');
const rememberctl = path.join(build, 'rememberctl');

const good = (r) => {
	assert.equal(r.status, 0, r.all);
	return (r);
};
const usage = (r) => assert.equal(r.status, 2, r.all);

/* The whole life of a tenant, its keys and tokens; reach() asks the daemon. */
async function story(name, reach)
{
	good(it.ctl(['tenant', 'add', name]));
	assert.match(good(it.ctl(['tenant', 'list'])).out,
	    new RegExp(`\\b${name}\\b`));
	const again = it.ctl(['tenant', 'add', name]);
	assert.equal(again.status, 1, again.all);
	assert.match(again.err, /./);

	const one = it.addKey(name, 'laptop');
	const two = it.addKey(name);
	assert.notEqual(one.key, two.key);
	assert.ok(one.key.startsWith(`rk_${name}_`));
	const list = good(it.ctl(['key', 'list', name])).out;
	assert.ok(list.includes(one.id) && list.includes(two.id));
	assert.ok(list.includes('laptop'));
	assert.ok(!list.includes(one.key.slice(-64)), 'shown once');
	good(it.ctl(['key', 'revoke', name, two.id]));
	assert.ok(!good(it.ctl(['key', 'list', name])).out.includes(two.id));
	assert.equal(it.ctl(['key', 'revoke', name, two.id]).status, 1);

	const secret = it.addJwtKey(name, 'k1');
	/* A secret is shown if it is new to the caller, then alone. */
	assert.match(good(it.ctl(['jwt-key', 'add', name])).out,
	    /^secret +[0-9a-f]{64}$/m);
	const own = good(it.ctl(['jwt-key', 'add', name, '--kid', 'own',
	    '--secret-file', '-'], { input: 'y'.repeat(40) }));
	assert.doesNotMatch(own.all, /secret|yyy/);
	const jwts = good(it.ctl(['jwt-key', 'list', name])).out;
	assert.match(jwts, /\bk1\b/);
	assert.ok(!jwts.includes(secret));
	const dup = it.ctl(['jwt-key', 'add', name, '--kid', 'k1',
	    '--secret-file', '-'], { input: 'x'.repeat(40) });
	assert.equal(dup.status, 1, dup.all);

	const mint = good(it.ctl(['token', 'mint', name, '--sub', 'ann',
	    '--scope', 'read', '--ttl', '30d'])).out;
	const token = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(mint)[0];
	const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
	assert.equal(claims.scope, 'read');
	assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 30 * 86400) < 60);

	await reach(async () => {
		ok(await it.req('GET', '/conversations', { key: one.key }));
		refused(await it.req('GET', '/conversations', { key: two.key }),
		    401);
		ok(await it.req('GET', '/conversations', { key: token }));
		refused(await it.req('POST', '/conversations', { key: token,
		    body: {} }), 403);
		ok(await it.req('POST', '/conversations', { body: {}, key: jwt(
		    secret, { tenant: name, sub: 'x' },
		    { header: { kid: 'k1' } }) }));
	});
	good(it.ctl(['jwt-key', 'revoke', name, 'k1']));
	assert.equal(it.ctl(['jwt-key', 'revoke', name, 'k1']).status, 1);
	assert.doesNotMatch(good(it.ctl(['jwt-key', 'list', name])).out, /\bk1\b/);
	return (one.key);
}

test('tenants, keys and tokens, the daemon running', async () => {
	await story('live', (what) => what());
});

test('the same with the daemon not running', async () => {
	await it.term();
	const key = await story('dead', async (what) => {
		await it.restart();
		await what();
		await it.term();
	});
	const status = it.ctl(['status']);
	assert.ok(status.status === 0 || status.status === 1, status.all);
	await it.restart();
	ok(await it.req('GET', '/conversations', { key }));
});

test('a secret is the bytes of its file, as the manual says', async () => {
	const t = it.addTenant();
	const add = (kid, input) => it.ctl(['jwt-key', 'add', t.name, '--kid',
		kid, '--secret-file', '-'], { input });
	const secrets = { least: 'x'.repeat(16), most: 'y'.repeat(512),
		hex: '00'.repeat(32), base64: 'c2VjcmV0c2VjcmV0c2VjcmV0' };
	for (const [kid, secret] of Object.entries(secrets)) {
		good(add(kid, `${secret}\n`));
		ok(await it.req('GET', '/conversations', { key: jwt(secret,
		    { tenant: t.name, sub: 'x' }, { header: { kid } }) }));
	}
	for (const [input, said] of [
		['x'.repeat(15), /expected 16 to 512 bytes, but got 15/],
		['x'.repeat(513), /at most 512 bytes/],
		[`${'x'.repeat(20)}\0`, /NUL byte/],
		[Buffer.alloc(20, 0xff), /UTF-8/], ['\n', /empty/]]) {
		const r = add('bad', input);
		assert.equal(r.status, 1, r.all);
		assert.match(r.err, said);
	}
});

test('what was made live survives kill -9', async () => {
	const t = it.addTenant();
	await it.kill9();
	await it.restart();
	ok(await it.req('GET', '/conversations', { key: t.key }));
});

test('after kill -9 rememberctl opens the store itself', async () => {
	const c = ok(await it.req('POST', '/conversations',
	    { body: { items: [user('kept')] } }));
	await it.kill9();
	const t = it.addTenant();
	await it.restart();
	ok(await it.req('GET', '/conversations', { key: t.key }));
	assert.equal(ok(await it.req('GET', `/conversations/${c.id}`))
	    .item_count, 1);
});

test('status and flush', async () => {
	const s = good(it.ctl(['status']));
	assert.match(s.out, /\w+=\S+|\w+:\s*\S+|\w+\s+\S+/);
	const fields = JSON.parse(good(it.ctl(['-j', 'status'])).out);
	assert.equal(fields.health, 'ok');
	assert.equal(fields.error, null);
	assert.equal(fields.copy_time, 3600);
	assert.match(fields.spare, /^(ready|soon)$/);
	assert.ok(fields.kept_bytes > 0 && fields.flush_lag >= 0);
	/* Each is explained in the manual, and nothing else is. */
	const list = /^\.It Ic status\n([^]*?)^\.El$/m.exec(fs.readFileSync(
	    path.join(root, 'conf/rememberctl.8'), 'utf8'))[1];
	assert.deepEqual([...list.matchAll(/^\.It Li (.+)$/gm)]
	    .flatMap((m) => m[1].split(' , ')).sort(),
	    Object.keys(fields).filter((k) => k !== 'object').sort());
	good(it.ctl(['flush']));
	for (const args of [['status'], ['tenant', 'list'],
	    ['key', 'list', it.tenant], ['jwt-key', 'list', it.tenant],
	    ['token', 'mint', it.tenant, '--sub', 'x'], ['flush'],
	    ['key', 'add', it.tenant]]) {
		const r = good(it.ctl(['-j', ...args]));
		assert.doesNotThrow(() => JSON.parse(r.out), `${args}: ${r.out}`);
	}
});

test('usage errors exit 2 and say what is known', () => {
	for (const args of [[], ['nonsense'], ['tenant'], ['tenant', 'nonsense'],
	    ['tenant', 'add'], ['tenant', 'add', 'a', 'b'], ['key', 'add'],
	    ['key', 'revoke', it.tenant], ['token', 'mint', it.tenant],
	    ['-z'], ['key', 'add', it.tenant, '--nonsense'],
	    ['token', 'mint', it.tenant, '--sub'],
	    ['token', 'mint', it.tenant, '--sub', 'x', '--ttl', 'soon']]) {
		const r = it.ctl(args);
		usage(r);
		assert.match(r.err, /./, args.join(' '));
	}
	usage(run([rememberctl, '-c', '/nonexistent/conf', 'status']));
});

test('-h and -V answer on standard output', () => {
	for (const args of [['-h'], ['status', '-h']]) {
		const r = good(it.ctl(args));
		assert.match(r.out, /^usage: rememberctl .*\n(\s+rememberctl .*\S\n)+$/);
		assert.equal(r.err, '');
	}
	assert.match(good(it.ctl(['-V'])).out, /^rememberctl \d+\.\d+\.\d+\n$/);
});

test('tenants and names that are wrong exit 1 or 2, and add nothing', () => {
	const before = good(it.ctl(['tenant', 'list'])).out;
	for (const name of ['', 'Upper', '-x', 'a/b', '../x', 'é', 'a b',
	    'x'.repeat(64)])
		assert.ok([1, 2].includes(it.ctl(['tenant', 'add', '--', name])
		    .status), name);
	assert.equal(it.ctl(['key', 'add', 'nobody']).status, 1);
	assert.equal(it.ctl(['key', 'list', 'nobody']).status, 1);
	assert.equal(it.ctl(['token', 'mint', 'nobody', '--sub', 'x']).status, 1);
	assert.equal(it.ctl(['key', 'revoke', it.tenant, 'key_none']).status, 1);
	assert.equal(good(it.ctl(['tenant', 'list'])).out, before);
});

test('a tenant whose name has the longest form', async () => {
	const t = it.addTenant('0' + 'x'.repeat(62));
	ok(await it.req('GET', '/conversations', { key: t.key }));
	const u = it.addTenant('a_b-c');
	ok(await it.req('GET', '/conversations', { key: u.key }));
});

test('a daemon started right behind one that was killed takes the store',
    async () => {
	for (let i = 0; i < 10; i++) {
		await it.kill9({ wait: false });
		await it.restart();
	}
	/* While it dies a connection may still be taken, and be reset. */
	await it.kill9();
	good(it.ctl(['tenant', 'list']));
	await it.restart();
});

test('a second daemon says who holds the store and exits 1', async () => {
	const dir = scratch();
	const conf = path.join(dir, 'second.conf');
	fs.writeFileSync(conf, `store = "${it.store}"\n` +
	    `cache = "${dir}/cache"\nsocket = "${dir}/f.sock"\n` +
	    `control_socket = "${dir}/c.sock"\n`);
	const r = await runAsync([rememberd, '-c', conf], { timeout: 10_000 });
	assert.equal(r.status, 1, r.all);
	assert.match(r.err, new RegExp(`\\b${it.pid}\\b`));
	ok(await it.req('GET', '/conversations'));
	fs.rmSync(dir, { recursive: true });
});

test('a second daemon with the same configuration does no harm', async () => {
	const r = await runAsync([rememberd, '-c', it.conf], { timeout: 10_000 });
	assert.equal(r.status, 1, r.all);
	assert.match(r.err, new RegExp(`\\b${it.pid}\\b`));
	ok(await it.req('GET', '/conversations'));
	good(it.ctl(['status']));
});

/* [what, lines, the line that is wrong, what must be said] */
const mistakes = [
	['an unknown option', 'store = "/tmp/x"\ncolour = "red"\n', 2, /colour/],
	['a value that is no number', '\n\nworkers = "many"\n', 3, /workers/],
	['a number out of range', 'workers = 0\n', 1, /workers/],
	['a negative number', 'helpers = -1\n', 1, /helpers/],
	['a bad duration', 'flush_interval = "soon"\n', 1, /flush_interval/],
	['a bad size', '# x\njournal_limit = "lots"\n', 2, /journal_limit/],
	['a bad mode', 'socket_mode = "rw"\n', 1, /socket_mode/],
	['a bad level', 'log_level = "loud"\n', 1, /log_level/],
	['a string that never ends', 'store = "/tmp/x\n', undefined, /./],
	['a missing value', 'store =\n', undefined, /./],
	['a section for a tenant that cannot be',
		'tenant "UPPER" {\n}\n', undefined, /UPPER/],
	['an unknown option in a tenant', 'tenant "a" {\n\tcolour = 1\n}\n', 2,
		/colour/],
	['an origin that is none',
		'tenant "a" {\n\tallowed_origins = { "nonsense" }\n}\n', undefined,
		/nonsense|allowed_origins/],
	['an include that is not there', 'include("/nonexistent/x")\n',
		undefined, /nonexistent/],
	['an empty store', 'store = ""\n', 1, /store/],
	['a secret file that is not there',
		'jwt_secret_file = "/nonexistent/secret"\n', undefined,
		/nonexistent/],
];

for (const [what, lines, line, said] of mistakes) {
	test(`configuration: ${what}`, async () => {
		const dir = scratch();
		const conf = path.join(dir, 'bad.conf');
		fs.writeFileSync(conf, lines);
		for (const args of [['-n', '-c', conf], ['-c', conf]]) {
			const r = await runAsync([rememberd, ...args],
			    { timeout: 10_000 });
			assert.equal(r.status, 2, `${args}: ${r.all}`);
			assert.match(r.err, said);
			if (line !== undefined)
				assert.match(r.err, new RegExp(
				    `bad\\.conf:${line}\\b`), r.err);
			else if (!/include|secret file/.test(what))
				assert.match(r.err, /bad\.conf:\d+/, r.err);
		}
		assert.deepEqual(fs.readdirSync(dir), ['bad.conf'],
		    'nothing was made');
		fs.rmSync(dir, { recursive: true });
	});
}

test('a mistake in an included file names that file', async () => {
	const dir = scratch();
	fs.writeFileSync(path.join(dir, 'a.conf'),
	    `workers = 1\ninclude("${dir}/b.conf")\n`);
	fs.writeFileSync(path.join(dir, 'b.conf'), '\nhelpers = "no"\n');
	const r = await runAsync([rememberd, '-n', '-c', `${dir}/a.conf`]);
	assert.equal(r.status, 2, r.all);
	assert.match(r.err, /b\.conf:2\b/);
	fs.rmSync(dir, { recursive: true });
});

test('-n checks and says nothing; bad options and files exit 2', async () => {
	good(await runAsync([rememberd, '-n', '-c', it.conf]));
	for (const args of [['-z'], ['-c'], ['-n', '-c', '/nonexistent/x'],
	    ['-c', it.conf, 'extra']])
		usage(await runAsync([rememberd, ...args], { timeout: 10_000 }));
});

test('SIGTERM and SIGINT end with 0; SIGUSR1 flushes', async () => {
	ok(await it.req('POST', '/conversations', { body:
	    { items: [user('to be flushed')] } }));
	const docs = path.join(it.store, 'tenants', it.tenant, 'conversations');
	const before = fs.existsSync(docs) ? fs.readdirSync(docs).length : 0;
	process.kill(it.pid, 'SIGUSR1');
	await until(() => fs.existsSync(docs) &&
	    fs.readdirSync(docs).length > before, 5_000, 'a document');
	for (const signal of ['SIGTERM', 'SIGINT']) {
		const status = await it.term(signal);
		if (status !== undefined)
			assert.equal(status, 0, signal);
		assert.equal(fs.existsSync(it.env.FCGI_SOCKET), false,
		    'the socket is removed');
		await it.restart();
	}
	assert.equal(await it.term('SIGINT'), 0);
	await it.restart();
	for (const harmless of ['SIGPIPE', 'SIGXFSZ', 'SIGUSR1'])
		process.kill(it.pid, harmless);
	ok(await it.req('GET', '/conversations'));
	assert.ok(isAlive(it.pid));
});

test('a folder for the sockets is made for the daemon and its group', async () => {
	const dir = scratch(), mode = (p) => fs.statSync(p).mode & 0o777;
	const conf = path.join(dir, 'conf'), run = path.join(dir, 'run');
	fs.writeFileSync(conf, `store = "${dir}/store"\ncache = "${dir}/cache"\n` +
	    `socket = "${run}/fcgi.sock"\n` +
	    `control_socket = "${run}/control.sock"\n`);
	const child = spawn(rememberd, ['-c', conf], { stdio: 'ignore' });
	const ended = new Promise((resolve) => child.on('close', resolve));
	try {
		await until(() => fs.existsSync(path.join(run, 'control.sock')),
		    20_000, 'the socket');
		assert.equal(mode(run), 0o750);
		assert.equal(mode(path.join(run, 'fcgi.sock')), 0o660);
	} finally {
		child.kill();
	}
	assert.equal(await ended, 0);
	fs.rmSync(dir, { recursive: true });
});

test('files are for the daemon alone', () => {
	const mode = (p) => fs.statSync(p).mode & 0o777;
	assert.equal(mode(it.store), 0o700);
	const control = /^\s*control_socket\s*=\s*"([^"]+)"/m.exec(
	    fs.readFileSync(it.conf, 'utf8'))?.[1];
	assert.ok(control !== undefined);
	assert.equal(mode(control), 0o600);
	assert.equal(mode(it.env.FCGI_SOCKET) & 0o007, 0);
	for (const name of fs.readdirSync(path.join(it.store, 'tenants',
	    it.tenant)))
		assert.equal(mode(path.join(it.store, 'tenants', it.tenant, name)) &
		    0o077, 0, name);
});

test('secrets are never read from the command line', () => {
	for (const args of [['--key', 'x'], ['--password=x'], ['x']])
		usage(it.ctl(['jwt-key', 'add', it.tenant, ...args]));
});
