/**
 * Who may see what: keys and tokens, scopes, users within a tenant, and the
 * walls between tenants, behind which nothing can be told from nothing.
 */
import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync, randomBytes } from
    'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { suite, ok, refused, user, jwt, text, scratch, must } from
    './harness.mjs';

const operatorDir = scratch();
const operatorFile = path.join(operatorDir, 'operator-secret');
const operatorSecret = randomBytes(32).toString('hex');
fs.writeFileSync(operatorFile, operatorSecret + '\n', { mode: 0o600 });
process.on('exit', () => fs.rmSync(operatorDir, { recursive: true }));

const names = { a: 'walls-a', b: 'walls-b' };
const secrets = {};
const keys = {};

const { test, it } = suite({ args: ['--jwt-secret', operatorFile],
    setup: (made) => {
	keys.a = made.addTenant(names.a).key;
	keys.b = made.addTenant(names.b).key;
	secrets.a1 = made.addJwtKey(names.a, 'a1');
	secrets.a2 = made.addJwtKey(names.a, 'a2');
	secrets.b1 = made.addJwtKey(names.b, 'b1');
} });

const token = (sub, more = {}, kid = 'a1', tenant = names.a) =>
    jwt(secrets[kid], { tenant, sub, ...more }, { header: { kid } });

async function create(key, body = {})
{
	return (ok(await it.req('POST', '/conversations', { body, key })));
}

const denied = (r) => refused(r, 401, { code: 'invalid_api_key' });

/* --- keys ----------------------------------------------------------------- */

test('no key, a bad key, bad forms of the header', async () => {
	denied(await it.req('GET', '/conversations', { key: null }));
	const good = keys.a;
	const flipped = good.slice(0, -1) + (good.endsWith('0') ? '1' : '0');
	for (const authorization of ['', 'Bearer', 'Bearer ', `Basic ${good}`,
	    good, `Bearer ${flipped}`, `Bearer ${good}x`,
	    `Bearer ${good.slice(0, -1)}`, `Bearer ${good} extra`,
	    'Bearer rk_', 'Bearer rk__', `Bearer rk_${names.a}_`,
	    `Bearer rk_${names.b}_${good.slice(-64)}`,
	    `Bearer rk_unknown-tenant_${good.slice(-64)}`,
	    `Bearer rk_../../x_${good.slice(-64)}`,
	    `Bearer ${'x'.repeat(5000)}`, 'Bearer \u00e9\u00e9',
	    `Bearer ${good.toUpperCase()}`])
		for (const [m, t, body] of [['GET', '/conversations'],
		    ['POST', '/conversations', {}],
		    ['GET', '/conversations/conv_x']])
			denied(await it.req(m, t, { key: null, body,
			    headers: { authorization } }));
	for (const scheme of ['Bearer', 'bearer', 'BEARER'])
		ok(await it.req('GET', '/conversations', { key: null,
		    headers: { authorization: `${scheme} ${good}` } }));
});

test('a refused body stores nothing and a bad key is told first', async () => {
	denied(await it.req('POST', '/conversations', { key: 'bad', body: '{' }));
	assert.equal(ok(await it.req('GET', '/conversations', { key: keys.b }))
	    .data.length, 0);
});

test('a revoked key is refused at once, the others go on', async () => {
	const t = it.addTenant();
	const second = it.addKey(t.name, 'second');
	ok(await it.req('GET', '/conversations', { key: second.key }));
	const r = it.ctl(['key', 'revoke', t.name, second.id]);
	assert.equal(r.status, 0, r.all);
	denied(await it.req('GET', '/conversations', { key: second.key }));
	ok(await it.req('GET', '/conversations', { key: t.key }));
});

/* --- tokens --------------------------------------------------------------- */

test('a token made elsewhere and one by token mint', async () => {
	ok(await it.req('GET', '/conversations', { key: token('ann') }));
	ok(await it.req('GET', '/conversations', { key: token('ann', {}, 'a2') }));
	const r = it.ctl(['token', 'mint', names.a, '--sub', 'ann', '--ttl', '1h']);
	assert.equal(r.status, 0, r.all);
	const minted = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(r.out)[0];
	ok(await it.req('GET', '/conversations', { key: minted }));
	const claims = JSON.parse(Buffer.from(minted.split('.')[1], 'base64url'));
	assert.equal(claims.tenant, names.a);
	assert.equal(claims.sub, 'ann');
	assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 3600) < 60);
});

