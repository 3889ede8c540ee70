/**
 * HTTP itself: methods, HEAD, CORS, paths, headers, sizes; what nginx refuses
 * before the daemon hears of it, and what it says when there is no daemon.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { suite, ok, refused, user, must, build, jwt, until,
	sleep } from './harness.mjs';

const origin = 'https://app.example';
const { test, it } = suite({ include:
    `tenant "demo" {\n\tallowed_origins = { "${origin}", ` +
    '"http://localhost:5173" }\n}\n' });

async function create(body = {})
{
	return (ok(await it.req('POST', '/conversations', { body })));
}

test('every reply has X-Request-Id, each its own', async () => {
	const seen = new Set();
	const c = await create();
	for (const r of [await it.req('GET', `/conversations/${c.id}`),
	    await it.req('GET', '/conversations/nope'),
	    await it.req('GET', '/nowhere'),
	    await it.req('GET', '/conversations', { key: 'bad' }),
	    await it.req('PUT', '/conversations'),
	    await it.req('OPTIONS', '/conversations'),
	    await it.req('POST', '/conversations', { body: '{' })]) {
		assert.match(r.id ?? '', /^\S{8,}$/, `${r.status}`);
		seen.add(r.id);
	}
	assert.equal(seen.size, 7);
});

test('success is application/json with its length', async () => {
	const r = await it.req('POST', '/conversations');
	assert.equal(r.status, 200);
	assert.match(r.headers['content-type'], /^application\/json\b/);
	assert.equal(Number(r.headers['content-length']), r.bytes.length);
});

test('POST without body and content-type, with an empty body of type JSON, ' +
    'and {}', async () => {
	for (const more of [{}, { headers: { 'content-type':
	    'application/json', 'content-length': 0 } }, { body: '{}' },
	    { body: '{}', headers:
	    { 'content-type': 'application/json; charset=utf-8' } }])
		assert.match(ok(await it.req('POST', '/conversations', more)).id,
		    /^conv_/);
});

test('a chunked body is taken', async () => {
	const body = JSON.stringify({ items: [user('chunked')] });
	const out = await it.raw('POST /v1/conversations HTTP/1.1\r\n' +
	    `Host: x\r\nAuthorization: Bearer ${it.key}\r\n` +
	    'Content-Type: application/json\r\nConnection: close\r\n' +
	    'Transfer-Encoding: chunked\r\n\r\n' +
	    `5\r\n${body.slice(0, 5)}\r\n` +
	    `${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`);
	assert.match(out, /^HTTP\/1\.1 200 /);
	assert.match(out, /"object":"conversation"/);
});

test('unknown methods are 405 with Allow', async () => {
	const c = await create();
	const cases = [
		['/conversations', ['GET', 'HEAD', 'OPTIONS', 'POST'],
			['PUT', 'DELETE', 'PATCH']],
		[`/conversations/${c.id}`, ['DELETE', 'GET', 'HEAD', 'OPTIONS',
			'PATCH', 'POST'], ['PUT']],
		[`/conversations/${c.id}/items`, ['GET', 'HEAD', 'OPTIONS', 'POST'],
			['PUT', 'DELETE', 'PATCH']],
		[`/conversations/${c.id}/items/x`, ['DELETE', 'GET', 'HEAD',
			'OPTIONS'], ['PUT', 'POST', 'PATCH']],
		['/responses', ['OPTIONS', 'POST'], ['GET', 'PUT', 'DELETE']],
	];
	for (const [target, allow, bad] of cases)
		for (const method of [...bad, 'PROPFIND', 'LINK']) {
			const r = await it.req(method, target);
			refused(r, 405);
			assert.deepEqual(r.headers.allow?.split(/,\s*/).sort(), allow,
			    `${method} ${target}`);
		}
	ok(await it.req('GET', `/conversations/${c.id}`));
});

test('HEAD is GET without the body', async () => {
	const c = await create({ items: [user('x', { id: 'i' })] });
	for (const t of ['/conversations', `/conversations/${c.id}`,
	    `/conversations/${c.id}/items`, `/conversations/${c.id}/items/i`,
	    '/conversations/conv_unknown']) {
		const g = await it.req('GET', t);
		const h = await it.req('HEAD', t);
		assert.equal(h.status, g.status, t);
		assert.equal(h.text, '');
		for (const k of ['content-type', 'content-length', 'etag'])
			assert.equal(h.headers[k], g.headers[k], `${t} ${k}`);
	}
});

