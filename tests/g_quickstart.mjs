/**
 * conf/quickstart as scripts and people use it: what DIR/env offers, taking
 * up again after any death, options, Ctrl-C, folders side by side.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { build, isAlive, jwt, must, root, runAsync, scratch, until }
	from './harness.mjs';

const quickstart = path.join(root, 'conf/quickstart');
const top = scratch();
const dirs = new Set();
const again = { more: { REMEMBERD_BUILD: build } };

/* Call it; its exit status and what it printed. */
function call(dir, ...args)
{
	dirs.add(dir);
	return runAsync([quickstart, '--dir', dir, '--no-build', ...args], again);
}

async function up(dir, ...args)
{
	const r = await call(dir, '--detach', ...args);
	assert.equal(r.status, 0, r.all);
	const env = readEnv(dir);
	assert.equal(r.out, `${env.PAGE_URL}\n`, 'one line: the URL');
	return env;
}

function readEnv(dir)
{
	const out = must(['sh', '-c', 'set -a; . "$0"; exec env -0',
		path.join(dir, 'env')]);
	return Object.fromEntries(out.split('\0').filter(Boolean).map((l) =>
	    [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]));
}

const stop = (dir) => runAsync([quickstart, '--stop', dir], again);

async function ask(env, target, { key = env.API_KEY, body } = {})
{
	const r = await fetch(env.BASE_URL + target, {
		method: body === undefined ? 'GET' : 'POST',
		headers: { authorization: `Bearer ${key}`,
			'content-type': 'application/json' },
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	return { status: r.status, json: await r.json() };
}

const create = async (env) => {
	const r = await ask(env, '/conversations', { body: { items:
	    [{ role: 'user', content: 'kept' }] } });
	assert.equal(r.status, 200);
	return (r.json.id);
};
const has = async (env, id, key) =>
	(await ask(env, `/conversations/${id}`, { key })).status;

const gone = (...pids) => until(() => !pids.some((p) => isAlive(p)), 10_000,
    `end of ${pids}`);

after(async () => {
	for (const dir of dirs)
		await stop(dir);
	fs.rmSync(top, { recursive: true });
});

test('DIR/env holds all that a client needs', async () => {
	const dir = path.join(top, 'a');
	const env = await up(dir);
	const id = await create(env);
	assert.equal(await has(env, id, env.API_KEY_2), 404);
	assert.equal((await ask(env, '/conversations', { key: env.API_KEY_2 }))
	    .status, 200);
	assert.equal((await ask(env, '/conversations', { key: jwt(env.JWT_SECRET,
	    { tenant: env.TENANT, sub: 'x' }) })).status, 200);
	/* It is the tenant's own. */
	assert.equal((await ask(env, '/conversations', { key: jwt(env.JWT_SECRET,
	    { tenant: 'demo2', sub: 'x' }) })).status, 401);
	const page = await fetch(env.PAGE_URL);
	assert.match(await page.text(), /<!doctype html>/i);
	const token = /#token=(.+)$/.exec(env.PAGE_URL)[1];
	assert.equal((await ask(env, '/conversations', { key: token })).status,
	    200);
	for (const name of ['STORE', 'CONF', 'FCGI_SOCKET'])
		assert.ok(fs.existsSync(env[name]), name);
	assert.ok(isAlive(Number(env.DAEMON_PID)));
	assert.ok(isAlive(Number(env.NGINX_PID)));

	/* Again: nothing changes but the token. */
	const same = await up(dir);
	for (const name of ['DAEMON_PID', 'NGINX_PID', 'API_KEY', 'API_KEY_2',
	    'JWT_SECRET', 'BASE_URL'])
		assert.equal(same[name], env[name], name);

	const began = Date.now();
	assert.equal((await stop(dir)).status, 0);
	assert.ok(Date.now() - began < 10_000, 'quickly');
	await gone(Number(env.DAEMON_PID), Number(env.NGINX_PID));
	assert.equal((await stop(dir)).status, 0, 'twice is no mistake');
});

test('after kill -9 of the daemon, of nginx, or of both it goes on',
    async () => {
	const dir = path.join(top, 'b');
	let env = await up(dir);
	const id = await create(env);
	for (const names of [['DAEMON_PID'], ['NGINX_PID'],
	    ['DAEMON_PID', 'NGINX_PID']]) {
		for (const name of names)
			process.kill(Number(env[name]), 'SIGKILL');
		const now = await up(dir);
		for (const name of ['DAEMON_PID', 'NGINX_PID'])
			assert.equal(now[name] !== env[name],
			    names.includes(name), `${name} after ${names}`);
		assert.equal(now.BASE_URL, env.BASE_URL);
		assert.equal(now.API_KEY, env.API_KEY);
		assert.equal(await has(now, id), 200);
		env = now;
	}
});

test('--stop ends a daemon that was started by hand, and no other',
    async () => {
	const one = path.join(top, 'c'), two = path.join(top, 'd');
	const [env, other] = await Promise.all([up(one), up(two)]);
	assert.notEqual(env.BASE_URL, other.BASE_URL);
	process.kill(Number(env.DAEMON_PID), 'SIGKILL');
	await gone(Number(env.DAEMON_PID));
	const child = spawn('sh', ['-c', `exec ${env.DAEMON_CMD}`],
	    { stdio: 'ignore' });
	await until(async () => (await ask(env, '/conversations')).status === 200);
	assert.equal((await stop(one)).status, 0);
	await until(() => child.exitCode !== null || child.signalCode !== null);
	assert.equal(child.exitCode, 0, 'cleanly');
	assert.equal((await ask(other, '/conversations')).status, 200);
});

test('options, a path with blanks, and a careless umask', async () => {
	const at = path.join(top, 'with blanks');
	fs.mkdirSync(at);
	const file = (name, text) => {
		fs.writeFileSync(path.join(at, name), text);
		return (path.join(at, name));
	};
	const dir = path.join(at, 'dir');
	const port = 19000 + process.pid % 1000;
	/* Folders that are missing are made. */
	const store = path.join(at, 'else where', 'st');
	const socket = path.join(at, 'run', 'f.sock');
	const args = ['--store', store, '--port', String(port),
		'--socket', socket,
		'--jwt-secret', file('secret', 'of the operator\n'),
		'--include', file('more.conf', 'max_body = 100K\n')];
	const old = process.umask(0);
	let env;
	try {
		env = await up(dir, ...args);
	} finally {
		process.umask(old);
	}
	assert.equal(env.BASE_URL, `http://127.0.0.1:${port}/v1`);
	assert.equal(env.STORE, store);
	assert.equal(env.FCGI_SOCKET, socket);
	assert.equal(env.JWT_SECRET, 'of the operator');
	/* It speaks for every tenant. */
	for (const tenant of ['demo', 'demo2'])
		assert.equal((await ask(env, '/conversations', { key: jwt(
		    env.JWT_SECRET, { tenant, sub: 'x' }) })).status, 200);
	/* nginx knows the limit too. */
	assert.match(fs.readFileSync(path.join(dir, 'nginx.conf'), 'utf8'),
	    /client_max_body_size\s+100K;/);
	assert.equal((await ask(env, '/conversations', { body: { items:
	    [{ role: 'user', content: 'x'.repeat(200_000) }] } })).status, 413);
	for (const name of ['env', 'secrets', 'rememberd.conf', 'rememberd.log'])
		assert.equal(fs.statSync(path.join(dir, name)).mode & 0o077, 0,
		    name);
	const child = spawn('sh', ['-c', `exec ${env.DAEMON_CMD} -n`]);
	await until(() => child.exitCode !== null);
	assert.equal(child.exitCode, 0, env.DAEMON_CMD);

	/* They are remembered. */
	const id = await create(env);
	assert.equal((await stop(dir)).status, 0);
	const now = await up(dir);
	for (const name of ['BASE_URL', 'STORE', 'FCGI_SOCKET', 'JWT_SECRET'])
		assert.equal(now[name], env[name], name);
	assert.equal(await has(now, id), 200);

	/* A mistake is told, and harms nothing that runs. */
	const bad = await call(dir, '--detach', '--include',
	    file('bad.conf', '\nworkers = none\n'));
	assert.equal(bad.status, 2, bad.all);
	assert.match(bad.err, /bad\.conf:2: /);
	assert.equal(await has(now, id), 200);
});

test('Ctrl-C ends both, and a closed terminal; so does a dead daemon', async () => {
	const dir = path.join(top, 'e');
	dirs.add(dir);
	for (const how of ['SIGINT', 'SIGTERM', 'SIGHUP', 'death']) {
		const child = spawn(quickstart, ['--dir', dir, '--no-build'],
		    { detached: true, env: { ...process.env, ...again.more },
		    stdio: ['ignore', 'pipe', 'pipe'] });
		let out = '';
		child.stdout.on('data', (s) => out += s);
		child.stderr.resume();
		await until(() => out.includes('\n') || child.exitCode !== null);
		const env = readEnv(dir);
		assert.equal(out, `${env.PAGE_URL}\n`);
		if (how === 'death')
			process.kill(Number(env.DAEMON_PID), 'SIGKILL');
		else {
			/* A terminal that closes takes no message. */
			if (how === 'SIGHUP')
				child.stderr.destroy();
			process.kill(-child.pid, how);
		}
		await until(() => child.exitCode !== null ||
		    child.signalCode !== null, 10_000, `end after ${how}`);
		assert.equal(child.exitCode, how === 'death' ? 1 : 0, how);
		await gone(Number(env.DAEMON_PID), Number(env.NGINX_PID));
	}
});

test('another store under the same folder gets keys that work', async () => {
	const dir = path.join(top, 'f');
	const env = await up(dir);
	assert.equal((await stop(dir)).status, 0);
	fs.rmSync(env.STORE, { recursive: true });
	const now = await up(dir);
	assert.equal((await ask(now, '/conversations')).status, 200);
	assert.equal((await ask(now, '/conversations', { key: jwt(now.JWT_SECRET,
	    { tenant: 'demo', sub: 'x' }) })).status, 200);

	/* And with the keys forgotten, the store kept. */
	assert.equal((await stop(dir)).status, 0);
	fs.rmSync(path.join(dir, 'secrets'));
	const last = await up(dir);
	assert.notEqual(last.API_KEY, now.API_KEY);
	assert.equal((await ask(last, '/conversations')).status, 200);
	assert.equal((await ask(last, '/conversations', { key: jwt(
	    last.JWT_SECRET, { tenant: 'demo', sub: 'x' }) })).status, 200);

	/* And with a store that another folder made. */
	const other = await up(path.join(top, 'g'));
	const id = await create(other);
	assert.equal((await stop(path.join(top, 'g'))).status, 0);
	const moved = await up(dir, '--store', other.STORE);
	assert.equal(await has(moved, id), 200);
	assert.equal((await ask(moved, '/conversations', { key: jwt(
	    moved.JWT_SECRET, { tenant: 'demo', sub: 'x' }) })).status, 200);
});

test('wrong use exits 2 and says how', async () => {
	for (const args of [['--nonsense'], ['--port', 'x'], ['--port'],
	    ['--port', '0'], ['--port', '65536'], ['--port', '080'],
	    ['--include', '/nonexistent'], ['--jwt-secret', '/nonexistent']]) {
		const r = await runAsync([quickstart, ...args], again);
		assert.equal(r.status, 2, `${args}: ${r.all}`);
		assert.match(r.err, /usage:/);
	}
	const r = await runAsync([quickstart, '--stop', '/nonexistent'], again);
	assert.equal(r.status, 1, r.all);
});
