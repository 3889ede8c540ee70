/**
 * What the tests share: a rememberd behind a real nginx in a folder of its
 * own, requests at three heights (official client, HTTP, raw socket), and a
 * watch over the daemon's log, in which no unexpected warning may stand.
 *
 *	start --> Instance --kill9--> restart --> ... --stop--> folder removed
 *
 * REMEMBERD_BUILD names the build under test, as for conf/quickstart.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test as nodeTest } from 'node:test';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

export { sleep };

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const build = path.resolve(root, process.env.REMEMBERD_BUILD ?? 'build');

/** How much longer the sanitizers' build may take for the same work. */
export const patience = /asan|sani/.test(build) ? 3 : 1;

const sanitizer = /AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer|Assertion .* failed|assertion .* failed/;
const complaint = /\blevel=(warn|error)\b/;
/* nginx could not make sense of what the daemon sent, or of its own task. */
const garbled = /upstream sent|\[alert\]|\[emerg\]/;
/* The sanitizer need not be loaded first: tests/sickdisk.c comes before. */
const dialect = {
	ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0:verify_asan_link_order=0',
	UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1' };
const env = { ...process.env, ...dialect, REMEMBERD_BUILD: build };

/** Run a command to its end; never throws for its exit status. */
export function run(argv, { input, cwd = root, timeout = 120_000, more } = {})
{
	const r = spawnSync(argv[0], argv.slice(1), { input, cwd, timeout,
	    env: { ...env, ...more }, encoding: 'utf8',
	    maxBuffer: 64 << 20 });
	if (r.error)
		throw new Error(`${argv.join(' ')}: ${r.error.message}`);
	return { status: r.status, out: r.stdout, err: r.stderr,
	    all: r.stdout + r.stderr };
}

/** The same without blocking this process's timers and sockets. */
export function runAsync(argv, { input, cwd = root, timeout = 120_000,
    more } = {})
{
	return new Promise((resolve, reject) => {
		const child = spawn(argv[0], argv.slice(1), { cwd, timeout,
		    env: { ...env, ...more } });
		let out = '', err = '';
		child.stdout.setEncoding('utf8').on('data', (s) => out += s);
		child.stderr.setEncoding('utf8').on('data', (s) => err += s);
		child.on('error', reject);
		child.on('close', (status) => resolve({ status, out, err,
		    all: out + err }));
		child.stdin.on('error', () => {});
		child.stdin.end(input);
	});
}

/** Run a command that must succeed; returns what it printed. */
export function must(argv, options)
{
	const r = run(argv, options);
	if (r.status !== 0)
		throw new Error(`${argv.join(' ')}: exit ${r.status}\n${r.all}`);
	return r.out;
}

/** Shell variables as NAME=value lines, quoted or not, to an object. */
function readEnv(file)
{
	const out = must(['sh', '-c', 'set -a; . "$0"; exec env -0', file],
	    { more: {} });
	return Object.fromEntries(out.split('\0').filter(Boolean).map((line) => {
		const at = line.indexOf('=');
		return [line.slice(0, at), line.slice(at + 1)];
	}));
}

/** Is process pid there, or a thread of it? */
export function isAlive(pid)
{
	try {
		const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
		return !/\) [ZX] /.test(stat) ||
		    fs.readdirSync(`/proc/${pid}/task`).length > 1;
	} catch {
		return false;
	}
}

/** Wait until what() is true (or give up with an error that says so). */
export async function until(what, ms = 10_000, name = String(what))
{
	const end = Date.now() + ms * patience;
	for (;;) {
		const value = await what();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`waited ${ms * patience} ms for: ${name}`);
		await sleep(10);
	}
}

/** Every file below dir, as paths. */
export function walk(dir)
{
	const found = [];
	for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
		const p = path.join(dir, e.name);
		if (e.isDirectory())
			found.push(...walk(p));
		else
			found.push(p);
	}
	return found;
}