test('CORS: allowed origins of the tenant, no others', async () => {
	const c = await create();
	const with_ = (o, more) => it.req('GET', `/conversations/${c.id}`,
	    { headers: { origin: o }, ...more });
	for (const o of [origin, 'http://localhost:5173']) {
		const r = await with_(o);
		assert.equal(r.headers['access-control-allow-origin'], o);
		assert.match(r.headers.vary ?? '', /\borigin\b/i);
		const exposed = r.headers['access-control-expose-headers']
		    .toLowerCase();
		for (const h of ['etag', 'x-request-id', 'remember-durability',
		    'retry-after'])
			assert.ok(exposed.includes(h), h);
	}
	for (const o of ['https://evil.example', `${origin}.evil.example`,
	    'http://app.example', 'null', `${origin}/`, 'https://APP.example'])
		assert.equal((await with_(o))
		    .headers['access-control-allow-origin'], undefined, o);
	const error = await it.req('GET', '/conversations/conv_unknown',
	    { headers: { origin } });
	assert.equal(error.headers['access-control-allow-origin'], origin);
	/* Who is not known gets to see that, as a page whose token expired. */
	const stale = await it.req('GET', '/conversations',
	    { key: 'stale', headers: { origin } });
	assert.equal(stale.status, 401);
	assert.equal(stale.headers['access-control-allow-origin'], origin);
	/* The other tenant allowed nobody. */
	const other = await it.req('GET', '/conversations',
	    { key: it.key2, headers: { origin } });
	assert.equal(other.headers['access-control-allow-origin'], undefined);
});

test('OPTIONS needs no token', async () => {
	for (const t of ['/conversations', '/conversations/conv_x',
	    '/conversations/conv_x/items', '/conversations/conv_x/items/y',
	    '/responses']) {
		const r = await it.req('OPTIONS', t, { key: null, headers: {
			origin, 'access-control-request-method': 'POST',
			'access-control-request-headers':
			    'authorization,content-type,idempotency-key' } });
		assert.ok(r.status === 200 || r.status === 204, `${r.status}`);
		assert.equal(r.headers['access-control-allow-origin'], origin);
		const methods = r.headers['access-control-allow-methods'];
		assert.match(methods, t === '/responses' ? /POST/ : /GET/);
		const headers = r.headers['access-control-allow-headers']
		    .toLowerCase();
		for (const h of ['authorization', 'content-type',
		    'idempotency-key', 'if-match'])
			assert.ok(headers.includes(h), h);
	}
	const evil = await it.req('OPTIONS', '/conversations', { key: null,
		headers: { origin: 'https://evil.example',
			'access-control-request-method': 'POST' } });
	assert.equal(evil.headers['access-control-allow-origin'], undefined);
});

test('path segments: %2F, %00, UTF-8, dots, bad encoding', async () => {
	const c = await create({ items: [user('x', { id: 'i' })] });
	for (const seg of ['a%2Fb', '%00', 'conv%00', '%C3%A9', '%F0%9F%98%80',
	    '..%2F..%2Fetc%2Fpasswd', '%2e%2e', 'x'.repeat(65), 'x'.repeat(3000),
	    'a%20b', 'conv_!', "'", '%22', '%', '%2', '%zz', '%FF', '%ED%A0%80',
	    '~', 'a;b', 'a:b', `${c.id}%00`, `${c.id}%2Fitems`, `${c.id}%20`]) {
		for (const t of [`/conversations/${seg}`,
		    `/conversations/${seg}/items`,
		    `/conversations/${c.id}/items/${seg}`]) {
			const r = await it.req('GET', t);
			refused(r, r.status === 400 ? 400 : 404);
			const d = await it.req('DELETE', t);
			assert.ok([400, 404, 405].includes(d.status),
			    `${d.status} ${t}`);
		}
	}
	/* Percent encoding of what needs none is the same id. */
	const id = `%63${c.id.slice(1)}`;
	assert.equal(ok(await it.req('GET', `/conversations/${id}`)).id, c.id);
	ok(await it.req('GET', `/conversations/${c.id}/items/i`));
});

