/**
 * What is to be seen from outside, through nginx: /healthz and /readyz, red
 * while the disk fails and green again when it does not.
 */
import assert from 'node:assert/strict';
import { suite, ok, refused, user, until } from './harness.mjs';
import { SickDisk, noSickDisk } from './sickdisk.mjs';

const { test, it } = suite({ skip: noSickDisk, setup: async (instance) => {
	await instance.term();
	disk = new SickDisk(instance);
	await disk.start();
} });
let disk;

const journal = '/journal/';
/* As a stranger asks, not below /v1. */
const ask = (method, target) => it.req(method, target, { key: null,
	base: false });

test('/healthz and /readyz answer anybody, GET and HEAD alone', async () => {
	for (const [target, status] of [['/healthz', 'ok'],
	    ['/readyz', 'ready']]) {
		const r = await ask('GET', target);
		assert.deepEqual(ok(r), { status });
		assert.match(r.headers['content-type'], /^application\/json\b/);
		assert.equal(r.headers['cache-control'], 'no-store');
		const head = await ask('HEAD', target);
		assert.equal(head.status, 200);
		assert.equal(head.text, '');
		assert.equal(head.headers['content-length'],
		    r.headers['content-length']);
		for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
			const no = await ask(method, target);
			refused(no, 405);
			assert.match(no.headers.allow, /^GET, HEAD\b/);
		}
		refused(await ask('GET', `${target}/x`), 404);
	}
	refused(await it.req('GET', '/healthz'), 404);
});

/* Another failure is another reason; each goes by itself. */
for (const [error, reason] of [['EIO', 'journal_broken'],
    ['ENOSPC', 'disk_full'], ['EDQUOT', 'disk_full'],
    ['EROFS', 'journal_broken']])
	test(`${error}: /readyz is red, /healthz is not, and it heals`,
	    async () => {
		it.allow(/journal is broken/, /works again/);
		disk.ail({ part: journal, error });
		assert.notEqual((await it.req('POST', '/conversations',
		    { body: { items: [user('x')] } })).status, 200);
		const r = await until(async () => {
			const now = await ask('GET', '/readyz');
			return (now.status === 503 ? now : null);
		}, 10_000, 'red');
		assert.deepEqual(r.json, { status: 'unready', reasons: [reason] });
		assert.equal(r.headers['cache-control'], 'no-store');
		assert.equal((await ask('HEAD', '/readyz')).status, 503);
		assert.deepEqual(ok(await ask('GET', '/healthz')),
		    { status: 'ok' });
		disk.heal();
		await until(async () => (await ask('GET', '/readyz')).status === 200,
		    15_000, 'green');
		ok(await it.req('POST', '/conversations', { body: {} }));
	});

test('without a daemon both are red', async () => {
	await it.kill9();
	for (const target of ['/healthz', '/readyz'])
		refused(await ask('GET', target), 502);
	await disk.start();
	for (const target of ['/healthz', '/readyz'])
		ok(await ask('GET', target));
});
