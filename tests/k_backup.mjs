/**
 * Any copy is a backup (promise 6): copies are made of a store under writers,
 * by cp, tar, rsync and in any order of files, also by a copier that rests in
 * the middle of a file or of a folder's listing.  Each opens cleanly, holds
 * what was acknowledged before it was begun, brings nothing back that was
 * deleted by then, and goes on from there.  tests/livebackup sets
 * BACKUP_ROUNDS and BACKUP_WRITERS.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { start, sleep, patience, scratch, ok, user, text, walk } from
    './harness.mjs';
import { copiers } from './copiers.mjs';
import { World } from './crash.mjs';

const rounds = Number(process.env.BACKUP_ROUNDS ?? 10);
const writers = Number(process.env.BACKUP_WRITERS ?? 8);

/* A copier rests for several flushes and many segments, yet takes less than
 * journal_keep. */
const keep = 8_000;
const include = `flush_interval = "200ms"
journal_segment = "64K"
journal_limit = "1M"
journal_keep = "${keep}ms"
`;

/* A daemon that is started on one copy after the other. */
async function startTwin(key)
{
	const dir = scratch();
	const twin = await start({ include: 'flush_interval = "200ms"\n',
		args: ['--store', path.join(dir, 'store')] });
	twin.key = key;
	/* What a copier tore is told, and is no damage. */
	twin.allow(/\btorn\b|\bcopy\b|\bcopied\b/);
	await twin.term();
	return (twin);
}

async function openCopy(twin, copy)
{
	fs.rmSync(twin.store, { recursive: true });
	fs.renameSync(copy, twin.store);
	await twin.restart();
}

/* The copy is a store like any other: it takes changes and keeps them. */
async function goOn(twin, world)
{
	const c = ok(await twin.req('POST', '/conversations',
	    { body: { items: [user('on the copy')] } }));
	const old = world.all.findLast((x) => !x.isDoomed);
	const r = await twin.req('POST', `/conversations/${old.id}/items`,
	    { body: { items: [user('goes on')] } });
	/* It may have been made after the copy was begun. */
	if (r.status !== 404)
		ok(r);
	await twin.kill9();
	await twin.restart();
	assert.deepEqual(ok(await twin.req('GET',
	    `/conversations/${c.id}/items`)).data.map(text), ['on the copy']);
	if (r.status !== 404) {
		const last = ok(await twin.req('GET',
		    `/conversations/${old.id}/items?limit=1`)).data[0];
		assert.equal(last.id, r.json.data[0].id);
	}
}

async function copyOnce(world, twin, how, round)
{
	const dir = scratch();
	const copy = path.join(dir, 'store');
	const stops = round % 3 === 0 ? 0 : Math.random() * keep / 4;
	const at = performance.now();
	await copiers[how](world.it.store, copy, stops, world.it);
	const took = performance.now() - at;
	world.check();
	assert.ok(took < keep * 0.9, `${how} took ${took} ms`);
	try {
		await openCopy(twin, copy);
		/* Outcomes of keyed requests first: they must add nothing. */
		await world.repeat(10, twin, at);
		await world.verify({ it: twin, at, all: round % 10 === 0,
			since: at - 4_000 });
		assert.deepEqual(walk(path.join(twin.store, 'quarantine')), [],
		    'nothing is set aside');
		await goOn(twin, world);
		await twin.term();
		const bad = twin.complaints();
		assert.deepEqual(bad, []);
	} catch (e) {
		e.message += `\n--- copied by ${how}, stopped ${stops} ms, in ` +
		    `${took} ms; log of ${twin.dir}\n${twin.tail(40)}`;
		throw e;
	}
	fs.rmSync(dir, { recursive: true });
	return (took);
}

test(`${rounds} copies of a store under ${writers} writers`,
    { timeout: (60_000 + rounds * 20_000) * patience }, async () => {
	const it = await start({ include });
	const twin = await startTwin(it.key);
	const world = new World(it, { pace: 15 });
	const began = Date.now();
	const made = {};
	let isKept = true;
	try {
		await world.begin(writers, 2);
		await sleep(500);
		const names = Object.keys(copiers);
		for (let round = 1; round <= rounds; round++) {
			const how = names[round % names.length];
			await copyOnce(world, twin, how, round);
			made[how] = (made[how] ?? 0) + 1;
			if (round % 10 === 0 &&
			    process.env.BACKUP_VERBOSE !== undefined)
				console.log(`round ${round}: ` +
				    JSON.stringify(world.counts));
		}
		await world.end();
		await world.verify({ all: true });
		assert.ok(world.counts.acked >= rounds * 20);
		assert.ok(world.counts.deletes > 0);
		const s = ((Date.now() - began) / 1000).toFixed(0);
		console.log(`    live copies: ${rounds} (${Object.entries(made)
		    .map(([k, v]) => `${k} ${v}`).join(', ')}), ${writers} writers, ` +
		    `${world.all.length} conversations, ` +
		    Object.entries(world.counts).map(([k, v]) => `${v} ${k}`)
		    .join(', ') + `, ${s} s`);
		isKept = false;
	} catch (e) {
		world.isStopped = true;
		e.message += `\n--- log of ${it.dir}\n${it.tail(40)}`;
		throw e;
	} finally {
		for (const instance of [twin, it])
			await instance.stop({ keep: isKept }).catch((e) => {
				/* Not in place of what went wrong before. */
				if (!isKept)
					throw e;
			});
		if (!isKept)
			fs.rmSync(path.dirname(twin.store), { recursive: true });
	}
});
