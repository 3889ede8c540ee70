/**
 * Takes protections out of the code one at a time, see mutants.mjs, and runs
 * the C tests until one goes red.  A mutant that no test notices survives.
 *
 *	mutate.mjs [-j N] [-l] [-t SECONDS] [PATTERN]
 */
import { spawnSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { mutantsOf } from './mutants.mjs';

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const { values: opt, positionals } = parseArgs({ allowPositionals: true,
	options: {
		jobs: { type: 'string', short: 'j', default: '2' },
		list: { type: 'boolean', short: 'l', default: false },
		timeout: { type: 'string', short: 't', default: '60' },
	} });
const pattern = new RegExp(positionals[0] ?? '');

/* What is told first by which test; then all others follow. */
const nearest = [
	[/atomicfile|sys\.c/, ['c_atomicfile', 'c_descriptors']],
	[/segment_read/, ['c_segment_damage']],
	[/segment/, ['c_segment', 'c_segment_damage', 'c_segment_fails',
	    'c_journal', 'c_journal_fails', 'c_recover_full']],
	[/journal_retire/, ['c_journal_retire', 'c_journal_full']],
	[/journal_spare/, ['c_journal_spare', 'c_journal_full',
	    'c_journal_rotate']],
	[/journal/, ['c_journal', 'c_journal_fails', 'c_journal_spare',
	    'c_journal_full', 'c_journal_retire', 'c_journal_rotate',
	    'c_segment', 'c_segment_fails', 'c_store_durable']],
	[/sweep/, ['c_flush_sweep']],
	[/flush|sweep/, ['c_flush', 'c_flush_fails', 'c_flush_broken',
	    'c_flush_sweep', 'c_flush_full', 'c_flush_races',
	    'c_store_durable']],
	[/document_seal/, ['c_seal']],
	[/document/, ['c_document', 'c_document_edited']],
	[/identity/, ['c_identity', 'c_recover_start']],
	[/quarantine/, ['c_quarantine']],
	[/backup|copy|restore/, ['c_backup', 'c_backup_fails',
	    'c_backup_order', 'c_restore']],
	[/import|feed/, ['c_import', 'c_import_parts', 'e_import']],
	[/readonly|problem|each|export/, ['c_readonly',
	    'c_readonly_damage', 'c_readonly_motion', 'c_readonly_fails']],
	[/commit/, ['c_store', 'c_store_once', 'c_undo', 'c_undo_retries',
	    'e_import']],
	[/undo|durable|read\.c|list/, ['c_undo', 'c_undo_each',
	    'c_undo_retries', 'c_store_lists', 'c_store_durable', 'e_sick']],
	[/recover|replay|load/, ['c_recover', 'c_recover_journal',
	    'c_recover_documents', 'c_recover_start', 'c_recover_copy',
	    'c_recover_full']],
	[/store\//, ['d_powercut', 'c_store', 'c_store_once', 'c_flush',
	    'c_recover']],
	[/fcgi\//, ['b_worker_park', 'b_worker_away', 'b_worker', 'e_sick',
	    'e_edge', 'e_process', 'e_api']],
];

function run(argv, cwd, ms)
{
	return (spawnSync(argv[0], argv.slice(1), { cwd, encoding: 'utf8',
	    timeout: ms, killSignal: 'SIGKILL', maxBuffer: 1 << 28 }));
}

function must(argv, cwd)
{
	const r = run(argv, cwd);

	if (r.status !== 0)
		throw new Error(`${argv.join(' ')}: ${r.stdout}${r.stderr}`);
	return (r.stdout);
}

/* A command in a process group of its own, ended with all it started. */
function attempt(argv, cwd, seconds)
{
	return (new Promise((resolve) => {
		const child = spawn(argv[0], argv.slice(1), { cwd,
		    env: { ...process.env, srcdir: '../tree' }, detached: true,
		    stdio: ['ignore', 'pipe', 'pipe'] });
		let text = '';
		const end = () => {
			try {
				process.kill(-child.pid, 'SIGKILL');
			} catch {
				/* It is gone. */
			}
		};
		const timer = setTimeout(() => {
			text += '\ntimeout';
			end();
		}, seconds * 1000);
		child.stdout.on('data', (d) => { text += d; });
		child.stderr.on('data', (d) => { text += d; });
		child.on('close', (status) => {
			clearTimeout(timer);
			end();
			resolve({ status, text });
		});
	}));
}