test('without kid each live key of the tenant is tried, then the operator\'s',
    async () => {
	for (const s of [secrets.a1, secrets.a2, operatorSecret])
		ok(await it.req('GET', '/conversations',
		    { key: jwt(s, { tenant: names.a, sub: 'ann' }) }));
	denied(await it.req('GET', '/conversations',
	    { key: jwt(secrets.b1, { tenant: names.a, sub: 'ann' }) }));
});

test('tokens that are refused', async () => {
	const now = Math.floor(Date.now() / 1000);
	const head = { header: { kid: 'a1' } };
	const claims = { tenant: names.a, sub: 'ann' };
	const make = (c, o) => jwt(secrets.a1, c, { ...head, ...o });
	const good = make(claims);
	ok(await it.req('GET', '/conversations', { key: good }));
	const [h, p, s] = good.split('.');
	const b64 = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
	const sign = (header, payload) => {
		const body = `${header}.${payload}`;
		return (body + '.' + createHmac('sha256', secrets.a1).update(body)
		    .digest('base64url'));
	};
	const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
	const rs = `${b64({ alg: 'RS256', typ: 'JWT', kid: 'a1' })}.${p}`;
	const bad = {
		'alg none': jwt('', claims, { alg: 'none', ...head }),
		'alg None': sign(b64({ alg: 'None' }), p),
		'alg none, with a signature': sign(b64({ alg: 'none',
			kid: 'a1' }), p),
		'no alg': sign(b64({ typ: 'JWT', kid: 'a1' }), p),
		'an RS256 header over HMAC': sign(b64({ alg: 'RS256',
			kid: 'a1' }), p),
		'real RS256': `${rs}.${createSign('RSA-SHA256').update(rs)
		    .sign(privateKey).toString('base64url')}`,
		'HS384': make(claims, { alg: 'HS384', hash: 'sha384' }),
		'HS512': make(claims, { alg: 'HS512', hash: 'sha512' }),
		'expired': make({ ...claims, exp: now - 1 }),
		'expired long ago': make({ ...claims, exp: 0 }),
		'exp a string': make({ ...claims, exp: String(now + 600) }),
		'exp missing': make({ ...claims, exp: undefined }),
		'exp negative': make({ ...claims, exp: -5 }),
		'sub missing': make({ tenant: names.a }),
		'sub empty': make({ ...claims, sub: '' }),
		'sub a number': make({ ...claims, sub: 7 }),
		'tenant missing': make({ sub: 'ann' }),
		'tenant another\'s': make({ ...claims, tenant: names.b }),
		'tenant unknown': make({ ...claims, tenant: 'nobody' }),
		'tenant a path': make({ ...claims, tenant: '../walls-a' }),
		'tenant a number': make({ ...claims, tenant: 1 }),
		'not yet valid': make({ ...claims, nbf: now + 600 }),
		'kid unknown': make(claims, { header: { kid: 'a9' } }),
		'kid of the other tenant': make(claims, { header: { kid: 'b1' } }),
		'kid of another key of the tenant': make(claims,
		    { header: { kid: 'a2' } }),
		'kid a path': make(claims, { header: { kid: '../../etc/passwd' } }),
		'kid empty': make(claims, { header: { kid: '' } }),
		'kid a number': make(claims, { header: { kid: 1 } }),
		'the other tenant\'s key, its kid': jwt(secrets.b1, claims,
		    { header: { kid: 'b1' } }),
		'the other tenant\'s key, our kid': jwt(secrets.b1, claims, head),
		'the operator\'s secret under a kid': jwt(operatorSecret, claims,
		    head),
		'a wrong secret': jwt('wrong', claims, head),
		'an empty secret': jwt('', claims, head),
		'a signature cut short': good.slice(0, -3),
		'no signature': `${h}.${p}.`,
		'two parts': `${h}.${p}`,
		'four parts': `${good}.x`,
		'a changed payload': `${h}.${b64({ ...claims, sub: 'bob',
			exp: now + 600 })}.${s}`,
		'a payload that is no JSON': sign(h,
		    Buffer.from('nope').toString('base64url')),
		'a payload that is a list': sign(h, b64([])),
		'a header that is no JSON': sign('bm9wZQ', p),
		'dots': '..',
		'one dot': 'a.b',
	};
	for (const [what, key] of Object.entries(bad)) {
		const r = await it.req('GET', '/conversations', { key });
		assert.equal(r.status, 401, what);
		denied(r);
	}
});

