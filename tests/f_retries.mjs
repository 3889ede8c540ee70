/**
 * The official client repeats what it got no reply to, sends no key, and only
 * counts (API.md): whatever becomes of connection or daemon between the
 * commit and the reply, its item is there once, and two people never get one
 * conversation by it.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { suite, ok, user, text, jwt, until } from './harness.mjs';
import { Relay } from './relay.mjs';

const { test, it } = suite({ setup });
let front;		/* between the clients and nginx */
let back;		/* between nginx and the daemon */

/* The daemon gets a socket of its own, and the relay that which nginx knows. */
async function setup(instance)
{
	const { CONF, FCGI_SOCKET, DAEMON_CMD } = instance.env;
	const socket = path.join(instance.dir, 'daemon.sock');
	const conf = path.join(instance.dir, 'relayed.conf');
	await instance.term();
	fs.writeFileSync(conf, fs.readFileSync(CONF, 'utf8')
	    .replace(`socket = "${FCGI_SOCKET}"`, `socket = "${socket}"`));
	instance.env.DAEMON_CMD = DAEMON_CMD.replace(CONF, conf);
	assert.notEqual(instance.env.DAEMON_CMD, DAEMON_CMD);
	front = new Relay({ host: instance.url.hostname,
		port: instance.url.port });
	await front.listen({ host: '127.0.0.1', port: 0 });
	back = new Relay({ path: socket });
	fs.rmSync(FCGI_SOCKET, { force: true });
	await back.listen({ path: FCGI_SOCKET });
	await instance.restart();
}
after(async () => {
	await front?.close();
	await back?.close();
});

/*
 * The official client, retrying as often as it does by itself, behind the
 * front relay; tries gets what each of its tries came to.
 */
function clientOf(key = it.key, more = {})
{
	const tries = [];
	const client = it.client({ key, maxRetries: 2,
		baseURL: `http://127.0.0.1:${front.port}/v1`,
		fetch: async (url, init) => {
			const h = new Headers(init.headers);
			const t = { count: h.get('x-stainless-retry-count'),
				key: h.get('idempotency-key') };
			tries.push(t);
			/* As from a client's own connection each time. */
			h.set('connection', 'close');
			const r = await fetch(url, { ...init, headers: h });
			t.status = r.status;
			return (r);
		}, ...more });
	return ({ client, tries });
}

const jwtOf = (sub) => jwt(it.env.JWT_SECRET, { tenant: it.tenant, sub },
    { header: { kid: 'demo' } });

const create = async (body = {}) =>
    ok(await it.req('POST', '/conversations', { body })).id;
const stored = async (conv) => ok(await it.req('GET',
    `/conversations/${conv}/items?order=asc&limit=1000`)).data;

/* One try too many would be taken for luck. */
function countedOnce(tries)
{
	assert.deepEqual(tries.map((t) => t.count), ['0', '1']);
	assert.deepEqual(tries.map((t) => t.key), [null, null]);
	assert.equal(tries[1].status, 200);
}

/* Every way in which the reply to a change that was made gets lost. */
const losses = {
	'the client\'s connection is cut before the reply': () => front.lose(),
	'the client\'s connection is cut within the head of the reply': () =>
	    front.lose({ pass: 60 }),
	'the daemon\'s reply is cut off': () => back.lose(),
	'the daemon\'s reply is cut off in its head': () =>
	    back.lose({ pass: 30 }),
	'the daemon is killed between commit and reply': async () => {
		await back.lose({ isHeld: true });
		await it.kill9();
		await it.restart({ wait: false });
	},
	'the daemon is killed, and starts twice': async () => {
		await back.lose({ isHeld: true });
		await it.kill9();
		await it.restart({ wait: false });
		await until(() => it.logText().includes(`ready pid=${it.pid} `));
		await it.kill9();
		await it.restart({ wait: false });
	},
	'the daemon ends in order, and starts again': async () => {
		await back.lose({ isHeld: true });
		await it.term();
		await it.restart({ wait: false });
	},
};

for (const [how, lose] of Object.entries(losses)) {
	test(`append: ${how}`, async () => {
		const conv = await create({ items: [user('first')] });
		const { client, tries } = clientOf();
		const lost = lose();
		const made = await client.conversations.items.create(conv,
		    { items: [user('precious'), user('more')] });
		await lost;
		countedOnce(tries);
		const there = await stored(conv);
		assert.deepEqual(there.map(text), ['first', 'precious', 'more']);
		assert.deepEqual(there.slice(1), made.data);

		/* The same again, not as a retry, is a new change. */
		await client.conversations.items.create(conv,
		    { items: [user('precious'), user('more')] });
		assert.equal((await stored(conv)).length, 5);
	});
}