/** A new folder with a short name: a socket's path may have 107 bytes. */
export function scratch()
{
	return fs.mkdtempSync(path.join(os.tmpdir(), 'rmb-'));
}

class Instance {
	constructor(dir)
	{
		this.dir = dir;
		this.seen = new Set();	/* lines of the log already judged */
		this.child = null;	/* the last daemon we started ourselves */
		this.kills = 0;
		this.allowed = [];
		this.within = [];	/* command before those of ours */
		this.load();
		this.agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
	}

	/** Read DIR/env (again). */
	load()
	{
		this.env = readEnv(path.join(this.dir, 'env'));
		this.base = this.env.BASE_URL;
		this.url = new URL(this.base);
		this.key = this.env.API_KEY;
		this.key2 = this.env.API_KEY_2;
		this.tenant = this.env.TENANT;
		this.store = this.env.STORE;
		this.conf = this.env.CONF;
		this.pid = Number(this.env.DAEMON_PID);
	}

	/** The daemon's log; nginx's own is another matter. */
	logText()
	{
		return fs.readFileSync(path.join(this.dir, 'rememberd.log'),
		    'utf8');
	}

	/** Lines that have no business in the log and were not told before. */
	complaints()
	{
		const lines = this.logText().split('\n');
		const bad = lines.filter((l) => sanitizer.test(l) ||
		    complaint.test(l)).filter((l) =>
		    !this.allowed.some((re) => re.test(l)));
		for (const l of linesOf(path.join(this.dir, 'nginx-error.log')))
			if (garbled.test(l))
				bad.push(l);
		const news = bad.filter((l) => !this.seen.has(l));
		news.forEach((l) => this.seen.add(l));
		return news;
	}

	/** A warning that a test provokes. */
	allow(...patterns)
	{
		this.allowed.push(...patterns);
	}

	/** Is a request through nginx answered by the daemon? */
	async isReady()
	{
		try {
			const r = await this.req('GET', '/conversations?limit=1');
			return r.status === 200;
		} catch {
			return false;
		}
	}

	/** End the daemon with SIGKILL and wait until it is gone. */
	async kill9({ wait = true } = {})
	{
		const pid = this.pid;
		this.kills++;
		try {
			process.kill(pid, 'SIGKILL');
		} catch (e) {
			if (e.code !== 'ESRCH')
				throw e;
			throw new Error(`the daemon (pid ${pid}) was gone before`);
		}
		if (wait)
			await until(() => !isAlive(pid), 10_000,
			    `end of pid ${pid}`);
	}

	/** Ask the daemon to end and wait; returns its exit status if known. */
	async term(signal = 'SIGTERM')
	{
		process.kill(this.pid, signal);
		await until(() => !isAlive(this.pid), 20_000,
		    `end of pid ${this.pid}`);
		if (this.child !== null)
			await until(() => this.child.exitCode !== null ||
			    this.child.signalCode !== null);
		return this.child?.exitCode;
	}

	/** Start only the daemon, as an operator's shell would.  more: variables
	 * of its environment. */
	async restart({ wait = true, more } = {})
	{
		const fd = fs.openSync(path.join(this.dir, 'rememberd.log'), 'a');
		const argv = [...this.within, 'sh', '-c',
			`exec ${this.env.DAEMON_CMD}`];
		const child = spawn(argv[0], argv.slice(1), { stdio:
		    ['ignore', fd, fd], env: { ...env, ...more }, cwd: root });
		fs.closeSync(fd);
		this.child = child;
		this.pid = child.pid;
		child.on('error', () => {});
		if (!wait)
			return;
		await until(async () => {
			if (child.exitCode !== null || child.signalCode !== null)
				throw new Error('the daemon ended at start: ' +
				    `${child.exitCode ?? child.signalCode}\n` +
				    this.tail());
			return (this.isReady());
		}, 20_000, 'an answer after the restart');
	}

	tail(lines = 25)
	{
		return this.logText().split('\n').slice(-lines).join('\n');
	}

