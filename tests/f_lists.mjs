/**
 * Lists: the parameters of items lists and of GET /v1/conversations, walks
 * that stay exact while the store changes, titles, PATCH and DELETE.
 */
import assert from 'node:assert/strict';
import { suite, ok, refused, sleep, user, parallel } from './harness.mjs';

const { test, it } = suite();

async function create(body = {}, key)
{
	return (ok(await it.req('POST', '/conversations', { body, key })));
}

const get = (target, more) => it.req('GET', target, more);

const enc = encodeURIComponent;

/* --- parameters ----------------------------------------------------------- */

for (const base of ['items', 'conversations']) {
	const target = async () => base === 'conversations' ? '/conversations' :
	    `/conversations/${(await create({ items: [user('x')] })).id}/items`;

	test(`${base}: limit`, async () => {
		const t = await target();
		refused(await get(`${t}?limit=0`), 400, { param: 'limit',
			code: 'integer_below_min_value', message:
			    "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead." });
		refused(await get(`${t}?limit=-1`), 400, { param: 'limit',
			code: 'integer_below_min_value' });
		refused(await get(`${t}?limit=1001`), 400, { param: 'limit',
			code: 'integer_above_max_value', message:
			    "Invalid 'limit': integer above maximum value. Expected a value <= 1000, but got 1001 instead." });
		refused(await get(`${t}?limit=5000`), 400, { message:
		    "Invalid 'limit': integer above maximum value. Expected a value <= 1000, but got 5000 instead." });
		for (const bad of ['1.5', 'abc', '', '1e2', '0x10', '%20', '1%00',
		    '99999999999999999999', '-99999999999999999999', '1;2', 'null',
		    '%2B1', '%EF%BC%91'])
			refused(await get(`${t}?limit=${bad}`), 400,
			    { param: 'limit' });
		for (const good of [1, 20, 100, 101, 1000])
			ok(await get(`${t}?limit=${good}`));
	});

	test(`${base}: order`, async () => {
		const t = await target();
		for (const bad of ['up', 'ASC', '', 'asc%20', 'descending', '%00'])
			refused(await get(`${t}?order=${bad}`), 400,
			    { param: 'order' });
		ok(await get(`${t}?order=asc`));
		ok(await get(`${t}?order=desc`));
	});

	test(`${base}: after that is unknown never gives page one`, async () => {
		const t = await target();
		for (const bad of ['msg_unknown', 'conv_unknown', 'x', '%F0%9F%98%80',
		    'a%2Fb', '%00', '..%2F..', 'x'.repeat(64), 'x'.repeat(2000)]) {
			const r = await get(`${t}?after=${bad}`);
			refused(r, r.status === 400 ? 400 : 404, { param: 'after' });
		}
	});

	test(`${base}: bad percent encoding is refused`, async () => {
		const t = await target();
		for (const bad of ['%', '%2', '%zz', '%FF', '%C0%AF']) {
			const r = await get(`${t}?after=${bad}`);
			refused(r, r.status === 404 ? 404 : 400);
		}
	});
}

test('items: 404 after an unknown cursor has param after', async () => {
	const c = await create({ items: [user('x')] });
	refused(await get(`/conversations/${c.id}/items?after=msg_unknown`), 404,
	    { code: null, param: 'after' });
});

test('items: after another conversation\'s item, and a deleted one',
    async () => {
	const a = await create({ items: [user('x')] });
	const b = await create({ items: [user('y')] });
	const item = ok(await get(`/conversations/${b.id}/items`)).data[0];
	refused(await get(`/conversations/${a.id}/items?after=${item.id}`), 404,
	    { param: 'after' });
});

test('items: pages in both orders with first_id, last_id and has_more',
    async () => {
	const items = Array.from({ length: 5 }, (_, i) =>
	    user(`${i}`, { id: `i${i}` }));
	const c = await create({ items });
	const t = `/conversations/${c.id}/items`;
	const ids = (r) => ok(r).data.map((i) => i.id).join();
	assert.equal(ids(await get(t)), 'i4,i3,i2,i1,i0');
	assert.equal(ids(await get(`${t}?order=asc`)), 'i0,i1,i2,i3,i4');
	assert.equal(ids(await get(`${t}?after=i2`)), 'i1,i0');
	assert.equal(ids(await get(`${t}?order=asc&after=i2`)), 'i3,i4');
	assert.equal(ids(await get(`${t}?order=asc&after=i4`)), '');
	assert.equal(ids(await get(`${t}?after=i0&limit=3`)), '');
	const page = ok(await get(`${t}?limit=2`));
	assert.equal(page.object, 'list');
	assert.equal(page.first_id, 'i4');
	assert.equal(page.last_id, 'i3');
	assert.equal(page.has_more, true);
	const exact = ok(await get(`${t}?limit=5`));
	assert.equal(exact.has_more, false);
	const end = ok(await get(`${t}?after=i0`));
	assert.deepEqual([end.first_id, end.last_id, end.has_more, end.data],
	    ['', '', false, []]);
});