test('a revoked JWT key is refused at once', async () => {
	const secret = it.addJwtKey(names.a, 'gone');
	const t = jwt(secret, { tenant: names.a, sub: 'x' },
	    { header: { kid: 'gone' } });
	ok(await it.req('GET', '/conversations', { key: t }));
	const r = it.ctl(['jwt-key', 'revoke', names.a, 'gone']);
	assert.equal(r.status, 0, r.all);
	denied(await it.req('GET', '/conversations', { key: t }));
	denied(await it.req('GET', '/conversations',
	    { key: jwt(secret, { tenant: names.a, sub: 'x' }) }));
});

test('two tenants may use the same kid', async () => {
	const sa = it.addJwtKey(names.a, 'same');
	const sb = it.addJwtKey(names.b, 'same');
	const make = (s, tenant) => jwt(s, { tenant, sub: 'u' },
	    { header: { kid: 'same' } });
	ok(await it.req('GET', '/conversations', { key: make(sa, names.a) }));
	ok(await it.req('GET', '/conversations', { key: make(sb, names.b) }));
	denied(await it.req('GET', '/conversations', { key: make(sa, names.b) }));
	denied(await it.req('GET', '/conversations', { key: make(sb, names.a) }));
});

test('scopes: read, write, both, none', async () => {
	const c = await create(token('scoped'), { items: [user('x',
	    { id: 'i' })] });
	const t = `/conversations/${c.id}`;
	const reads = [['GET', '/conversations'], ['GET', t],
		['GET', `${t}/items`], ['GET', `${t}/items/i`], ['HEAD', t]];
	const writes = [['POST', '/conversations', {}],
		['POST', t, { metadata: {} }], ['PATCH', t, { title: 'x' }],
		['POST', `${t}/items`, { items: [user('y')] }],
		['DELETE', `${t}/items/i`], ['DELETE', t],
		['POST', '/responses', { model: 'recall', conversation: c.id,
			input: 'x' }]];
	const forbidden = (r) => refused(r, 403, { type: 'permission_error',
		code: 'insufficient_scope' });
	const r = token('scoped', { scope: 'read' });
	const w = token('scoped', { scope: 'write' });
	for (const [m, target, body] of writes)
		forbidden(await it.req(m, target, { key: r, body }));
	for (const [m, target] of reads) {
		assert.equal((await it.req(m, target, { key: r })).status, 200);
		const refusedRead = await it.req(m, target, { key: w });
		assert.equal(refusedRead.status, 403, `${m} ${target}`);
	}
	for (const scope of ['', 'other', 'READ', 'reads', 'read,write']) {
		const k = token('scoped', { scope });
		forbidden(await it.req('GET', t, { key: k }));
		forbidden(await it.req('POST', `${t}/items`,
		    { key: k, body: { items: [user('y')] } }));
	}
	for (const scope of ['read write', 'write read', 'openid read write x']) {
		const k = token('scoped', { scope });
		ok(await it.req('GET', t, { key: k }));
		ok(await it.req('PATCH', t, { key: k, body: { title: 'x' } }));
	}
	assert.equal(ok(await it.req('GET', t, { key: r })).item_count, 1);
	for (const scope of [7, [], {}, null, true]) {
		const answer = await it.req('POST', `${t}/items`,
		    { key: token('scoped', { scope }),
			body: { items: [user('y')] } });
		assert.ok(answer.status === 401 || answer.status === 403,
		    `scope ${JSON.stringify(scope)}: ${answer.status}`);
	}
	assert.equal(ok(await it.req('GET', t, { key: r })).item_count, 1);
});

/* --- users within a tenant ------------------------------------------------ */