	/** End everything.  keep: leave the folder for whoever looks into it. */
	async stop({ keep = false } = {})
	{
		this.agent.destroy();
		if (this.child !== null && isAlive(this.pid))
			await this.term();
		const r = await runAsync([path.join(root, 'conf/quickstart'),
		    '--stop', this.dir]);
		for (const pid of [this.pid, Number(this.env.NGINX_PID)])
			await until(() => !isAlive(pid), 10_000,
			    `end of pid ${pid} after --stop`);
		const bad = this.complaints();
		if (!keep && bad.length === 0)
			fs.rmSync(this.dir, { recursive: true, force: true });
		if (r.status !== 0)
			throw new Error(`quickstart --stop: exit ${r.status}\n${r.all}`);
		if (bad.length !== 0)
			throw new Error(`in the daemon's log (${this.dir}):\n` +
			    bad.join('\n') + '\n' + this.tail(60));
	}

	/** rememberctl on this instance. */
	ctl(args, options)
	{
		return run([...this.within, path.join(build, 'rememberctl'),
		    '-c', this.conf, ...args], options);
	}

	/** A new tenant with one API key: { name, key }. */
	addTenant(name = `t${randomBytes(4).toString('hex')}`)
	{
		const a = this.ctl(['tenant', 'add', name]);
		if (a.status !== 0)
			throw new Error(`tenant add: exit ${a.status}\n${a.all}`);
		return { name, key: this.addKey(name).key };
	}

	/** A new API key: { id, key }. */
	addKey(tenant, label)
	{
		const k = this.ctl(['key', 'add', tenant,
		    ...(label === undefined ? [] : ['--label', label])]);
		const key = /rk_[a-z0-9_-]+_[0-9a-f]{64}/.exec(k.out)?.[0];
		const id = /\bkey_[A-Za-z0-9_-]+/.exec(k.out)?.[0];
		if (k.status !== 0 || key === undefined)
			throw new Error(`key add: exit ${k.status}\n${k.all}`);
		return { id, key };
	}

	/** A new JWT key with a secret of ours; returns the secret. */
	addJwtKey(tenant, kid, secret = randomBytes(24).toString('hex'))
	{
		const r = this.ctl(['jwt-key', 'add', tenant, '--kid', kid,
		    '--secret-file', '-'], { input: secret });
		if (r.status !== 0)
			throw new Error(`jwt-key add: exit ${r.status}\n${r.all}`);
		return secret;
	}

	/** The official client; retries only where a test asks for them. */
	client({ key = this.key, maxRetries = 0, ...more } = {})
	{
		return new OpenAI({ apiKey: key, baseURL: this.base, maxRetries,
		    ...more });
	}

	/**
	 * One request.  target is the path behind /v1, sent as it is written.
	 * body: a string, bytes, or a value to be serialised.
	 */
	req(method, target, { body, key = this.key, headers = {},
	    agent = this.agent, timeout = 60_000, base = true } = {})
	{
		let data = body;
		const h = { ...headers };
		if (key !== null)
			h.authorization ??= `Bearer ${key}`;
		if (body !== undefined && typeof body !== 'string' &&
		    !Buffer.isBuffer(body))
			data = JSON.stringify(body);
		if (data !== undefined) {
			data = Buffer.from(data);
			h['content-type'] ??= 'application/json';
			h['content-length'] ??= data.length;
		} else if (method !== 'GET' && method !== 'HEAD')
			h['content-length'] ??= 0;
		return new Promise((resolve, reject) => {
			const r = http.request({ agent, method, timeout,
			    host: this.url.hostname, port: this.url.port,
			    path: (base ? '/v1' : '') + target, headers: h },
			    (res) => collect(res).then(resolve, reject));
			r.on('timeout', () => r.destroy(
			    new Error(`${method} ${target}: no answer`)));
			r.on('error', reject);
			r.end(data);
		});
	}