test('include in every encoding; an unknown value is refused', async () => {
	const c = await create({ items: [user('x')] });
	const t = `/conversations/${c.id}/items`;
	for (const q of ['include[]=created_at', 'include%5B%5D=created_at',
	    'include%5b%5d=created_at', 'include=created_at',
	    'include%5B%5D=reasoning.encrypted_content&include%5B%5D=created_at',
	    'include[]=created_at&include[]=created_at',
	    'order=asc&include%5B%5D=created%5Fat&limit=5']) {
		const i = ok(await get(`${t}?${q}`)).data[0];
		assert.ok(Number.isInteger(i.created_at), q);
		assert.ok(Number.isInteger(i.position), q);
		const one = ok(await get(`${t}/${i.id}?${q.replace(/order=asc&|&limit=5/g,
		    '')}`));
		assert.equal(one.created_at_ms, i.created_at_ms, q);
	}
	const plain = ok(await get(t)).data[0];
	assert.equal(plain.created_at, undefined);
	const bad = await get(`${t}?include[]=everything`);
	refused(bad, 400, { code: 'invalid_value', param: /^include/ });
});

/* --- GET /v1/conversations ------------------------------------------------ */

test('a conversation in full', async () => {
	const c = await create({ title: 'T', metadata: { a: 'b' },
		items: [user('first'), { role: 'assistant', content: 'last one' }] });
	const r = await get(`/conversations/${c.id}`);
	const full = ok(r);
	assert.equal(full.title, 'T');
	assert.equal(full.item_count, 2);
	assert.ok(full.bytes > 0);
	assert.ok(Number.isInteger(full.version) && full.version >= 1);
	assert.ok(Number.isInteger(full.updated_at));
	assert.equal(full.user, null);
	assert.equal(full.preview, 'last one');
	for (const k of ['pinned', 'archived', 'expires_at', 'forked_from'])
		assert.ok(k in full, k);
	assert.equal(r.headers.etag, `"${full.version}"`);
});

test('versions rise by one with each change, and stand in ETag', async () => {
	const c = await create();
	let version = c.version;
	const step = (r) => {
		ok(r);
		assert.equal(r.headers.etag, `"${++version}"`);
	};
	const t = `/conversations/${c.id}`;
	step(await it.req('POST', `${t}/items`, { body: { items: [user('a',
	    { id: 'a' }), user('b')] } }));
	step(await it.req('PATCH', t, { body: { title: 'x' } }));
	step(await it.req('POST', t, { body: { metadata: { a: 'b' } } }));
	step(await it.req('DELETE', `${t}/items/a`));
	assert.equal(ok(await get(t)).version, version);
	const stale = refused(await it.req('POST', `${t}/items`,
	    { body: { items: [user('a')] },
		headers: { 'if-match': `"${version - 1}"` } }), 412);
	assert.match(stale.message, new RegExp(`\\b${version}\\b`),
	    'the current version is told');
	step(await it.req('POST', `${t}/items`, { body: { items: [user('a')] },
	    headers: { 'if-match': `"${version}"` } }));
	for (const [method, more] of [['PATCH', { body: { title: 'y' } }],
	    ['DELETE', {}], ['POST', { body: { metadata: {} } }]])
		refused(await it.req(method, t, { ...more,
		    headers: { 'if-match': '"1"' } }), 412);
	assert.equal(ok(await get(t)).version, version);
});

test('If-None-Match answers 304', async () => {
	const c = await create({ items: [user('a')] });
	for (const t of [`/conversations/${c.id}`,
	    `/conversations/${c.id}/items`]) {
		const r = await get(t);
		assert.match(r.headers.etag, /^"\d+"$/, t);
		const same = await get(t, { headers:
		    { 'if-none-match': r.headers.etag } });
		assert.equal(same.status, 304);
		assert.equal(same.text, '');
		ok(await get(t, { headers: { 'if-none-match': '"0"' } }));
	}
});