test('a user sees only own conversations, a tenant key all', async () => {
	const t = it.addTenant();
	const secret = it.addJwtKey(t.name, 'k');
	const as = (sub) => jwt(secret, { tenant: t.name, sub },
	    { header: { kid: 'k' } });
	const ann = await create(as('ann'), { items: [user('x', { id: 'i' })] });
	const bob = await create(as('bob'));
	const ours = await create(t.key);
	const given = await create(t.key, { user: 'ann' });
	assert.equal(ann.user, 'ann');
	assert.equal(ours.user, null);
	assert.equal(given.user, 'ann');
	const list = async (key) => new Set(ok(await it.req('GET',
	    '/conversations', { key })).data.map((c) => c.id));
	assert.deepEqual(await list(as('ann')), new Set([ann.id, given.id]));
	assert.deepEqual(await list(as('bob')), new Set([bob.id]));
	assert.deepEqual(await list(as('Ann')), new Set());
	assert.deepEqual(await list(t.key),
	    new Set([ann.id, bob.id, ours.id, given.id]));
	const p = `/conversations/${ann.id}`;
	for (const [m, target, body] of [['GET', p], ['PATCH', p, { title: 'x' }],
	    ['POST', p, { metadata: {} }], ['DELETE', p], ['GET', `${p}/items`],
	    ['GET', `${p}/items/i`], ['DELETE', `${p}/items/i`],
	    ['POST', `${p}/items`, { items: [user('y')] }]])
		refused(await it.req(m, target, { key: as('bob'), body }), 404,
		    { message: `Conversation with id '${ann.id}' not found.` });
	refused(await it.req('GET', `/conversations?after=${ann.id}`,
	    { key: as('bob') }), 404, { param: 'after' });
	ok(await it.req('PATCH', p, { key: t.key, body: { title: 'seen' } }));
	assert.equal(ok(await it.req('GET', p, { key: as('ann') })).title, 'seen');
	const bad = await it.req('POST', '/conversations',
	    { key: as('bob'), body: { user: 'ann' } });
	assert.ok(bad.status === 400 || bad.status === 403, `${bad.status}`);
	refused(bad, bad.status, { param: bad.status === 400 ? 'user' : undefined });
	for (const u of [7, {}, []])
		refused(await it.req('POST', '/conversations',
		    { key: t.key, body: { user: u } }), 400, { param: 'user' });
	/* By user, for the tenant's own key. */
	const byUser = ok(await it.req('GET', '/conversations?user=ann',
	    { key: t.key }));
	assert.deepEqual(new Set(byUser.data.map((c) => c.id)),
	    new Set([ann.id, given.id]));
});

test('users whose names are odd', async () => {
	for (const sub of ['é\u{1F600}', 'a b', '../x', 'a\u0000b', "'; --",
	    'x'.repeat(200)]) {
		const r = await it.req('POST', '/conversations',
		    { key: token(sub), body: {} });
		if (r.status === 401)
			continue;
		const c = ok(r);
		assert.equal(c.user, sub);
		assert.equal(ok(await it.req('GET', `/conversations/${c.id}`,
		    { key: token(sub) })).user, sub);
		refused(await it.req('GET', `/conversations/${c.id}`,
		    { key: token(sub.slice(0, 1)) }), 404);
	}
});

/* --- walls ---------------------------------------------------------------- */

/* An answer with everything in it that may differ by chance taken out. */
function shape(r, ...ids)
{
	const headers = { ...r.headers };
	for (const k of ['x-request-id', 'date', 'content-length'])
		delete headers[k];
	let body = r.text;
	for (const id of ids)
		body = body.replaceAll(id, 'ID');
	return { status: r.status, headers, body, length:
	    r.bytes.length };
}