	/** Send raw bytes to nginx; resolves to all it sent until it closed. */
	raw(bytes, { wait = 10_000 } = {})
	{
		return new Promise((resolve, reject) => {
			const chunks = [];
			const s = net.connect(this.url.port, this.url.hostname);
			const done = () => {
				s.destroy();
				resolve(Buffer.concat(chunks).toString('utf8'));
			};
			const timer = setTimeout(done, wait);
			s.on('data', (d) => chunks.push(d));
			s.on('error', (e) => e.code === 'ECONNRESET' ||
			    e.code === 'EPIPE' ? undefined : reject(e));
			s.on('close', () => {
				clearTimeout(timer);
				done();
			});
			s.write(bytes);
		});
	}
}

/** Run fn and stop the instance; if it fails the log is told and all kept. */
export async function judged(it, fn)
{
	let keep = true;
	try {
		await fn();
		keep = false;
	} catch (e) {
		e.message += `\n--- log of ${it.dir}\n${it.tail()}`;
		throw e;
	} finally {
		await it.stop({ keep });
	}
}

/* The lines of a file that may be longer than any string. */
function *linesOf(file)
{
	const fd = fs.openSync(file, 'r');
	const chunk = Buffer.alloc(1 << 20);
	const decoder = new StringDecoder('utf8');
	let rest = '';
	try {
		for (let n; (n = fs.readSync(fd, chunk)) > 0;) {
			const lines = (rest + decoder.write(
			    chunk.subarray(0, n))).split('\n');
			rest = lines.pop();
			yield *lines;
		}
		yield rest;
	} finally {
		fs.closeSync(fd);
	}
}

function collect(res)
{
	return new Promise((resolve, reject) => {
		const chunks = [];
		res.on('data', (d) => chunks.push(d));
		res.on('error', reject);
		res.on('end', () => {
			const bytes = Buffer.concat(chunks);
			const text = bytes.toString('utf8');
			let json;
			try {
				json = JSON.parse(text);
			} catch {
				json = undefined;
			}
			resolve({ status: res.statusCode, headers: res.headers,
			    bytes, text, json, id: res.headers['x-request-id'] });
		});
	});
}

/**
 * Start an instance.  include: configuration to add.  args: more options for
 * quickstart.  dir: one that was used before.  within: a command that runs
 * the one behind it, somewhere else.
 */
export async function start({ include, args = [], dir = scratch(),
    within = [] } = {})
{
	const more = [];
	if (include !== undefined) {
		const file = path.join(dir, 'include.conf');
		fs.writeFileSync(file, include);
		more.push('--include', file);
	}
	const r = await runAsync([...within, path.join(root, 'conf/quickstart'),
	    '--dir', dir, '--detach', '--no-build', ...more, ...args]);
	if (r.status !== 0)
		throw new Error(`quickstart: exit ${r.status}\n${r.all}`);
	const it = new Instance(dir);
	it.within = within;
	return (it);
}

/**
 * For a test file: one instance for all its tests, and a test() after each of
 * which the log is judged.  setup(instance) runs before the first of them.
 *
 *	const { test, it } = suite({ include });	it.req(...)
 */
export function suite(options = {})
{
	const holder = { failed: false };
	const file = path.basename(process.argv[1], '.mjs');
	const it = new Proxy({}, {
		get: (_, name) => {
			const v = holder.instance?.[name];
			return typeof v === 'function' ?
			    v.bind(holder.instance) : v;
		},
	});
	before(async () => {
		try {
			const instance = await start(options);
			holder.instance = instance;
			await options.setup?.(instance);
		} catch (e) {
			holder.error = e;
		}
	});
	after(async () => {
		await holder.instance?.stop({ keep: holder.failed });
	});
	const test = (name, fn, { timeout = 60_000 } = {}) => {
		nodeTest(`${file}: ${name}`, { timeout: timeout * patience },
		    async (t) => {
			if (holder.error !== undefined) {
				const e = holder.error;
				holder.error = new Error('not set up');
				throw e;
			}
			try {
				await fn(t);
				const bad = holder.instance.complaints();
				if (bad.length !== 0)
					throw new Error('unexpected in the log:\n' +
					    bad.join('\n'));
			} catch (e) {
				holder.failed = true;
				e.message += `\n--- log of ${holder.instance.dir}\n` +
				    holder.instance.tail();
				throw e;
			}
		});
	};
	return { test, it };
}