test('an unknown path is 404, also below known ones', async () => {
	const c = await create();
	for (const t of ['', '/', '/nowhere', '/conversationsx',
	    `/conversations/${c.id}/nothing`, `/conversations/${c.id}/items/a/b`,
	    '/conversations/', '/conversations//items', '/admin/v1/tenants',
	    '/admin', '/admin/v1/status'])
		refused(await it.req('GET', t), 404);
	for (const t of ['/admin/v1/tenants', '/admin/v1/status', '/v1x']) {
		const r = await it.req('GET', t, { base: false });
		assert.equal(r.status, 404, t);
		assert.doesNotMatch(r.text, /"object":"list"|"tenants"/);
	}
	refused(await it.req('POST', '/admin/v1/tenants', { body:
	    { name: 'evil' } }), 404);
	assert.doesNotMatch(it.ctl(['tenant', 'list']).out, /evil/);
});

test('a body over the limit: 413 as JSON, through nginx', async () => {
	const c = await create();
	const big = Buffer.alloc((32 << 20) + (64 << 10), 'x');
	const r = await it.req('POST', `/conversations/${c.id}/items`,
	    { body: big });
	refused(r, 413, { code: 'request_too_large' });
	/* Claimed only. */
	const out = await it.raw(`POST /v1/conversations/${c.id}/items ` +
	    `HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${it.key}\r\n` +
	    'Content-Type: application/json\r\nContent-Length: 99999999999\r\n' +
	    'Connection: close\r\n\r\n{');
	assert.match(out, /^HTTP\/1\.1 413 /);
	assert.match(out, /"code":\s*"request_too_large"/);
});

/* --- nginx's own refusals ------------------------------------------------- */

function refusedRaw(out, ...statuses)
{
	const status = Number(/^HTTP\/1\.[01] (\d+)/.exec(out)?.[1]);
	assert.ok(statuses.includes(status), `status of: ${out.slice(0, 300)}`);
	assert.match(out, /content-type: application\/json/i);
	const body = JSON.parse(out.slice(out.indexOf('\r\n\r\n') + 4));
	assert.deepEqual(Object.keys(body.error).sort(),
	    ['code', 'message', 'param', 'type']);
	assert.ok(body.error.message.length > 0);
}

