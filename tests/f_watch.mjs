/**
 * What is to be seen from outside, through nginx: /healthz and /readyz, red
 * while the disk fails and green again when it does not, and /metrics, read as
 * strictly as its format is written.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { suite, ok, refused, user, until } from './harness.mjs';
import { readMetrics } from './prometheus.mjs';
import { SickDisk } from './sickdisk.mjs';

const { test, it } = suite({
    include: 'flush_interval = "1h"\n', setup: async (instance) => {
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
		it.allow(/journal is broken/, /works again/,
		    /no spare segment can be made/);
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

/* --- /metrics --------------------------------------------------------------- */

async function scrape()
{
	const r = await ask('GET', '/metrics');
	assert.equal(r.status, 200);
	assert.equal(r.headers['content-type'],
	    'text/plain; version=0.0.4; charset=utf-8');
	return (readMetrics(r.text));
}

test('/metrics is the text format, whole, and names what it should', async () => {
	await it.req('GET', '/conversations');
	const m = await scrape();
	for (const [name, type] of [
	    ['rememberd_requests_total', 'counter'],
	    ['rememberd_request_duration_seconds', 'histogram'],
	    ['rememberd_requests_in_flight', 'gauge'],
	    ['rememberd_changes_refused_total', 'counter'],
	    ['rememberd_connections', 'gauge'],
	    ['rememberd_accept_pauses_total', 'counter'],
	    ['rememberd_journal_broken', 'gauge'],
	    ['rememberd_journal_pending_records', 'gauge'],
	    ['rememberd_dirty_documents', 'gauge'],
	    ['rememberd_tenant_bytes', 'gauge'],
	    ['rememberd_quarantined_files', 'gauge'],
	    ['process_resident_memory_bytes', 'gauge'],
	    ['process_open_fds', 'gauge']])
		assert.equal(m.families.get(name)?.type, type, name);
	assert.ok(m.value('process_resident_memory_bytes') > 1e6);
	assert.ok(m.value('process_open_fds') > 10);
	assert.ok(m.value('process_max_fds') >= m.value('process_open_fds'));
	assert.ok(m.value('process_cpu_seconds_total') > 0);
	assert.ok(Math.abs(m.value('process_start_time_seconds') -
	    Date.now() / 1000) < 600);
	const head = await ask('HEAD', '/metrics');
	assert.equal(head.text, '');
	assert.match(head.headers['content-type'], /^text\/plain/);
	refused(await ask('POST', '/metrics'), 405);
});

/* What does work() add to the counters and gauges of these names? */
async function added(work, ...wanted)
{
	const before = await scrape();
	await work();
	const after = await scrape();
	return (wanted.map(([name, labels]) => (after.value(name, labels) ?? 0) -
	    (before.value(name, labels) ?? 0)));
}

test('requests, changes and tenants are counted as they are made', async () => {
	const route = '/v1/conversations';
	const t = it.addTenant();
	const body = { items: [user('counted'), user('too')] };
	assert.deepEqual(await added(async () => {
		for (let i = 0; i < 5; i++)
			ok(await it.req('POST', '/conversations', { body,
				key: t.key }));
		refused(await it.req('POST', '/conversations', { body: '{',
			key: t.key }), 400);
		refused(await it.req('POST', '/conversations', { body,
			key: 'nobody' }), 401);
		refused(await it.req('GET', '/conversations/none', {
			key: t.key }), 404);
		refused(await it.req('POST', '/nowhere', { body }), 404);
	}, ['rememberd_requests_total', { route, method: 'POST', status: '200' }],
	['rememberd_requests_total', { route, method: 'POST', status: '400' }],
	['rememberd_request_duration_seconds_count', { route, method: 'POST' }],
	['rememberd_requests_total', { route: `${route}/{}`, method: 'GET',
		status: '404' }],
	['rememberd_requests_total', { route: '(none)', method: 'POST',
		status: '404' }],
	['rememberd_changes_refused_total', { cause: 'invalid' }],
	['rememberd_changes_refused_total', { cause: 'forbidden' }],
	['rememberd_changes_refused_total', { cause: 'not_found' }],
	['rememberd_journal_records_total'],
	['rememberd_dirty_documents'],
	['rememberd_tenant_conversations', { tenant: t.name }],
	['rememberd_tenant_items', { tenant: t.name }],
	['rememberd_conversations_in_memory']),
	[5, 1, 7, 1, 1, 1, 1, 1, 5, 5, 5, 10, 5]);
	const m = await scrape();
	assert.equal(m.value('rememberd_requests_in_flight',
	    { state: 'parked' }), 0);
	/* This scrape itself. */
	assert.equal(m.value('rememberd_requests_in_flight',
	    { state: 'running' }), 1);
});

test('a send that waits for the disk is seen waiting, and so is what broke',
    async (t) => {
	t.after(() => disk.heal());
	it.allow(/journal is broken/, /works again/,
	    /no spare segment can be made/);
	const held = disk.hold({ calls: 'fdatasync', part: journal });
	const waiting = it.req('POST', '/conversations', { body: {} });
	await disk.reached(held);
	const m = await until(async () => {
		const now = await scrape();
		return (now.value('rememberd_requests_in_flight',
		    { state: 'parked' }) === 1 ? now : null);
	}, 10_000, 'a parked request');
	assert.equal(m.value('rememberd_journal_pending_records'), 1);
	await until(async () => (await scrape()).value(
	    'rememberd_journal_oldest_pending_seconds') > 0.05, 10_000,
	    'what waits grows old');
	assert.equal(m.value('rememberd_journal_broken'), 0);
	disk.ail({ part: journal, error: 'ENOSPC' });
	const answer = await waiting;
	refused(answer, 503, { code: 'outcome_unknown' });
	refused(await it.req('POST', '/conversations', { body: {} }), 507);
	const sick = await scrape();
	assert.equal(sick.value('rememberd_journal_broken'), 1);
	assert.equal(sick.value('rememberd_journal_error', { errno: 'ENOSPC' }),
	    1);
	for (const cause of ['outcome_unknown', 'disk_full'])
		assert.ok(sick.value('rememberd_changes_refused_total',
		    { cause }) >= 1, cause);
	disk.heal();
	await until(async () => (await scrape()).value(
	    'rememberd_journal_broken') === 0, 15_000, 'healed');
});