test('the retry comes while the daemon is down, and again', async () => {
	const conv = await create();
	const { client, tries } = clientOf(it.key, { maxRetries: 5 });
	const lost = back.lose({ isHeld: true });
	const sent = client.conversations.items.create(conv,
	    { items: [user('precious')] });
	await lost;
	await back.close();		/* nginx finds nobody there */
	await it.kill9();
	await until(() => tries.length >= 3 && tries.at(-2).status === 502);
	fs.rmSync(it.env.FCGI_SOCKET, { force: true });
	back = new Relay(back.target);
	await back.listen({ path: it.env.FCGI_SOCKET });
	await it.restart({ wait: false });
	const made = await sent;
	const there = await stored(conv);
	assert.deepEqual(there, made.data);
	assert.equal(there.length, 1);
});

test('an answer of the agent is there once', async () => {
	const conv = await create();
	const { client, tries } = clientOf();
	const lost = losses['the daemon is killed between commit and reply']();
	const made = await client.responses.create({ model: 'recall',
		conversation: conv, input: 'My cat is called Miezi.' });
	await lost;
	countedOnce(tries);
	const there = await stored(conv);
	assert.deepEqual(there.map((i) => i.role), ['user', 'assistant']);
	assert.deepEqual(there[1], made.output[0]);
});

test('metadata are changed once', async () => {
	const conv = await create();
	const { client, tries } = clientOf();
	const lost = losses['the daemon is killed between commit and reply']();
	await client.conversations.update(conv, { metadata: { a: 'b' } });
	await lost;
	countedOnce(tries);
	const r = await it.req('GET', `/conversations/${conv}`);
	assert.deepEqual(ok(r).metadata, { a: 'b' });
	assert.equal(r.headers.etag, '"2"', 'one version more');
});

test('a retry with another body adds', async () => {
	const conv = await create();
	const bodies = ['one', 'two'].map((t) =>
	    JSON.stringify({ items: [user(t)] }));
	const { client } = clientOf(it.key, { fetch: (url, init) =>
		fetch(url, { ...init, body: bodies.shift() }) });
	const lost = front.lose();
	const made = await client.conversations.items.create(conv,
	    { items: [user('either')] });
	await lost;
	assert.equal(bodies.length, 0);
	assert.deepEqual((await stored(conv)).map(text), ['one', 'two']);
	assert.deepEqual(made.data.map(text), ['two']);
});

test('two credentials that send the same to one conversation are two',
    async () => {
	const conv = await create();
	const both = [it.key, it.addKey(it.tenant).key].map((k) => clientOf(k));
	const lost = back.lose({ times: 2, isHeld: true });
	const sent = both.map(({ client }) =>
	    client.conversations.items.create(conv, { items: [user('same')] }));
	await lost;
	await it.kill9();
	await it.restart({ wait: false });
	const made = (await Promise.all(sent)).map((m) => m.data[0].id);
	both.forEach(({ tries }) => countedOnce(tries));
	const there = (await stored(conv)).map((i) => i.id);
	assert.equal(there.length, 2);
	assert.notEqual(made[0], made[1]);
	assert.deepEqual([...made].sort(), [...there].sort());
});

for (const [how, headers] of [['', undefined],
    [', also not with one Idempotency-Key', { 'Idempotency-Key': 'mine' }]])
	test(`two people never get one conversation by a retry${how}`,
	    async () => {
		const people = ['ann', 'bob'];
		const both = people.map((p) => clientOf(jwtOf(p)));
		const topic = headers === undefined ? 'counted' : 'keyed';
		const lost = back.lose({ times: 2, isHeld: true });
		const sent = both.map(({ client }) => client.conversations.create(
		    { metadata: { topic } }, { headers }));
		await lost;
		await it.kill9();
		await it.restart({ wait: false });
		const made = await Promise.all(sent);
		both.forEach(({ tries }) => assert.equal(tries.length, 2));
		assert.notEqual(made[0].id, made[1].id);
		for (const [i, p] of people.entries()) {
			const own = both[i].client.conversations;
			assert.equal((await own.retrieve(made[i].id)).id, made[i].id);
			await assert.rejects(own.retrieve(made[1 - i].id),
			    (e) => e.status === 404);
			const list = ok(await it.req('GET', '/conversations?' +
			    `metadata%5Btopic%5D=${topic}`, { key: jwtOf(p) })).data;
			assert.ok(list.every((c) => c.user === p));
			/* With a key the first outcome is found again. */
			assert.equal(list.length, headers === undefined ? 2 : 1);
		}
	});
