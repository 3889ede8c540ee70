/**
 * Who copies a store while it is written: what everybody has at hand, also
 * stopped half way, and one that takes files in any order and its time.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { build, must, run, sleep } from './harness.mjs';

const random = (below) => Math.floor(Math.random() * below);

function shuffled(list)
{
	for (let i = list.length - 1; i > 0; i--) {
		const k = random(i + 1);
		[list[i], list[k]] = [list[k], list[i]];
	}
	return (list);
}

/*
 * Run a command to its end, stopped now and then for some of `stops` ms in
 * all.  What vanished under it is told by its status, as cp, tar and rsync
 * do: that is no failure of the copy.
 */
async function command(argv, stops, statuses)
{
	/* A group of its own: a shell is stopped with all it started. */
	const child = spawn(argv[0], argv.slice(1), { detached: true,
		stdio: ['ignore', 'ignore', 'pipe'] });
	let said = '';
	child.stderr.setEncoding('utf8').on('data', (s) => said += s);
	const end = new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('close', resolve);
	});
	const signal = (name) => {
		if (child.exitCode === null && child.signalCode === null)
			process.kill(-child.pid, name);
	};
	for (let left = stops; left > 0 && child.exitCode === null;) {
		await sleep(random(4));
		signal('SIGSTOP');
		const ms = Math.min(left, 50 + random(stops));
		await sleep(ms);
		signal('SIGCONT');
		left -= ms;
	}
	const status = await end;
	if (!statuses.includes(status))
		throw new Error(`${argv.join(' ')}: exit ${status}\n${said}`);
}

/* Copy one file in pieces, with a rest in the middle if there is one. */
async function copyFile(from, to, rest)
{
	let input;
	try {
		input = fs.openSync(from, 'r');
	} catch (e) {
		if (e.code === 'ENOENT')
			return;
		throw e;
	}
	const output = fs.openSync(to, 'wx', 0o600);
	const piece = Buffer.alloc(1 + random(128 << 10));
	try {
		for (;;) {
			const n = fs.readSync(input, piece, 0, piece.length, null);
			if (n === 0)
				return;
			fs.writeSync(output, piece, 0, n);
			await rest();
		}
	} finally {
		fs.closeSync(input);
		fs.closeSync(output);
	}
}

/*
 * Any order that a copier could have: folders are listed at any time before
 * their files are read, and rests come between any two steps, `stops` ms in
 * all.
 */
async function anyOrder(from, to, stops)
{
	const work = [''];
	let left = stops;
	const rest = async () => {
		if (left > 0 && random(8) === 0) {
			const ms = Math.min(left, 1 + random(stops / 2));
			left -= ms;
			await sleep(ms);
		}
	};
	while (work.length > 0) {
		const [name] = work.splice(random(work.length), 1);
		const source = path.join(from, name);
		const target = path.join(to, name);
		let stat;
		try {
			stat = fs.lstatSync(source);
		} catch (e) {
			if (e.code === 'ENOENT')
				continue;
			throw e;
		}
		if (!stat.isDirectory()) {
			await copyFile(source, target, rest);
			continue;
		}
		fs.mkdirSync(target, { mode: 0o700 });
		const names = shuffled(fs.readdirSync(source));
		await rest();
		work.push(...names.map((n) => path.join(name, n)));
	}
}

const sh = (script, from, to, stops, statuses = [0]) =>
    command(['sh', '-c', script, 'sh', from, to], stops, statuses);

/* A backup, and another against it: that one is opened. */
async function backup(from, to, stops, it)
{
	const ctl = (...args) => command([path.join(build, 'rememberctl'), '-c',
		it.conf, 'backup', ...args], stops / 2, [0]);
	await ctl(`${to}.1`);
	await ctl(`${to}.2`, '--against', `${to}.1`);
	/* Both hold files of the store itself. */
	must(['cp', '-a', `${to}.2`, to]);
	fs.rmSync(`${to}.1`, { recursive: true });
	fs.rmSync(`${to}.2`, { recursive: true });
}

/**
 * Name -> copy(from, to, stops, it): `to` is made; stops is how many ms the
 * copier rests on its way; it is the daemon that writes meanwhile.
 */
export const copiers = {
	'cp -r': (from, to, stops) =>
	    command(['cp', '-r', from, to], stops, [0, 1]),
	'cp -a': (from, to, stops) =>
	    command(['cp', '-a', from, to], stops, [0, 1]),
	'any order': anyOrder,
	'rememberctl backup': backup,
	tar: (from, to, stops) => sh('mkdir "$2" && { tar -C "$1" -cf - . || ' +
	    '[ $? -eq 1 ]; } | tar -C "$2" -xf -', from, to, stops),
	'documents, then journal': (from, to, stops) => sh('mkdir "$2" && ' +
	    'cp -r "$1/tenants" "$2"; cp -r "$1/journal" "$2"; ' +
	    'cp "$1/store.json" "$2"', from, to, stops),
	'journal, then documents': (from, to, stops) => sh('mkdir "$2" && ' +
	    'cp -r "$1/journal" "$2"; cp -r "$1/tenants" "$2"; ' +
	    'cp "$1/store.json" "$2"', from, to, stops),
};
if (run(['sh', '-c', 'command -v rsync']).status === 0)
	/* 24: something vanished. */
	copiers.rsync = (from, to, stops) =>
	    command(['rsync', '-a', `${from}/`, to], stops, [0, 24]);
