/**
 * Writers that note what they sent and what was acknowledged, and the check
 * that a store holds exactly that.
 *
 * Every item's text is "<writer>.<batch>.<index>/<size>", so that whatever is
 * found in a conversation names the request it came from.  Facts checked by
 * verify, for each conversation:
 *
 *	1. Every item of an acknowledged batch is there once, under the id that
 *	   was acknowledged, unless its deletion was.
 *	2. A batch nobody acknowledged is there whole or not at all.
 *	3. The items of a batch stand together, in their order.
 *	4. If one batch was acknowledged before another was sent, it stands
 *	   before it.
 *	5. What was deleted stays deleted; the title is the last acknowledged one
 *	   or one asked for since.
 *	6. What a reader was ever shown is there (promise 2), unless deleted.
 *	7. A question to recall stands with its answer behind it, or not at all.
 *	8. The list names each of them once, and nothing else.
 *
 * A copy of the store that was begun at some moment is held to what was
 * acknowledged and observed by then; what came later may be there as well.
 * Moments are those of performance.now(), Infinity for never.
 */
import assert from 'node:assert/strict';
import { refused, sleep } from './harness.mjs';

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const chance = (p) => Math.random() < p;
let serial = 0;

class Conversation {
	constructor(id, owner)
	{
		this.id = id;
		this.owner = owner;		/* writer, or null: shared */
		this.batches = [];
		this.made = performance.now();
		this.deleted = new Map();	/* item id -> acked when */
		this.titles = [];		/* { title, acked } in order */
		this.isDoomed = false;		/* its deletion was asked for */
		this.gone = Infinity;		/* and acknowledged */
		this.seen = new Map();		/* item id -> first shown when */
		this.changed = this.made;
		this.isChanged = true;
	}

	/* Something of it is about to be, or was, changed. */
	touch()
	{
		this.changed = performance.now();
		this.isChanged = true;
	}
}

/* Was it so for certain when a copy was begun? */
const was = (when, at) => when < Infinity && when <= at;

export class World {
	/** pace: how many ms a writer rests between two changes, on average. */
	constructor(it, { pace = 0 } = {})
	{
		this.it = it;
		this.pace = pace;
		this.all = [];
		this.shared = [];
		this.keyed = [];		/* sample of accepted keyed requests */
		this.isPaused = false;
		this.isStopped = false;
		this.busy = 0;
		this.counts = { acked: 0, unknown: 0, retries: 0, repeats: 0,
			asked: 0, creates: 0, deletes: 0, reads: 0 };
		this.listed = new Map();	/* what readers saw -> when */
		this.failure = null;
	}

	/** One try; resolves to the reply or null when its outcome is unknown. */
	async attempt(method, target, options)
	{
		/*
		 * nginx always answers: a closed connection is a failure, but of
		 * a reply that was on its way when the daemon was killed.
		 */
		const { kills } = this.it;
		const r = await this.it.req(method, target,
		    { timeout: 60_000, ...options }).catch((e) => {
			if (e.message !== 'aborted' || this.it.kills === kills)
				throw e;
			return (null);
		});
		if (r === null)
			return (null);
		if (r.status === 200)
			return (r);
		refused(r, r.status);
		if (r.status >= 500 || r.status === 409)
			return (null);
		throw new Error(`${method} ${target}: ${r.status} ${r.text}`);
	}

	/** A keyed change, repeated until its outcome is known. */
	async insist(method, target, body)
	{
		const headers = { 'idempotency-key': `k-${++serial}-` +
		    Math.random().toString(36).slice(2) };
		for (;;) {
			const r = await this.attempt(method, target,
			    { body, headers });
			if (r !== null) {
				this.remember({ method, target, body, headers, r,
					acked: performance.now() });
				return (r);
			}
			this.counts.retries++;
			await sleep(5 + Math.random() * 20);
		}
	}

	remember(request)
	{
		if (this.keyed.length < 400)
			this.keyed.push(request);
		else if (chance(0.2))
			this.keyed[Math.floor(Math.random() * 400)] = request;
	}

	async create(owner)
	{
		const r = await this.insist('POST', '/conversations',
		    { title: 'first' });
		const c = new Conversation(r.json.id, owner);
		c.titles.push({ title: 'first', acked: c.made });
		this.all.push(c);
		this.counts.creates++;
		return (c);
	}