const own = [
	['a malformed request line', 'GARBAGE\r\n\r\n', 400],
	['a control character in the request line',
		'GET /v1/\x01conversations HTTP/1.1\r\nHost: x\r\n\r\n', 400, 404],
	['a malformed header', 'GET /v1/conversations HTTP/1.1\r\nHost: x\r\n' +
	    'Bad Header: x\x00y\r\n\r\n', 400, 401],
	['two Host headers', 'GET /v1/conversations HTTP/1.1\r\nHost: x\r\n' +
	    'Host: y\r\n\r\n', 400],
	['no Host header', 'GET /v1/conversations HTTP/1.1\r\n\r\n', 400],
	['a URI of 40,000 bytes', `GET /v1/${'x'.repeat(40_000)} HTTP/1.1\r\n` +
	    'Host: x\r\n\r\n', 414],
	['a header of 40,000 bytes', 'GET /v1/conversations HTTP/1.1\r\n' +
	    `Host: x\r\nX-Long: ${'y'.repeat(40_000)}\r\n\r\n`, 400, 431, 494],
	['HTTP/9.9', 'GET /v1/conversations HTTP/9.9\r\nHost: x\r\n\r\n', 505],
	['a bad content length', 'POST /v1/conversations HTTP/1.1\r\nHost: x\r\n' +
	    'Content-Length: -5\r\n\r\n', 400],
	['two content lengths', 'POST /v1/conversations HTTP/1.1\r\nHost: x\r\n' +
	    'Content-Length: 5\r\nContent-Length: 6\r\n\r\n', 400],
	['an unknown transfer encoding', 'POST /v1/conversations HTTP/1.1\r\n' +
	    'Host: x\r\nTransfer-Encoding: rot13\r\n\r\n', 501, 400],
	['a bad chunk', 'POST /v1/conversations HTTP/1.1\r\nHost: x\r\n' +
	    'Transfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
	['a raw space in the path', 'GET /v1/conver sations HTTP/1.1\r\n' +
	    'Host: x\r\n\r\n', 400],
	['percent encoding that is none', 'GET /v1/%zz HTTP/1.1\r\nHost: x\r\n' +
	    '\r\n', 400, 404, 401],
	['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n', 405, 400],
	['TRACE', 'TRACE /v1/conversations HTTP/1.1\r\nHost: x\r\n\r\n', 405],
];

for (const [what, bytes, ...statuses] of own) {
	test(`JSON from nginx: ${what}`, async () => {
		refusedRaw(await it.raw(bytes, { wait: 5_000 }), ...statuses);
		ok(await it.req('GET', '/conversations?limit=1'));
	});
}

test('JSON from nginx: a body that is shorter than it said', async () => {
	const c = await create();
	await new Promise((resolve) => {
		const s = net.connect(it.url.port, it.url.hostname);
		s.on('close', resolve).on('error', () => {});
		s.end(`POST /v1/conversations/${c.id}/items HTTP/1.1\r\nHost: x\r\n` +
		    `Authorization: Bearer ${it.key}\r\nContent-Length: 500\r\n\r\n` +
		    '{"items":[{"role":"user","content":"cut"}]}');
		setTimeout(() => s.destroy(), 500);
	});
	assert.equal(ok(await it.req('GET', `/conversations/${c.id}/items`))
	    .data.length, 0);
});

test('the page is served, its folder is not listed', async () => {
	const r = await it.req('GET', '/', { base: false, key: null });
	assert.equal(r.status, 200);
	assert.match(r.headers['content-type'], /^text\/html/);
	assert.match(r.headers['content-security-policy'] ?? '',
	    /default-src 'self'/);
	assert.doesNotMatch(r.headers['content-security-policy'], /unsafe/);
	const gone = await it.req('GET', '/no-such-file.js', { base: false });
	assert.equal(gone.status, 404);
	for (const t of ['/../conf/nginx.conf', '/%2e%2e/%2e%2e/etc/passwd',
	    '/..%2f..%2fetc/passwd'])
		assert.notEqual((await it.req('GET', t, { base: false })).status,
		    200, t);
});

test('1,000 requests on one connection, and 100 connections at once',
    async () => {
	const c = await create();
	const agent = new (await import('node:http')).Agent({ keepAlive: true,
		maxSockets: 1 });
	for (let i = 0; i < 300; i++)
		ok(await it.req('GET', `/conversations/${c.id}`, { agent }));
	agent.destroy();
	await Promise.all(Array.from({ length: 100 }, async () => {
		for (let i = 0; i < 10; i++)
			ok(await it.req('GET', `/conversations/${c.id}`));
	}));
});

test('an idle connection is kept at least 10 s, and says so', async () => {
	const r = await it.req('GET', '/conversations?limit=1');
	const said = /timeout=(\d+)/.exec(r.headers['keep-alive'] ?? '')?.[1];
	assert.ok(said === undefined || Number(said) >= 10, `${said}`);
	await new Promise((resolve, reject) => {
		const s = net.connect(it.url.port, it.url.hostname);
		const since = Date.now();
		let closed = false;
		s.on('error', reject);
		s.on('close', () => closed = true);
		s.write('GET /v1/conversations?limit=1 HTTP/1.1\r\nHost: x\r\n' +
		    `Authorization: Bearer ${it.key}\r\n\r\n`);
		setTimeout(() => {
			s.destroy();
			if (closed)
				reject(new Error(`closed after ${Date.now() - since} ms`));
			else
				resolve();
		}, 10_500);
	});
});

test('without the daemon: 502 or 503 as JSON, and back when it is', async () => {
	await it.term();
	for (const [m, t, body] of [['GET', '/conversations'],
	    ['POST', '/conversations', {}]]) {
		const r = await it.req(m, t, { body });
		assert.ok(r.status === 502 || r.status === 503, `${r.status}`);
		refused(r, r.status, { type: 'server_error' });
	}
	const page = await it.req('GET', '/', { base: false, key: null });
	assert.equal(page.status, 200, 'the page is still served');
	await it.restart();
	ok(await it.req('GET', '/conversations'));
});