test('the journal and the flush are seen at work', async () => {
	ok(await it.req('POST', '/conversations', { body: {} }));
	const one = await scrape();
	assert.ok(one.value('rememberd_journal_fsync_duration_seconds_count') > 0);
	assert.ok(one.value('rememberd_journal_batch_records_sum') >=
	    one.value('rememberd_journal_batch_records_count'));
	assert.ok(one.value('rememberd_journal_kept_bytes') >= 4096);
	assert.equal(one.value('rememberd_journal_copy_seconds'), 3600);
	assert.ok(one.value('rememberd_dirty_documents') > 0);
	await until(async () => (await scrape()).value(
	    'rememberd_flush_lag_seconds') > 0.05, 10_000, 'a lag');
	const flush = async (done) => {
		it.ctl(['flush']);
		return (until(async () => {
			const now = await scrape();
			return (done(now) ? now : null);
		}, 15_000, 'a flush'));
	};
	const two = await flush((m) =>
	    m.value('rememberd_dirty_documents') === 0 &&
	    m.value('rememberd_flush_lag_seconds') === 0);
	assert.ok(two.value('rememberd_documents_written_total') >
	    one.value('rememberd_documents_written_total'));
	assert.ok(two.value('rememberd_flush_duration_seconds_count') >
	    one.value('rememberd_flush_duration_seconds_count'));
	assert.equal(two.value('rememberd_flush_failures_total'),
	    one.value('rememberd_flush_failures_total'));
	assert.equal(two.value('rememberd_failing_documents'), 0);
});

/* However often it is tried, the log is told once; then, that it is over. */
test('documents that cannot be written are told of once', async (t) => {
	t.after(() => disk.heal());
	for (let i = 0; i < 3; i++)
		ok(await it.req('POST', '/conversations', { body: {} }));
	const from = it.logText().length;
	const said = (re) => it.logText().slice(from).split('\n').filter((l) =>
	    re.test(l)).length;
	const failures = async () => (await scrape()).value(
	    'rememberd_flush_failures_total');
	const before = await failures();
	disk.ail({ part: '/conversations', error: 'EACCES' });
	for (let i = 1; i <= 3; i++) {
		it.ctl(['flush']);
		await until(async () => await failures() >= before + i, 15_000,
		    'a failure');
	}
	it.allow(/flush: tenant \w+: write \S+; it stays in the journal/);
	assert.equal(said(/level=(warn|error)/), 1);
	const failing = await scrape();
	assert.ok(failing.value('rememberd_flush_lag_seconds') > 0);
	assert.ok(failing.value('rememberd_failing_documents') >= 3);
	disk.heal();
	it.ctl(['flush']);
	await until(async () => (await scrape()).value(
	    'rememberd_dirty_documents') === 0, 15_000, 'all written');
	await until(() => said(/all documents are written again/) === 1, 10_000,
	    'that it is over');
	assert.equal(said(/level=(warn|error)/), 1);
});

/* Each request tries again; the log is told when it begins and ends. */
test('a tenant that cannot be read is told of once', async (t) => {
	t.after(() => disk.heal());
	const other = it.addTenant();
	ok(await it.req('POST', '/conversations', { body: {}, key: other.key }));
	it.ctl(['flush']);
	await until(async () => (await scrape()).value(
	    'rememberd_dirty_documents') === 0, 15_000, 'all written');
	await it.term();
	/* Nothing of it in the journal: it is read when it is asked for. */
	for (const name of fs.readdirSync(path.join(it.store, 'journal')))
		fs.rmSync(path.join(it.store, 'journal', name));
	await disk.start();
	const from = it.logText().length;
	const said = (re) => it.logText().slice(from).split('\n').filter((l) =>
	    re.test(l)).length;
	const rule = disk.ail({ calls: 'openat', error: 'EIO',
		part: `/tenants/${other.name}/conversations` });
	for (let i = 1; i <= 4; i++)
		refused(await it.req('GET', '/conversations', {
			key: other.key }), 503);
	assert.ok(disk.hits(rule).length >= 4);
	it.allow(/open tenants\/\w+\/conversations/);
	assert.equal(said(/level=(warn|error)/), 1);
	disk.heal();
	assert.equal(ok(await it.req('GET', '/conversations', {
		key: other.key })).data.length, 1);
	assert.equal(said(/it can be read again/), 1);
	assert.equal(said(/level=(warn|error)/), 1);
});

test('/metrics is for this machine alone', async () => {
	const status = (localAddress) => new Promise((resolve, reject) => {
		http.get({ host: it.url.hostname, port: it.url.port, localAddress,
			path: '/metrics' }, (res) => {
			res.resume();
			resolve(res.statusCode);
		}).on('error', reject);
	});
	assert.equal(await status('127.0.0.1'), 200);
	assert.equal(await status('127.0.0.2'), 404);
});

test('without a daemon both are red', async () => {
	await it.kill9();
	for (const target of ['/healthz', '/readyz'])
		refused(await ask('GET', target), 502);
	await disk.start();
	for (const target of ['/healthz', '/readyz'])
		ok(await ask('GET', target));
});