test('another tenant\'s ids answer exactly as ids that never existed',
    async () => {
	const theirs = await create(keys.b, { title: 'hush-hush', items:
	    [user('hush-hush', { id: 'item-b' })] });
	const never = 'conv_' + theirs.id.slice(5).replace(/./g, (d) =>
	    d === 'f' ? '0' : 'f');
	assert.equal(never.length, theirs.id.length);
	const calls = (id) => [
		['GET', `/conversations/${id}`],
		['HEAD', `/conversations/${id}`],
		['POST', `/conversations/${id}`, { metadata: {} }],
		['POST', `/conversations/${id}`, { metadata: 7 }],
		['PATCH', `/conversations/${id}`, { title: 'x' }],
		['DELETE', `/conversations/${id}`],
		['GET', `/conversations/${id}/items`],
		['GET', `/conversations/${id}/items?limit=0`],
		['GET', `/conversations/${id}/items?after=item-b`],
		['GET', `/conversations/${id}/items?after=other`],
		['GET', `/conversations/${id}/items/item-b`],
		['DELETE', `/conversations/${id}/items/item-b`],
		['POST', `/conversations/${id}/items`, { items: [user('x')] }],
		['POST', `/conversations/${id}/items`, { items: [] }],
		['POST', `/conversations/${id}/items`,
			{ items: [user('x', { id: 'item-b' })] }],
		['GET', `/conversations?after=${id}`],
		['GET', `/conversations?before=${id}`],
		['GET', `/conversations?sort=created_at&after=${id}`],
		['POST', '/responses', { model: 'recall', input: 'x',
			conversation: id }],
		['POST', '/responses', { model: 'recall', input: 'x',
			conversation: { id } }],
		['PUT', `/conversations/${id}`],
	];
	const as = [keys.a, token('ann')];
	for (const key of as) {
		const real = calls(theirs.id);
		const made = calls(never);
		for (const [i, [m, t, body]] of real.entries()) {
			for (const headers of [{}, { 'idempotency-key': `w-${m}-${i}` },
			    { 'if-match': '"1"' }, { 'x-stainless-retry-count': '1' }]) {
				const one = await it.req(m, t, { key, body, headers });
				const two = await it.req(m, made[i][1],
				    { key, body: made[i][2], headers });
				assert.deepEqual(shape(one, theirs.id),
				    shape(two, never), `${m} ${t}`);
				assert.ok(one.status >= 400, `${m} ${t}`);
				assert.doesNotMatch(one.text, /hush/);
			}
		}
	}
	const after = ok(await it.req('GET', `/conversations/${theirs.id}`,
	    { key: keys.b }));
	assert.equal(after.version, theirs.version);
	assert.equal(after.item_count, 1);
});

test('lists of one tenant show nothing of another', async () => {
	const mine = await create(keys.a, { metadata: { m: 'x' } });
	const theirs = await create(keys.b, { metadata: { m: 'x' } });
	for (const key of [keys.a, token('ann')]) {
		const all = await it.req('GET', '/conversations?limit=1000', { key });
		assert.ok(!all.text.includes(theirs.id));
		const some = await it.req('GET',
		    '/conversations?metadata[m]=x', { key });
		assert.ok(!some.text.includes(theirs.id));
	}
	const page = ok(await it.req('GET', '/conversations?limit=1',
	    { key: keys.b }));
	const r = await it.req('GET', '/conversations?after=' +
	    encodeURIComponent(page.next_after ?? theirs.id), { key: keys.a });
	assert.ok(!r.text.includes(theirs.id));
	assert.ok(mine.id !== theirs.id);
});

test('the same Idempotency-Key and item ids in two tenants are two', async () => {
	const h = { 'idempotency-key': 'shared-key' };
	const a = ok(await it.req('POST', '/conversations',
	    { key: keys.a, body: {}, headers: h }));
	const b = ok(await it.req('POST', '/conversations',
	    { key: keys.b, body: {}, headers: h }));
	assert.notEqual(a.id, b.id);
	for (const key of [token('ann'), token('bob')]) {
		const c = ok(await it.req('POST', '/conversations',
		    { key, body: {}, headers: h }));
		assert.ok(c.id !== a.id && c.id !== b.id);
	}
});

test('a client\'s own conversation id taken by another tenant is free here',
    async () => {
	const id = `conv_mine_${randomBytes(4).toString('hex')}`;
	const a = await it.req('POST', '/conversations',
	    { key: keys.a, body: { id, items: [user('of a')] } });
	if (a.status === 400) {
		refused(a, 400, { param: 'id' });
		return;		/* not offered */
	}
	assert.equal(ok(a).id, id);
	assert.equal(ok(await it.req('POST', '/conversations', { key: keys.b,
		body: { id, items: [user('of b')] } })).id, id);
	for (const [key, want] of [[keys.a, 'of a'], [keys.b, 'of b']])
		assert.equal(text(ok(await it.req('GET',
		    `/conversations/${id}/items`, { key })).data[0]), want);
});

test('no secret stands in the log, nor in the store\'s documents', async () => {
	const k = it.addKey(names.a);
	ok(await it.req('GET', '/conversations', { key: k.key }));
	await it.req('GET', '/conversations', { key: `${k.key}0` });
	const t = token('ann');
	ok(await it.req('GET', '/conversations', { key: t }));
	const log = it.logText();
	for (const secret of [k.key, k.key.slice(-64), secrets.a1,
	    operatorSecret, t.split('.')[2], 'hush-hush'])
		assert.ok(!log.includes(secret), 'a secret in the log');
	must(['sh', '-c', `! grep -rqF -e "$1" "$2"`, 'sh', k.key.slice(-64),
	    it.store]);
});