	async append(writer, c, isKeyed)
	{
		const n = ++serial;
		const size = 1 + Math.floor(Math.random() * 4);
		const fill = chance(0.05) ? ' ' + 'x'.repeat(20_000) : '';
		const texts = Array.from({ length: size }, (_, i) =>
		    `${writer}.${n}.${i}/${size}${fill}`);
		const body = { items: texts.map((t) => ({ role: 'user',
			content: [{ type: 'input_text', text: t }] })) };
		const batch = { n, size, ids: null, sent: performance.now(),
			acked: Infinity };
		c.batches.push(batch);
		c.touch();
		const target = `/conversations/${c.id}/items`;
		const r = isKeyed ? await this.insist('POST', target, body) :
		    await this.attempt('POST', target, { body });
		if (r === null) {
			this.counts.unknown++;
			return;
		}
		batch.acked = performance.now();
		batch.ids = r.json.data.map((i) => i.id);
		assert.equal(batch.ids.length, size, 'all items in the reply');
		this.counts.acked++;
	}

	/* A question, with its answer in the same change. */
	async ask(writer, c)
	{
		const n = ++serial;
		const batch = { n, size: 1, ids: null, answer: null,
			sent: performance.now(), acked: Infinity };
		c.batches.push(batch);
		c.touch();
		const r = await this.insist('POST', '/responses', { model: 'recall',
			conversation: c.id, input: `${writer}.${n}.0/1` });
		batch.acked = performance.now();
		batch.answer = r.json.output[0].id;
		this.counts.asked++;
	}

	async removeItem(c)
	{
		const known = c.batches.filter((b) => b.ids !== null)
		    .flatMap((b) => b.ids).filter((id) => !c.deleted.has(id));
		if (known.length === 0)
			return;
		const id = pick(known);
		c.deleted.set(id, Infinity);
		c.touch();
		await this.insist('DELETE', `/conversations/${c.id}/items/${id}`);
		c.deleted.set(id, performance.now());
		this.counts.deletes++;
	}

	async rename(c)
	{
		const t = { title: `title ${++serial}`, acked: Infinity };
		c.titles.push(t);
		c.touch();
		await this.insist('PATCH', `/conversations/${c.id}`,
		    { title: t.title });
		t.acked = performance.now();
	}

	async remove(c)
	{
		c.isDoomed = true;
		c.touch();
		await this.insist('DELETE', `/conversations/${c.id}`);
		c.gone = performance.now();
		this.counts.deletes++;
	}

	async write(writer)
	{
		let own = await this.create(writer);
		while (!this.isStopped) {
			if (this.pace > 0)
				await sleep(2 * this.pace * Math.random());
			if (this.isPaused) {
				await sleep(5);
				continue;
			}
			this.busy++;
			try {
				await this.rotate();
				const dice = Math.random();
				const c = chance(0.6) ? pick(this.shared) : own;
				if (dice < 0.5)
					await this.append(writer, c, true);
				else if (dice < 0.55)
					await this.ask(writer, c);
				else if (dice < 0.8)
					await this.append(writer, c, false);
				else if (dice < 0.86)
					await this.removeItem(own);
				else if (dice < 0.92)
					await this.rename(own);
				else if (dice < 0.93)
					await this.repeat(1);
				else if (own.batches.length > 40) {
					if (chance(0.5))
						await this.remove(own);
					own = await this.create(writer);
				} else
					await sleep(Math.random() * 4);
			} finally {
				this.busy--;
			}
		}
	}

	async read()
	{
		while (!this.isStopped) {
			const c = pick(this.shared);
			const items = this.isPaused ? null : await this.attempt(
			    'GET', `/conversations/${c.id}/items?limit=20`);
			const now = performance.now();
			for (const i of items?.json.data ?? [])
				if (!c.seen.has(i.id))
					c.seen.set(i.id, now);
			const list = this.isPaused ? null : await this.attempt(
			    'GET', '/conversations?limit=5&sort=created_at');
			for (const l of list?.json.data ?? [])
				if (!this.listed.has(l.id))
					this.listed.set(l.id, performance.now());
			this.counts.reads++;
			await sleep(2);
		}
	}

	/** Set writers and readers to work; fail() hears of their first error. */
	async begin(writers, readers)
	{
		this.shared = [await this.create(null), await this.create(null)];
		const guard = (p) => p.catch((e) => {
			this.failure ??= e;
			this.isStopped = true;
		});
		this.tasks = [
			...Array.from({ length: writers }, (_, w) =>
			    guard(this.write(w))),
			...Array.from({ length: readers }, () => guard(this.read())),
		];
	}

