/**
 * Something between two that talk over stream sockets, which loses replies:
 * between a client and nginx, or between nginx and the daemon.
 */
import net from 'node:net';
import { sleep } from './harness.mjs';

export class Relay {
	/** target: as for net.connect. */
	constructor(target)
	{
		this.target = target;
		this.pairs = new Set();
		this.gate = null;
		this.server = net.createServer((s) => this.accept(s));
	}

	/** where: as for net.Server.listen. */
	listen(where)
	{
		return new Promise((resolve, reject) => {
			this.server.on('error', reject);
			this.server.listen(where, resolve);
		});
	}

	get port()
	{
		return (this.server.address().port);
	}

	/**
	 * The next `times` replies are lost but for their first bytes, and their
	 * connections cut; isHeld: left as they are, until drop.  Resolves when
	 * the last of them came.
	 */
	lose({ times = 1, pass = 0, isHeld = false } = {})
	{
		return new Promise((resolve) => {
			this.gate = { times, pass, isHeld, resolve };
		});
	}

	/** End every connection, lose what is held. */
	drop()
	{
		for (const pair of this.pairs)
			pair.forEach((s) => s.destroy());
	}

	async close()
	{
		this.drop();
		await new Promise((resolve) => this.server.close(resolve));
	}

	async accept(near)
	{
		const early = [];
		const far = new net.Socket();
		const pair = [near, far];
		const end = () => {
			pair.forEach((s) => s.destroy());
			this.pairs.delete(pair);
		};
		this.pairs.add(pair);
		near.on('error', end).on('close', end);
		far.on('error', () => {}).on('data', (d) => this.reply(pair, d));
		near.on('data', (d) => far.pending ? early.push(d) : far.write(d));
		/* Whom it is for may be starting. */
		for (let tries = 0; far.pending && !near.destroyed; tries++) {
			if (tries > 0)
				await sleep(10);
			if (tries > 1000)
				return (end());
			await new Promise((resolve) => {
				far.once('connect', resolve).once('close', resolve);
				far.connect(this.target);
			});
		}
		far.on('close', end);
		early.forEach((d) => far.write(d));
	}

	/* Pass on what came from the far side, or lose it. */
	reply(pair, bytes)
	{
		const g = this.gate;
		if (pair.isLost)
			return;
		if (g === null)
			return (pair[0].write(bytes));
		pair.isLost = true;
		if (g.pass > 0)
			pair[0].write(bytes.subarray(0, g.pass));
		if (!g.isHeld)
			setImmediate(() => pair[0].destroySoon());
		if (--g.times === 0) {
			this.gate = null;
			g.resolve();
		}
	}
}
