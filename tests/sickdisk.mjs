/**
 * The test's side of tests/sickdisk.c: a daemon whose disk is slow or fails
 * when the test says so.
 */
import { constants } from 'node:os';
import fs from 'node:fs';
import path from 'node:path';
import { must, root, scratch, until } from './harness.mjs';

let library;

function compiled()
{
	if (library === undefined) {
		const dir = scratch();
		process.on('exit', () =>
		    fs.rmSync(dir, { recursive: true, force: true }));
		library = path.join(dir, 'sickdisk.so');
		must(['cc', '-D_GNU_SOURCE', '-std=gnu11', '-O1', '-shared', '-fPIC',
		    '-o', library, path.join(root, 'tests/sickdisk.c')]);
	}
	return (library);
}

/* Whatever may fail when a file is written. */
const changing = 'creat,write,pwritev,fsync,fdatasync,renameat,unlinkat,mkdirat';

export class SickDisk {
	constructor(it)
	{
		this.it = it;
		this.control = path.join(it.dir, 'sickdisk');
		this.rules = [];
		this.serial = 0;
		this.set([]);
	}

	/** Start the daemon, that has ended, on this disk. */
	start(options)
	{
		return (this.it.restart({ ...options, more: this.env() }));
	}

	env()
	{
		return ({ LD_PRELOAD: compiled(), SICKDISK_CONTROL: this.control,
			SICKDISK_STORE: this.it.store });
	}

	set(rules)
	{
		this.rules = rules;
		fs.writeFileSync(`${this.control}.new`, rules.map((r) =>
		    `${r.id} ${r.calls} ${r.part} ${r.error} ${r.ms} ${r.times}\n`)
		    .join(''));
		fs.renameSync(`${this.control}.new`, this.control);
	}

	/**
	 * From now on calls on files with `part` in their path do so; returns the
	 * rule, to be told to hits, reached and end.
	 */
	ail({ calls = changing, part = '*', error, ms = 0, times = -1 })
	{
		const rule = { id: ++this.serial, calls, part, ms, times,
			error: error === undefined ? 0 : constants.errno[error] };
		if (rule.error === undefined || rule.id > 9999)
			throw new Error(`no such rule: ${error} ${rule.id}`);
		this.set([rule, ...this.rules]);
		return (rule);
	}

	/** Calls stop, until the rule ends. */
	hold(what)
	{
		return (this.ail({ ...what, ms: -1 }));
	}

	/** Let n - 1 calls pass and hold the n-th; returns the rule that does. */
	holdNth(n, what)
	{
		const rule = this.hold(what);
		if (n > 1)
			this.ail({ ...what, times: n - 1 });
		return (rule);
	}

	end(rule)
	{
		this.set(this.rules.filter((r) => r !== rule));
	}

	/** No rule any more. */
	heal()
	{
		this.set([]);
	}

	/** Every call a rule met, as "CALL PATH". */
	hits(rule)
	{
		let text = '';
		try {
			text = fs.readFileSync(`${this.control}.hits`, 'utf8');
		} catch {
			return ([]);
		}
		return (text.split('\n').filter((l) => l.startsWith(`${rule.id} `))
		    .map((l) => l.slice(l.indexOf(' ') + 1)));
	}

	reached(rule, times = 1)
	{
		return (until(() => this.hits(rule).length >= times, 15_000,
		    `${times} calls of ${rule.calls} on ${rule.part}`));
	}
}