	/** Let every request under way come to its end. */
	async pause()
	{
		this.isPaused = true;
		while (this.busy > 0 && this.failure === null)
			await sleep(5);
		this.check();
	}

	resume()
	{
		this.isPaused = false;
	}

	check()
	{
		if (this.failure !== null)
			throw this.failure;
	}

	async end()
	{
		this.isPaused = false;
		this.isStopped = true;
		await Promise.all(this.tasks);
		this.check();
	}

	/*
	 * New shared conversations now and then, so that none grows without end
	 * or meets once_limit.
	 */
	async rotate()
	{
		if (this.isRotating || this.shared[0].batches.length < 500)
			return;
		this.isRotating = true;
		this.shared = [await this.create(null), await this.create(null)];
		this.isRotating = false;
	}

	/**
	 * Check those conversations in instance it that were changed since the
	 * last time, or all of them.  In a copy begun `at` that moment: those
	 * changed since `since`.
	 */
	async verify({ it = this.it, all = false, at = Infinity, since = 0 } = {})
	{
		const known = [...this.all];
		await this.verifyList(it, at);
		for (const c of known) {
			const isDue = at < Infinity ? c.changed >= since :
			    c.isChanged;
			if (all || isDue)
				await verifyConversation(it, c, { at,
					key: this.it.key });
			if (at === Infinity)
				c.isChanged = false;
		}
	}

	/* Fact 8, and what readers saw in lists. */
	async verifyList(it, at)
	{
		const listed = await listAll(it, this.it.key);
		const known = new Map(this.all.map((c) => [c.id, c]));
		for (const [id, when] of this.listed)
			if (was(when, at))
				assert.ok(known.has(id), `OBSERVED and lost: ${id}`);
		for (const c of known.values()) {
			assert.ok(!listed.has(c.id) || !was(c.gone, at),
			    `deleted, yet listed: ${c.id}`);
			assert.ok(listed.has(c.id) || c.isDoomed ||
			    !was(c.made, at), `LOST from the list: ${c.id}`);
		}
		/* One may have been made whose reply had not come by then. */
		if (at === Infinity)
			for (const id of listed)
				assert.ok(known.has(id), `listed, unknown: ${id}`);
	}

	/** Keyed requests sent again give their first outcome. */
	async repeat(n, it = this.it, at = Infinity)
	{
		const keyed = this.keyed.filter((k) => was(k.acked, at));
		for (let i = 0; i < n && keyed.length > 0; i++) {
			const k = pick(keyed);
			const c = this.all.find((x) => k.target.includes(x.id) ||
			    k.r.json.id === x.id || k.body?.conversation === x.id);
			const isOfDeleted = () => c?.isDoomed &&
			    (k.method !== 'DELETE' || k.target.includes('/items'));
			if (isOfDeleted())
				continue;
			const r = await it.req(k.method, k.target,
			    { body: k.body, headers: k.headers, key: this.it.key });
			/* Killed or deleted meanwhile. */
			if (it === this.it && (r.status >= 500 || isOfDeleted()))
				continue;
			assert.equal(r.status, 200, `retry of ${k.method} ` +
			    `${k.target}: ${r.text.slice(0, 300)}`);
			if (k.target.endsWith('/items')) {
				const gone = c?.deleted ?? new Map();
				const want = k.r.json.data.map((x) => x.id)
				    .filter((id) => !gone.has(id));
				assert.deepEqual(r.json.data.map((x) => x.id)
				    .filter((id) => !gone.has(id)), want,
				    'the first outcome');
			} else if (k.target === '/responses')
				assert.deepEqual(r.json.output, k.r.json.output);
			else
				assert.equal(r.json.id, k.r.json.id);
			this.counts.repeats++;
		}
	}
}

/* The ids of all conversations. */
async function listAll(it, key)
{
	const ids = new Set();
	let after = '';
	for (;;) {
		const r = await it.req('GET', '/conversations?sort=created_at&' +
		    `limit=1000${after}`, { key });
		assert.equal(r.status, 200, r.text.slice(0, 300));
		for (const c of r.json.data) {
			assert.ok(!ids.has(c.id), `listed twice: ${c.id}`);
			ids.add(c.id);
		}
		if (!r.json.has_more)
			return (ids);
		after = `&after=${r.json.last_id}`;
	}
}

async function readAll(it, c, key)
{
	const items = [];
	let after = '';
	for (;;) {
		const r = await it.req('GET', `/conversations/${c.id}/items` +
		    `?order=asc&limit=1000${after}`, { key });
		if (r.status === 404)
			return (null);
		assert.equal(r.status, 200, r.text.slice(0, 300));
		items.push(...r.json.data);
		if (!r.json.has_more)
			return (items);
		after = `&after=${r.json.last_id}`;
	}
}