const b64 = (v) => Buffer.from(typeof v === 'string' ? v :
    JSON.stringify(v)).toString('base64url');

/** A JWT, right unless told otherwise. */
export function jwt(secret, claims, { header = {}, alg = 'HS256',
    hash = 'sha256' } = {})
{
	const now = Math.floor(Date.now() / 1000);
	const body = b64({ alg, typ: 'JWT', ...header }) + '.' +
	    b64({ exp: now + 600, ...claims });
	return body + '.' + (alg === 'none' ? '' :
	    createHmac(hash, secret).update(body).digest('base64url'));
}

/** The message text of API.md 1.1; what follows it ends in the position. */
const notJson = 'Invalid body: failed to parse JSON value. Please check the ' +
    'value to ensure it is valid JSON. (Common errors include trailing ' +
    'commas, missing closing brackets, missing quotation marks, etc.)';

/**
 * Throw unless r is an error object in full: all four keys, JSON, the status
 * asked for, and code, param, message (a string, a pattern) where given.
 */
export function refused(r, status, { code, param, message, type } = {})
{
	const say = (what) => {
		throw new Error(`${what}\nin the answer ${r.status}: ` +
		    r.text.slice(0, 600));
	};
	if (r.status !== status)
		say(`status ${r.status}, expected ${status}`);
	if (!/^application\/json\b/.test(r.headers['content-type'] ?? ''))
		say(`content-type ${r.headers['content-type']}`);
	const e = r.json?.error;
	if (e === undefined || e === null || typeof e !== 'object')
		say('no error object');
	if (Object.keys(e).sort().join() !== 'code,message,param,type')
		say(`keys ${Object.keys(e)}`);
	if (typeof e.message !== 'string' || e.message === '')
		say('no message');
	if (typeof e.type !== 'string' || e.type === '')
		say('no type');
	for (const [name, want] of Object.entries({ code, param, message, type })) {
		if (want === undefined)
			continue;
		const fits = want instanceof RegExp ?
		    typeof e[name] === 'string' && want.test(e[name]) :
		    Array.isArray(want) ? want.includes(e[name]) : e[name] === want;
		if (!fits)
			say(`${name} ${JSON.stringify(e[name])}, expected ${want}`);
	}
	return e;
}

/** 400 invalid_json, the exact text, and a position at the end. */
export function refusedJson(r)
{
	const e = refused(r, 400, { code: 'invalid_json', param: null,
	    type: 'invalid_request_error' });
	if (!e.message.startsWith(notJson) || !/position \d+$/.test(e.message))
		throw new Error(`message: ${e.message}`);
	return Number(/\d+$/.exec(e.message)[0]);
}

/** Throw unless the reply is a success; returns its JSON. */
export function ok(r, status = 200)
{
	if (r.status !== status || r.json === undefined)
		throw new Error(`status ${r.status}, expected ${status}: ` +
		    r.text.slice(0, 600));
	return r.json;
}

/** Run at most n of the jobs (functions) at once; results in order. */
export async function parallel(n, jobs)
{
	const results = new Array(jobs.length);
	let next = 0;
	await Promise.all(Array.from({ length: n }, async () => {
		while (next < jobs.length) {
			const i = next++;
			results[i] = await jobs[i]();
		}
	}));
	return results;
}

export const user = (text, more) => ({ type: 'message', role: 'user',
    content: text, ...more });
export const text = (item) => item.content.map((p) => p.text).join('');