/* A copy of the tree with a build of its own. */
function makeYard(dir)
{
	const tree = path.join(dir, 'tree'), build = path.join(dir, 'build');

	fs.mkdirSync(tree, { recursive: true });
	fs.mkdirSync(build);
	for (const f of must(['git', 'ls-files', '-z'], root).split('\0')) {
		if (f === '' || !fs.existsSync(path.join(root, f)))
			continue;
		fs.mkdirSync(path.join(tree, path.dirname(f)),
		    { recursive: true });
		fs.copyFileSync(path.join(root, f), path.join(tree, f));
	}
	must(['./autogen.sh'], tree);
	must(['../tree/configure', '--enable-debug', '--disable-werror',
	    'CFLAGS=-O1 -g -w'], build);
	must(['make', '-j2'], build);
	must(['make', '-j2', 'check', 'TESTS='], build);
	return ({ tree, build });
}

/* The C tests of a build, the fastest first, with the seconds each took. */
async function timeTests(yard)
{
	const makefile = fs.readFileSync(path.join(yard.tree, 'Makefile.am'),
	    'utf8');
	const names = /^c_tests = ((?:.*\\\n)*.*)/m.exec(makefile)[1]
	    .match(/tests\/\w+/g).map((t) => t.slice(6))
	    .filter((t) => t !== 'c_nomem');
	const timed = [];

	for (const name of names) {
		const began = Date.now();
		const r = await attempt([`./tests/${name}`], yard.build, 600);
		if (r.status !== 0)
			throw new Error(`${name} fails as it is:\n${r.text}`);
		timed.push({ name, seconds: (Date.now() - began) / 1000 });
	}
	return (timed.sort((a, b) => a.seconds - b.seconds));
}

function orderFor(file, timed)
{
	const first = nearest.filter(([re]) => re.test(file))
	    .flatMap(([, names]) => names);
	const rank = (t) => first.includes(t.name) ? first.indexOf(t.name) :
	    first.length;

	return ([...timed].sort((a, b) => rank(a) - rank(b)));
}

/* Which test notices it: its name, 'the compiler', or null. */
async function judge(yard, mutant, timed)
{
	const file = path.join(yard.tree, mutant.file);
	const source = fs.readFileSync(file, 'utf8');

	fs.writeFileSync(file, source.slice(0, mutant.start) + mutant.text +
	    source.slice(mutant.end));
	try {
		const made = await attempt(['make'], yard.build, 300);
		if (made.status !== 0)
			return ('the compiler');
		for (const t of orderFor(mutant.file, timed)) {
			const limit = Number(opt.timeout) + 4 * t.seconds;
			const linked = await attempt(['make',
			    `tests/${t.name}`], yard.build, 300);
			if (linked.status !== 0)
				throw new Error(linked.text);
			const r = await attempt([`./tests/${t.name}`],
			    yard.build, limit);
			if (r.status !== 0)
				return (t.name + (r.text.endsWith('timeout') ?
				    ' (it hangs)' : ''));
		}
		return (null);
	} finally {
		fs.writeFileSync(file, source);
	}
}

const all = must(['git', 'ls-files', 'store/*.c', 'fcgi/*.c'], root)
    .split('\n').filter(Boolean).flatMap((file) =>
	mutantsOf(file, fs.readFileSync(path.join(root, file), 'utf8'))
	    .map((m) => ({ file, ...m })))
    .filter((m) => pattern.test(m.name));

if (opt.list) {
	for (const m of all)
		console.log(m.name);
	process.exit(0);
}

/* The many lives of d_powercut would be most of the time. */
process.env.POWERCUTS ??= '1500';

const work = fs.mkdtempSync(path.join(os.tmpdir(), 'mutate-'));
const began = Date.now();
const stamp = () => `${String(Math.round((Date.now() - began) / 1000))
    .padStart(5)}s`;
let passed = 0;
const survivors = [];
let status = 1;

try {
	const queue = [...all];
	const yards = [];
	for (let i = 0; i < Math.min(Number(opt.jobs), all.length); i++)
		yards.push(makeYard(path.join(work, String(i))));
	const timed = await timeTests(yards[0]);
	console.log(`${stamp()} ${all.length} mutants, ` +
	    `${timed.length} programs of tests`);
	await Promise.all(yards.map(async (yard) => {
		for (let m; (m = queue.shift()) !== undefined;) {
			const by = await judge(yard, m, timed);
			if (by === null)
				survivors.push(m.name);
			else
				passed++;
			console.log(`${stamp()} ${by === null ? 'SURVIVES' :
			    'ok'}  ${m.name}${by === null ? '' : `: ${by}`}`);
		}
	}));
	for (const name of survivors)
		console.log(`SURVIVES  ${name}`);
	status = survivors.length === 0 && passed > 0 ? 0 : 1;
} finally {
	fs.rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${survivors.length} failed`);
process.exit(status);
