/**
 * The rules by which the tree stays readable, as far as a machine can tell:
 * who may name what, form, manuals that say all there is.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { build, must, root, run } from './harness.mjs';

const tracked = must(['git', 'ls-files', '-z']).split('\0').filter(Boolean)
    .filter((f) => fs.existsSync(path.join(root, f)));
const read = (f) => fs.readFileSync(path.join(root, f), 'utf8');
const below = (dir, ext) => tracked.filter((f) => f.startsWith(dir) &&
    ext.test(f));

/* C without comments, strings and characters, line for line. */
function bare(source)
{
	return (source.replace(
	    /\/\*[^]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
	    (s) => s[0] === '/' ? s.replace(/[^\n]/g, ' ') : s[0] + s.at(-1)));
}

/* Lines of files in which re matches, as "file:line: text". */
function hits(files, re, text = read)
{
	return (files.flatMap((f) => text(f).split('\n').flatMap((l, i) =>
	    re.test(l) ? [`${f}:${i + 1}: ${l.trim()}`] : [])));
}

const bareFile = (f) => bare(read(f));
const none = (found, why) => assert.deepEqual(found, [], why);
const product = /\.[ch]$/;

test('only wire and client name FCGI_', () => {
	none(hits([...below('fcgi/', product), ...below('store/', product),
	    ...below('conf/', product)].filter((f) =>
	    !/^fcgi\/(wire|client)(_\w+)?\.[ch]$/.test(f)), /\bFCGI_\w/,
	    bareFile));
});

test('within store/ only sys.c calls the file system', () => {
	const calls = 'open|openat|creat|read|pread|readv|write|pwrite|writev|' +
	    'pwritev|fsync|fdatasync|syncfs|rename|renameat|unlink|unlinkat|' +
	    'mkdir|mkdirat|ftruncate|truncate|posix_fallocate|fallocate|' +
	    'opendir|fdopendir|readdir|fopen|fdopen|flock|' +
	    'stat|fstat|fstatat|lstat|link|linkat|close';
	/* A member, as in sys->openat(, is the table itself. */
	none(hits(below('store/', product).filter((f) =>
	    !/^store\/sys\.[ch]$/.test(f)),
	    new RegExp(`(?<![\\w>.])(${calls})\\s*\\(`), bareFile));
});

test('only lock names pthread_', () => {
	none(hits(tracked.filter((f) => /^(fcgi|store|conf)\//.test(f) &&
	    product.test(f) && !/^store\/lock\.[ch]$/.test(f)), /\bpthread_\w/,
	    bareFile));
});