test('PATCH: title and metadata; null removes a key; nothing else', async () => {
	const c = await create({ title: 'old', metadata: { a: '1', b: '2' } });
	const t = `/conversations/${c.id}`;
	const patch = (body) => it.req('PATCH', t, { body });
	const r = ok(await patch({ metadata: { b: null, c: '3' } }));
	assert.deepEqual(r.metadata, { a: '1', c: '3' });
	assert.equal(r.title, 'old');
	assert.equal(ok(await patch({ title: 'n\u0000w é\u{1F600}' })).title,
	    'n\u0000w é\u{1F600}');
	assert.equal(ok(await patch({ title: null })).title, null);
	assert.equal(ok(await patch({ title: '' })).title, '');
	const now = ok(await get(t));
	for (const [body, param] of [[{ title: 7 }, 'title'],
	    [{ title: {} }, 'title'], [{ metadata: 'x' }, 'metadata'],
	    [{ metadata: { a: 1 } }, 'metadata.a'], [{ colour: 'x' }, 'colour'],
	    [{ title: 'ok', metadata: { k: [] } }, 'metadata.k']])
		refused(await patch(body), 400, { param });
	const many = Object.fromEntries(Array.from({ length: 15 }, (_, i) =>
	    [`k${i}`, 'v']));
	refused(await patch({ metadata: many }), 400,
	    { code: 'object_above_max_properties', param: 'metadata' });
	assert.deepEqual(ok(await get(t)), now, 'a refused call changes nothing');
});

test('metadata.title is the title while there is none', async () => {
	const c = await create({ metadata: { title: 'from metadata' } });
	assert.equal(ok(await get(`/conversations/${c.id}`)).title,
	    'from metadata');
	const p = ok(await it.req('PATCH', `/conversations/${c.id}`,
	    { body: { title: 'own' } }));
	assert.equal(p.title, 'own');
	assert.deepEqual(p.metadata, { title: 'from metadata' });
});

test('DELETE is final', async () => {
	const c = await create({ items: [user('x', { id: 'i' })] });
	const t = `/conversations/${c.id}`;
	assert.deepEqual(ok(await it.req('DELETE', t)),
	    { id: c.id, object: 'conversation.deleted', deleted: true });
	const message = `Conversation with id '${c.id}' not found.`;
	for (const [method, target, body] of [['GET', t], ['DELETE', t],
	    ['POST', t, { metadata: {} }], ['PATCH', t, { title: 'x' }],
	    ['GET', `${t}/items`], ['GET', `${t}/items/i`],
	    ['DELETE', `${t}/items/i`],
	    ['POST', `${t}/items`, { items: [user('x')] }]])
		refused(await it.req(method, target, { body }), 404,
		    { message, code: null, param: null });
	const list = ok(await get('/conversations?limit=1000'));
	assert.ok(!list.data.some((x) => x.id === c.id));
});

test('the list: newest change first, whole objects', async () => {
	const { key } = it.addTenant();
	const made = [];
	for (let i = 0; i < 4; i++) {
		made.push(await create({ title: `t${i}` }, key));
		await sleep(5);
	}
	const ids = async (q) => ok(await get(`/conversations${q}`, { key })).data
	    .map((c) => made.findIndex((m) => m.id === c.id)).join('');
	assert.equal(await ids(''), '3210');
	assert.equal(await ids('?order=asc'), '0123');
	ok(await it.req('POST', `/conversations/${made[1].id}/items`,
	    { key, body: { items: [user('hello')] } }));
	assert.equal(await ids(''), '1320');
	assert.equal(await ids('?sort=updated_at'), '1320');
	assert.equal(await ids('?sort=created_at'), '3210');
	assert.equal(await ids('?sort=created_at&order=asc'), '0123');
	assert.equal(await ids(`?sort=created_at&after=${made[2].id}`), '10');
	assert.equal(await ids(
	    `?sort=created_at&order=asc&after=${made[2].id}`), '3');
	assert.equal(await ids(`?after=${made[3].id}`), '20');
	assert.equal(await ids(`?sort=created_at&before=${made[1].id}`), '32');
	assert.equal(await ids(
	    `?sort=created_at&limit=1&before=${made[1].id}`), '2');
	assert.equal(await ids(
	    `?sort=created_at&after=${made[3].id}&before=${made[0].id}`), '21');
	const first = ok(await get('/conversations?limit=2', { key }));
	assert.equal(first.object, 'list');
	assert.equal(first.has_more, true);
	assert.equal(first.first_id, made[1].id);
	assert.equal(first.last_id, made[3].id);
	assert.equal(first.data[0].preview, 'hello');
	assert.deepEqual(first.data[1],
	    ok(await get(`/conversations/${made[3].id}`, { key })));
	assert.equal(typeof first.next_after, 'string');
	const rest = ok(await get(`/conversations?limit=2&after=` +
	    enc(first.next_after), { key }));
	assert.deepEqual(rest.data.map((c) => c.id), [made[2].id, made[0].id]);
	assert.equal(rest.has_more, false);
	for (const sort of ['title', '', 'UPDATED_AT'])
		refused(await get(`/conversations?sort=${sort}`, { key }), 400,
		    { param: 'sort' });
	const empty = ok(await get('/conversations', { key: it.addTenant().key }));
	assert.deepEqual([empty.data, empty.has_more, empty.first_id,
	    empty.last_id], [[], false, '', '']);
});

