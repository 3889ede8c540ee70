/**
 * kill -9 at any moment loses, doubles and reorders nothing (promises 1 to 5):
 * writers work through nginx, the daemon is killed again and again, also
 * while it flushes and while it starts.  KILL_ROUNDS and KILL_WRITERS are
 * set by tests/kill9.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { start, sleep, patience, must, scratch, ok, user, text, until } from
    './harness.mjs';
import { World } from './crash.mjs';
import { checkDocument, documents, segments } from './documents.mjs';

const rounds = Number(process.env.KILL_ROUNDS ?? 40);
const writers = Number(process.env.KILL_WRITERS ?? 8);

/* Small files and short times, so that every path is on the way. */
const include = `flush_interval = "200ms"
journal_segment = "256K"
journal_limit = "1M"
journal_keep = "300ms"
`;

/* The least segments there are, never kept, and flushes without end. */
const tiny = `flush_interval = "20ms"
journal_segment = "64K"
journal_limit = "64K"
journal_keep = "0s"
`;

/* End the daemon somehow and start it again. */
async function strike(it)
{
	/* Mostly by force, and in a flush that was just begun now and then. */
	if (Math.random() < 0.2) {
		process.kill(it.pid, 'SIGUSR1');
		await sleep(Math.random() * 10 * patience);
	}
	/* Who starts it again may be quicker than its end. */
	if (Math.random() < 0.9)
		await it.kill9({ wait: Math.random() < 0.5 });
	else
		await it.term();
	/* Also while it starts, and starts. */
	while (Math.random() < 0.3) {
		await it.restart({ wait: false });
		await sleep(Math.random() * 60 * patience);
		await it.kill9();
	}
	await it.restart();
}

const tinyRounds = Math.ceil(rounds / 10);

for (const [name, n, more] of [['', rounds, include],
    [', tiny segments and endless flushes', tinyRounds, tiny]])
	test(`${n} rounds of kill -9 under ${writers} writers${name}`,
	    { timeout: (60_000 + n * 3_000) * patience },
	    () => killed(n, more));

async function killed(rounds, include)
{
	const it = await start({ include });
	it.allow(/torn/i);
	const world = new World(it);
	const began = Date.now();
	let keep = true;
	try {
		await world.begin(writers, 2);
		for (let round = 1; round <= rounds; round++) {
			await sleep((20 + Math.random() * 230) * patience);
			await strike(it);
			world.check();
			if (round % 10 === 0 || round === rounds) {
				await world.pause();
				await world.verify();
				await world.repeat(20);
				/*
				 * Each start keeps the journal anew: it only goes
				 * from one that lives for a while.
				 */
				await until(() => segments(it.store).length < 10,
				    20_000, 'the journal is let go');
				world.resume();
				if (process.env.KILL_VERBOSE !== undefined)
					console.log(`round ${round}: ` +
					    JSON.stringify(world.counts));
			}
		}
		await world.end();
		await world.verify({ all: true });
		assert.ok(world.counts.acked >= rounds * 5,
		    `enough was acknowledged: ${world.counts.acked}`);

		/* All of it stands in documents after a clean end. */
		await it.term();
		const files = documents(it.store);
		for (const f of files)
			checkDocument(f);
		const copy = scratch();
		must(['cp', '-a', it.store, `${copy}/store`]);
		fs.rmSync(path.join(copy, 'store', 'journal'),
		    { recursive: true });
		const twin = await start({ args: ['--store', `${copy}/store`] });
		twin.key = it.key;
		twin.allow(/journal/i);
		await world.verify({ it: twin, all: true });
		await world.repeat(100, twin);
		await twin.stop();
		fs.rmSync(copy, { recursive: true });
		await it.restart();
		await world.verify({ all: true });
		const s = ((Date.now() - began) / 1000).toFixed(0);
		console.log(`    kill -9: ${rounds} rounds, ${writers} writers, ` +
		    `${world.all.length} conversations, ${files.length} documents, ` +
		    Object.entries(world.counts).map(([k, v]) => `${v} ${k}`)
		    .join(', ') + `, ${s} s`);
		keep = false;
	} catch (e) {
		world.isStopped = true;
		e.message += `\n--- log of ${it.dir}\n${it.tail(60)}`;
		throw e;
	} finally {
		await it.stop({ keep });
	}
}

/*
 * The official client sends no key, only how often it tried.  One caller that
 * waits for each reply has everything once, whatever moment its reply is lost
 * in (the rule for unmodified clients in API.md).
 */
const patientRounds = Math.min(rounds, 12);

test(`${patientRounds} rounds under unmodified clients that retry`,
    { timeout: (60_000 + patientRounds * 5_000) * patience }, async () => {
	const it = await start({ include });
	it.allow(/torn/i);
	let keep = true;
	try {
		const conv = ok(await it.req('POST', '/conversations')).id;
		let isOver = false;
		const sent = [];
		const writers = Array.from({ length: 4 }, async (_, w) => {
			const c = it.client({ key: it.addKey(it.tenant).key,
				maxRetries: 40 });
			sent[w] = [];
			for (let n = 0; !isOver; n++) {
				const made = await c.conversations.items.create(conv,
				    { items: [user(`${w}.${n}`)] });
				sent[w].push(made.data[0].id);
			}
		});
		for (let round = 0; round < patientRounds; round++) {
			await sleep((200 + Math.random() * 600) * patience);
			await it.kill9({ wait: false });
			await it.restart();
		}
		isOver = true;
		await Promise.all(writers);
		const stored = [];
		for await (const item of it.client().conversations.items.list(conv,
		    { order: 'asc', limit: 1000 }))
			stored.push(item);
		for (const [w, ids] of sent.entries()) {
			const own = stored.filter((i) => text(i).startsWith(`${w}.`));
			assert.deepEqual(own.map(text), ids.map((_, n) =>
			    `${w}.${n}`), `writer ${w}: once each, in order`);
			assert.deepEqual(own.map((i) => i.id), ids);
			assert.ok(ids.length > patientRounds);
		}
		keep = false;
	} catch (e) {
		e.message += `\n--- log of ${it.dir}\n${it.tail(60)}`;
		throw e;
	} finally {
		await it.stop({ keep });
	}
});