test('store/ knows nothing of HTTP, fcgi/ nothing of the files', () => {
	none(hits(below('store/', product), /#include\s+"(\.\.\/)?(fcgi|conf)\//));
	none(hits(below('store/', product), /\bHTTP_|fastcgi\.h/, bareFile));
	const doors = new Set(['store', 'histogram', 'item', 'id', 'buf', 'hex',
		'jsonscan', 'lock', 'log', 'sys']);
	none(hits(below('fcgi/', product), /#include\s+"store\//).filter((l) =>
	    !doors.has(/"store\/(\w+)\.h"/.exec(l)[1])));
});

test('www/ uses innerHTML in at most one module and fetch( in one', () => {
	const js = below('www/', /\.m?js$/);
	const using = (re) => js.filter((f) => re.test(read(f)));
	assert.ok(using(/\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b/)
	    .length <= 1);
	assert.equal(using(/\bfetch\(|\bXMLHttpRequest\b|\bEventSource\b/)
	    .length, 1);
	assert.equal(using(/\beval\(|new Function\(/).length, 0);
});

test('www/ loads nothing from elsewhere and has no inline code', () => {
	for (const f of below('www/', /\.(html|css|m?js)$/)) {
		const s = read(f);
		assert.doesNotMatch(s, /(src|href)\s*=\s*["'](https?:)?\/\//, f);
		assert.doesNotMatch(s, /@import\s+(url\()?["']?(https?:)?\/\//, f);
		assert.doesNotMatch(s, /\bfrom\s+['"](?![./])/, f);
		if (f.endsWith('.html')) {
			assert.doesNotMatch(s,
			    /<script(?![^>]*\bsrc=)(?![^>]*type="application\/json")/, f);
			assert.doesNotMatch(s, /\son\w+\s*=|<style|\sstyle\s*=/, f);
		}
	}
});

test('no third-party code', () => {
	none(tracked.filter((f) =>
	    /(^|\/)(node_modules|vendor|third_party|contrib)\/|\.min\.(js|css)$/
	    .test(f)));
	none(tracked.filter((f) => fs.statSync(path.join(root, f)).size >
	    200_000));
	none(tracked.filter((f) => /\.(o|a|so|tar\.\w+|tgz|zip|bin|exe)$/.test(f)));
});

test('nothing is left for later, and no machine is named', () => {
	const code = tracked.filter((f) => !f.endsWith('package-lock.json') &&
	    f !== 'tests/a_rules.mjs' && f !== 'LICENSE' &&
	    !/\.(png|ico|svg)$/.test(f));
	none(hits(code, /\b(TODO|FIXME|XXX|HACK)\b|\bplaceholder for\b/));
	none(hits(code, /\/work\/|\/tmp\/spec|\bissue [0-9]/i));
});

test('files stay readable: under 600 lines', () => {
	none(tracked.filter((f) => /^(fcgi|store|conf|www)\//.test(f) &&
	    /\.([ch]|m?js)$/.test(f)).map((f) => [f,
	    read(f).split('\n').length - 1]).filter(([, n]) => n >= 600));
});

test('clang-format has nothing to change but line breaks', () => {
	const c = tracked.filter((f) => product.test(f));
	const r = run(['.ci/lint', ...c]);
	assert.equal(r.status, 0, r.all.slice(0, 4000));
});

test('tabs, 80 columns, no white space at the end', () => {
	const code = tracked.filter((f) => /^(fcgi|store|conf)\//.test(f) &&
	    product.test(f));
	none(hits(code, /[ \t]+$/));
	const width = (l) => [...l].reduce((n, ch) => ch === '\t' ?
	    n + 8 - n % 8 : n + 1, 0);
	none(code.flatMap((f) => read(f).split('\n').flatMap((l, i) =>
	    width(l) > 80 ? [`${f}:${i + 1}`] : [])));
});

test('a release holds every file: each stands in Makefile.am', () => {
	const words = new Set(read('Makefile.am').split(/[\s\\=]+/));
	/* Vectors are listed by their folder. */
	none(tracked.filter((f) => /^(fcgi|store|conf|www|tests)\//.test(f) &&
	    !words.has(f) && !words.has(f.replace(/\.c$/, '')) &&
	    !f.startsWith('tests/vectors/')));
	assert.ok(words.has('tests/vectors'));
});

/* --- manuals --------------------------------------------------------------- */

const pages = tracked.filter((f) => /\.[1-9]$/.test(f));

test('the manuals pass mandoc', () => {
	assert.ok(pages.length >= 3);
	const r = run(['mandoc', '-T', 'lint', '-W', 'warning', ...pages]);
	assert.equal(r.all, '');
	assert.equal(r.status, 0);
});

const page = (name) => {
	const f = pages.find((p) => path.basename(p) === name);
	assert.ok(f !== undefined, `${name} is missing`);
	return (must(['mandoc', '-T', 'utf8', '-O', 'width=200', f])
	    .replaceAll(/.\x08/g, ''));
};

test('every option of the configuration is in its manual, the sample and ' +
    'the other way round', () => {
	const names = [...read('conf/conf_option.c').matchAll(
	    /^\s*OPTION\((\w+),/gm)].map((m) => m[1]);
	names.push('allowed_origins');
	assert.ok(names.length > 10);
	const manual = page('rememberd.conf.5');
	const sample = read(tracked.find((f) =>
	    f.endsWith('rememberd.conf.sample')));
	for (const n of names) {
		assert.match(manual, new RegExp(`\\b${n}\\b`), `${n} in the manual`);
		assert.match(sample, new RegExp(`\\b${n}\\b`), `${n} in the sample`);
	}
	const shown = [...sample.matchAll(/^#?\s*(\w+)\s*=\s/gm)].map((m) => m[1]);
	none(shown.filter((n) => !names.includes(n)), 'unknown in the sample');
	const said = [...manual.matchAll(/^ +(\w+) = /gm)].map((m) => m[1]);
	none(said.filter((n) => !names.includes(n)), 'unknown in the manual');
});

test('the sample configuration is one', () => {
	const sample = tracked.find((f) => f.endsWith('rememberd.conf.sample'));
	const r = run([path.join(build, 'rememberd'), '-n', '-c', sample]);
	assert.equal(r.status, 0, r.all);
});

test('every verb and option of rememberctl is in its manual', () => {
	const manual = page('rememberctl.8');
	for (const verb of ['tenant add', 'tenant list', 'key add', 'key list',
	    'key revoke', 'jwt-key add', 'jwt-key list', 'jwt-key revoke',
	    'token mint', 'flush', 'status'])
		assert.match(manual, new RegExp(`\\b${verb}\\b`), verb);
	/* All there are, by the tool's own word, in alphabetical order. */
	const verbs = [...run([path.join(build, 'rememberctl')]).all.matchAll(
	    /^ +rememberctl ([a-z-]+(?: [a-z]+)?)(?= |$)/gm)].map((m) => m[1]);
	assert.ok(verbs.length > 12);
	assert.deepEqual(verbs, [...verbs].sort());
	let at = manual.indexOf('The verbs are as follows');
	for (const verb of verbs) {
		const next = manual.indexOf(`\n     ${verb}`, at);
		assert.ok(next > at, `${verb}, in order`);
		at = next;
	}
	for (const option of ['-c', '-j', '--label', '--kid', '--secret-file',
	    '--sub', '--scope', '--ttl'])
		assert.ok(manual.includes(option), option);
	/* What the tool itself says it knows. */
	const help = run([path.join(build, 'rememberctl')]).all;
	for (const [, option] of help.matchAll(/(?<![\w-])(--[a-z][a-z-]+)/g))
		assert.ok(manual.includes(option), `${option} of the usage`);
	assert.match(manual, /EXIT STATUS/);
});

test('rememberd\'s manual says its options and signals', () => {
	const manual = page('rememberd.8');
	for (const word of ['-n', '-c', 'SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGPIPE',
	    'FILES', 'EXIT STATUS'])
		assert.ok(manual.includes(word), word);
});

test('every figure of /metrics is in rememberd(8), and no other', () => {
	const names = new Set([...read('fcgi/metrics.c').matchAll(
	    /"(rememberd_\w+)"/g)].map((m) => m[1]));
	assert.ok(names.size > 20);
	const manual = page('rememberd.8');
	const said = new Set([...manual.matchAll(/\brememberd_\w+/g)].map((m) =>
	    m[0].replace(/_(bucket|sum|count)$/, (s) =>
	    names.has(m[0]) ? s : '')));
	assert.deepEqual([...said].sort(), [...names].sort());
});

test('the example of rememberd(8) asks from where /metrics is allowed', () => {
	const manual = read('conf/rememberd.8');
	const allowed = [...read('conf/nginx-server.conf')
	    .match(/location = \/metrics \{[^}]*\}/)[0]
	    .matchAll(/allow\s+(\S+);/g)].map((m) => m[1]);
	const [, host] = /- targets: \["\[?([^"\]]+)\]?:\d+"\]/.exec(manual);
	assert.ok(allowed.includes(host), `${host} is not in ${allowed}`);
	const job = /job_name: (\w+)/.exec(manual)[1];
	assert.ok(manual.includes(`expr: up{job="${job}"} == 0`));
});

test('every reason of /readyz is in rememberd(8)', () => {
	const reasons = [...read('fcgi/health.c').matchAll(
	    /add_reason\(\w+, "(\w+)"\)/g)].map((m) => m[1]);
	assert.ok(reasons.length >= 3);
	const manual = page('rememberd.8');
	for (const reason of reasons)
		assert.match(manual, new RegExp(`^ +${reason} `, 'm'), reason);
});

/* --- the table of write paths, in rememberd-files(5) ----------------------- */

/*
 * What puts bytes, names or folders on the disk, or makes sure of them: the
 * table of system calls, and what stands between it and its callers.
 */
const writing = new RegExp('sys(?:_real\\.|->)(?:p?writev?|fsync|fdatasync|' +
    'syncfs|renameat|unlinkat|linkat|mkdirat|ftruncate)\\s*\\(|(?<![\\w>.])(?:' +
    'sys_(?:writeall|pwritevall|opendir|lockfile)|' +
    'atomicfile_(?:write|put|sync))\\s*\\(', 'g');
/* These write to an eventfd and to standard error, which are no store. */
const noStore = ['journal.c waiter_fire', 'log.c line_write'];

/* Of those, what syncs, and what gives a file its name. */
const syncing = /fsync|fdatasync|syncfs|atomicfile_|sys_opendir/;
const naming = /renameat|\blinkat|atomicfile_(write|put)/;

/*
 * The functions of store/ that write, as "FILE NAME", and what they call to do
 * so; but for sys.c, which all of them call.
 */
function writers()
{
	const found = new Map();
	for (const f of below('store/', /(?<!\/sys)\.c$/)) {
		let name;
		for (const line of bareFile(f).split('\n')) {
			const begun = /^(\w+)\(/.exec(line);
			name = begun?.[1] ?? name;
			for (const [call] of begun === null ?
			    line.matchAll(writing) : []) {
				const at = `${path.basename(f)} ${name}`;
				found.set(at, `${found.get(at) ?? ''} ${call}`);
			}
		}
	}
	return (found);
}

test('every function that writes to the store stands in the table of write ' +
    'paths, and no other', () => {
	const source = read('conf/rememberd-files.5');
	const table = /^\.Sh WRITE PATHS\n([^]*?)^\.Sh /m.exec(source)[1];
	const rows = table.split(/^\.It Sy /m).slice(1);
	assert.ok(rows.length > 15);
	const real = writers(), named = new Set();
	for (const row of rows) {
		const title = row.split('\n', 1)[0];
		assert.deepEqual([...row.matchAll(/^\.It (.*):$/gm)].map((m) => m[1]),
		    ['Written', 'Synced', 'Renamed', 'Acknowledged', 'On failure',
			'In'], title);
		let file;
		const fns = [...row.slice(row.indexOf('.It In:')).matchAll(
		    /^\.(Pa|Fn) (\S+)/gm)].flatMap(([, macro, word]) => {
			file = macro === 'Pa' ? word : file;
			return (macro === 'Fn' ? [`${file} ${word}`] : []);
		});
		assert.ok(fns.length > 0, title);
		fns.forEach((fn) => named.add(fn));
		/* What it says of syncs and names is what those functions do. */
		const says = Object.fromEntries([...row.matchAll(
		    /^\.It (\w+):\n(.*(?:\n(?!\.It|\.El).*)*)/gm)].map((m) =>
		    [m[1], m[2]]));
		const calls = fns.map((fn) => real.get(fn)).join();
		assert.equal(/^nothing\b/.test(says.Synced), !syncing.test(calls),
		    `${title} is synced: ${calls}`);
		assert.equal(/\bfdatasync\b/.test(says.Synced),
		    /fdatasync/.test(calls), `${title}: fdatasync`);
		assert.equal(/^nothing\b/.test(says.Renamed), !naming.test(calls),
		    `${title} is renamed: ${calls}`);
	}
	noStore.forEach((fn) => assert.ok(real.delete(fn), fn));
	assert.deepEqual([...named].sort(), [...real.keys()].sort());
});

test('README.md names both commands first, and the long loops', () => {
	const readme = read('README.md');
	const at = readme.indexOf('conf/quickstart');
	assert.ok(at >= 0 && at < 3000, 'conf/quickstart');
	assert.ok(readme.includes('tests/all'), 'tests/all');
	for (const loop of ['tests/kill9', 'tests/livebackup'])
		assert.ok(readme.includes(loop), loop);
});