test('metadata[k]=v in every encoding, and several of them', async () => {
	const { key } = it.addTenant();
	const a = await create({ metadata: { colour: 'red', 'a b': 'é&=' } }, key);
	const b = await create({ metadata: { colour: 'red', size: '1' } }, key);
	await create({ metadata: { colour: 'blue' } }, key);
	const ids = async (q) => ok(await get(`/conversations?order=asc&` +
	    `sort=created_at&${q}`, { key })).data.map((c) => c.id);
	assert.deepEqual(await ids('metadata[colour]=red'), [a.id, b.id]);
	assert.deepEqual(await ids('metadata%5Bcolour%5D=red'), [a.id, b.id]);
	assert.deepEqual(await ids('metadata%5bcolour%5d=red&metadata[size]=1'),
	    [b.id]);
	assert.deepEqual(await ids(`metadata[${enc('a b')}]=${enc('é&=')}`),
	    [a.id]);
	assert.deepEqual(await ids('metadata[a+b]=%C3%A9%26%3D'), [a.id]);
	assert.deepEqual(await ids('metadata[colour]=RED'), []);
	assert.deepEqual(await ids('metadata[none]=x'), []);
	assert.deepEqual(await ids('metadata[colour]='), []);
});

test('a walk with next_after shows each that stood still exactly once',
    async () => {
	const { key } = it.addTenant();
	const made = await parallel(8, Array.from({ length: 120 }, (_, i) =>
	    () => create({ title: `w${i}` }, key)));
	const still = made.slice(0, 90).map((c) => c.id);
	const moving = made.slice(90);
	for (const order of ['desc', 'asc']) {
		let busy = true;
		const noise = (async () => {
			for (let n = 0; busy; n++)
				ok(await it.req('PATCH', '/conversations/' +
				    moving[n % moving.length].id,
				    { key, body: { title: `n${n}` } }));
		})();
		const seen = [];
		let after;
		for (let pages = 0; pages < 60; pages++) {
			const page = ok(await get(`/conversations?limit=7&order=` +
			    order + (after === undefined ? '' :
			    `&after=${enc(after)}`), { key }));
			seen.push(...page.data.map((c) => c.id));
			if (!page.has_more)
				break;
			assert.ok(page.data.length > 0);
			after = page.next_after;
		}
		busy = false;
		await noise;
		for (const id of still)
			assert.equal(seen.filter((s) => s === id).length, 1, order);
	}
	const walk = [];
	let last;
	do {
		const page = ok(await get('/conversations?sort=created_at&limit=11' +
		    (last === undefined ? '' : `&after=${last}`), { key }));
		walk.push(...page.data.map((c) => c.id));
		last = page.has_more ? page.last_id : undefined;
	} while (last !== undefined);
	assert.deepEqual(new Set(walk), new Set(made.map((c) => c.id)));
	assert.equal(walk.length, made.length);
});

test('a cursor is nobody else\'s and cannot be forged into page one',
    async () => {
	const { key } = it.addTenant();
	for (let i = 0; i < 3; i++)
		await create({}, key);
	const page = ok(await get('/conversations?limit=1', { key }));
	for (const bad of [page.next_after + 'x', page.next_after.slice(1),
	    page.next_after.toUpperCase() + '_', '0', '-1']) {
		const r = await get(`/conversations?after=${enc(bad)}`, { key });
		refused(r, r.status === 404 ? 404 : 400, { param: 'after' });
	}
	refused(await get(`/conversations?before=conv_unknown`, { key }), 404,
	    { param: 'before' });
	refused(await get(`/conversations?after=${page.data[0].id}`), 404,
	    { param: 'after' });
});
