/**
 * A small file system of one's own, in a mount namespace that ends with the
 * test, so that nothing stays mounted whatever happens.  Without root, in a
 * user namespace.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { must, run, scratch, until } from './harness.mjs';

const isRoot = process.getuid() === 0;
const unshare = ['unshare', isRoot ? '-m' : '-rm'];

/** Why there is none here, or false. */
export const noSmallDisk = (() => {
	try {
		const r = run([...unshare, 'sh', '-c',
			'mount -t tmpfs -o size=1m none /tmp && exec nsenter --version']);
		return (r.status !== 0 && `no mounts here: ${r.all.trim()}`);
	} catch (e) {
		return (`no mounts here: ${e.message}`);
	}
})();

export class SmallDisk {
	/** Make one of so many bytes; its files are below disk.dir for whoever
	 * is within, below disk.seen for us. */
	static async make(bytes)
	{
		const disk = new SmallDisk();
		disk.dir = scratch();
		/* It ends with our end of the pipe. */
		disk.child = spawn(unshare[0], [...unshare.slice(1), 'sh', '-c',
			'mount -t tmpfs -o "size=$2" none "$1" && echo made && exec cat',
			'sh', disk.dir, String(bytes)],
		    { stdio: ['pipe', 'pipe', 'inherit'] });
		let said = '';
		disk.child.stdout.setEncoding('utf8').on('data', (s) => said += s);
		await until(() => said === 'made\n', 10_000, 'the small disk');
		disk.within = ['nsenter', '-t', String(disk.child.pid), '-m',
			...(isRoot ? [] : ['-U', '--preserve-credentials'])];
		disk.seen = `/proc/${disk.child.pid}/root${disk.dir}`;
		return (disk);
	}

	/** Change how it is mounted: ro, rw, size=BYTES. */
	remount(option)
	{
		must([...this.within, 'mount', '-o', `remount,${option}`, this.dir]);
	}

	/** Take all the room that is left; returns how much that was. */
	fill()
	{
		const fd = fs.openSync(path.join(this.seen, 'filler'), 'a');
		let done = 0;
		try {
			for (let size = 1 << 20; size >= 1; size >>= 1)
				for (;;) {
					const n = write(fd, Buffer.alloc(size));
					done += n;
					if (n < size)
						break;
				}
		} finally {
			fs.closeSync(fd);
		}
		return (done);
	}

	/** Make room again: all but `rest` bytes of what was taken. */
	free(rest = 0)
	{
		fs.truncateSync(path.join(this.seen, 'filler'), rest);
	}

	/** How much of it is taken. */
	filled()
	{
		return (fs.statSync(path.join(this.seen, 'filler')).size);
	}

	async end()
	{
		this.child.stdin.end();
		await until(() => this.child.exitCode !== null ||
		    this.child.signalCode !== null);
		fs.rmdirSync(this.dir);
	}
}

/* How many bytes there was room for. */
function write(fd, bytes)
{
	try {
		return (fs.writeSync(fd, bytes));
	} catch (e) {
		if (e.code !== 'ENOSPC')
			throw e;
		return (0);
	}
}