/* Facts 1 to 7 for one conversation. */
async function verifyConversation(it, c, { key, at })
{
	const where = (what) => `${c.id}: ${what}`;
	const items = await readAll(it, c, key);
	if (items === null) {
		assert.ok(c.isDoomed || !was(c.made, at),
		    where('LOST: an acknowledged conversation'));
		return;
	}
	assert.ok(!was(c.gone, at), where('deleted, yet there'));

	const place = new Map();
	items.forEach((item, i) => {
		assert.ok(!place.has(item.id), where(`twice: ${item.id}`));
		place.set(item.id, i);
	});
	const found = batchesOf(items, where);
	let answers = 0;
	for (const b of c.batches) {
		const got = found.get(b.n) ?? [];
		found.delete(b.n);
		verifyBatch(c, b, got, place, at, where);
		b.place = got.length === 0 ? -1 : got[0].place;
		if (b.answer === undefined)
			continue;
		assert.ok(!was(b.acked, at) || b.place >= 0,
		    where(`LOST: acknowledged question ${b.n}`));
		if (b.place >= 0) {
			const answer = items[b.place + 1];
			assert.equal(answer?.role, 'assistant',
			    where(`no answer behind question ${b.n}`));
			assert.ok(b.answer === null || answer.id === b.answer,
			    where(`another answer to question ${b.n}`));
			answers++;
		}
	}
	assert.equal(found.size, 0, where('items nobody sent'));
	assert.equal(items.filter((i) => i.role === 'assistant').length, answers,
	    where('answers to nothing'));

	let latest = 0;
	for (const b of c.batches.filter((x) => x.place >= 0)
	    .sort((x, y) => x.place - y.place)) {
		assert.ok(b.acked >= latest, where(`REORDERED: batch ${b.n}`));
		latest = Math.max(latest, b.sent);
	}
	for (const [id, when] of c.seen)
		assert.ok(place.has(id) || c.deleted.has(id) || !was(when, at),
		    where(`OBSERVED and lost: ${id}`));

	const head = await it.req('GET', `/conversations/${c.id}`, { key });
	assert.equal(head.json.item_count, items.length, where('item_count'));
	const last = c.titles.findLastIndex((t) => was(t.acked, at));
	assert.ok(c.titles.slice(Math.max(last, 0)).some((t) =>
	    t.title === head.json.title), where(`title ${head.json.title}`));
}

/* What was found of each batch: its number -> [{ index, place, id }]. */
function batchesOf(items, where)
{
	const found = new Map();
	items.forEach((item, i) => {
		if (item.role === 'assistant')
			return;
		const m = /^\d+\.(\d+)\.(\d+)\/(\d+)/.exec(item.content[0].text);
		assert.ok(m !== null, where(`foreign item ${item.id}`));
		if (!found.has(Number(m[1])))
			found.set(Number(m[1]), []);
		found.get(Number(m[1])).push({ index: Number(m[2]), place: i,
			id: item.id });
	});
	return (found);
}

/* Facts 1 to 3, and 5, for one batch of which got was found. */
function verifyBatch(c, b, got, place, at, where)
{
	assert.ok(got.length <= b.size, where(`DOUBLED: ${b.n}`));
	got.forEach((g, k) => {
		if (k === 0)
			return;
		assert.equal(g.place, got[k - 1].place + 1,
		    where(`batch ${b.n} is torn apart`));
		assert.ok(g.index > got[k - 1].index,
		    where(`batch ${b.n} is out of order`));
	});
	if (b.ids === null) {
		assert.ok(got.length === 0 || got.length === b.size,
		    where(`PARTIAL: ${got.length} of ${b.size} of ${b.n}`));
		return;
	}
	b.ids.forEach((id, k) => {
		const i = place.get(id);
		if (i !== undefined) {
			assert.ok(!was(c.deleted.get(id) ?? Infinity, at),
			    where(`${id} deleted, yet there`));
			assert.ok(got.some((g) => g.index === k && g.place === i),
			    where(`${id} has another's text`));
		} else if (!c.deleted.has(id)) {
			assert.ok(!was(b.acked, at),
			    where(`LOST: acknowledged item ${id}`));
			assert.equal(got.length, 0, where(`PARTIAL: ${b.n}`));
		}
	});
}
