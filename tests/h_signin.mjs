/**
 * Signing in to the chat page, in a real Chromium: where the token goes and
 * where it does not, what an expired one leads to, and what is never lost.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { until, user, walk } from './harness.mjs';
import { box, failed, idIn, open, pages, rows, send, shown, shows }
    from './browser.mjs';

const { test, it } = pages();

const refused = [failed(401)];
const expired = (person) => person.mint({ exp: 1_000_000_000 });

test('the printed link opens the page signed in', async ({ page }) => {
	await page.goto(it.env.PAGE_URL);
	await page.locator('.row, .no-rows').first().waitFor();
	assert.equal(page.url(), `${it.url.origin}/`);
	assert.match(await page.locator('#who').textContent(), /demo/);
	await send(page, 'Hello');
});

test('the token leaves the address bar and goes into no URL and no log',
    async ({ page, context, person }) => {
	const requests = [];
	context.on('request', (r) => requests.push(r));
	await open(page, person);
	assert.equal(page.url(), `${it.url.origin}/`);
	assert.equal(await page.evaluate(() => location.hash), '');
	await send(page, 'Hello');
	await page.reload();
	await shows(async () => (await shown(page)).length, 2);

	/* Also when the link is opened over the page that is open already. */
	await page.goto(person.link('/c/' + idIn(page), person.mint({ n: 2 })));
	await until(() => !page.url().includes('#'));
	await page.goBack();
	assert.doesNotMatch(page.url(), /token/);

	assert.ok(requests.length > 5);
	for (const r of requests) {
		const headers = await r.allHeaders();
		const seen = { ...headers, authorization: undefined };
		assert.doesNotMatch(r.url().replace(/#.*/, ''), /eyJ|token=/);
		assert.doesNotMatch(JSON.stringify(seen), /eyJ/);
		assert.equal(new URL(r.url()).origin, it.url.origin);
		assert.equal(Boolean(headers.authorization),
		    new URL(r.url()).pathname.startsWith('/v1/'));
	}
	const logs = walk(it.dir).filter((f) => f.endsWith('.log'));
	assert.ok(logs.some((f) => /access/.test(f) &&
	    fs.readFileSync(f, 'utf8').includes('/v1/conversations')));
	for (const f of logs)
		assert.doesNotMatch(fs.readFileSync(f, 'utf8'), /eyJ/, f);
});

test('an expired link tells so, and a new one brings the draft back',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'Hello');
	const id = idIn(page);
	await box(page).fill('a long thought\nof two lines 🌼');

	await page.goto(person.link(`/c/${id}`, expired(person)));
	await page.getByRole('heading', { name: 'has expired' }).waitFor();
	assert.equal(page.url(), `${it.url.origin}/c/${id}`);
	await page.getByText('a long thought').waitFor();
	assert.equal(await page.locator('#app').isVisible(), false);
	/* A reload says the same. */
	await page.reload();
	await page.getByRole('heading', { name: 'has expired' }).waitFor();

	await open(page, person);
	await shows(() => box(page).inputValue(), 'a long thought\nof two lines 🌼');
	assert.equal(idIn(page), id);
	await box(page).press('Enter');
	await shows(async () => (await shown(page)).length, 4);
	assert.deepEqual(await person.words(id), await shown(page));
}, { noise: refused });

test('a token that ends while one writes: the message waits in its box',
    async ({ page, person }) => {
	const soon = Math.floor(Date.now() / 1000) + 4;
	await page.goto(person.link('/', person.mint({ exp: soon })));
	await page.getByText('No conversations yet').waitFor();
	await until(() => Date.now() / 1000 > soon + 1);
	await box(page).fill('too late');
	await box(page).press('Enter');
	await page.getByRole('heading', { name: 'has expired' }).waitFor();
	await page.getByText('too late').waitFor();

	/* Pasting the link is as good as following it. */
	await page.getByLabel('Sign-in link').fill('nothing of the kind');
	await page.getByRole('button', { name: 'Sign in' }).click();
	await page.getByText('no token in this text').waitFor();
	await page.getByLabel('Sign-in link').fill(person.link());
	await page.getByRole('button', { name: 'Sign in' }).click();
	await shows(() => box(page).inputValue(), 'too late');
	await box(page).press('Enter');
	await shows(async () => (await shown(page)).length, 2);
	assert.deepEqual(await person.words(idIn(page)), await shown(page));
}, { noise: refused });

test('a draft in a new conversation outlives an expired link too',
    async ({ page, person }) => {
	await open(page, person);
	await box(page).fill('not begun yet');
	await page.goto(person.link('/', expired(person)));
	await page.getByRole('heading', { name: 'has expired' }).waitFor();
	await page.getByText('not begun yet').waitFor();
	await open(page, person);
	await shows(() => box(page).inputValue(), 'not begun yet');
}, { noise: refused });

test('a revoked key, a forged token, rubbish, and none at all',
    async ({ page, person }) => {
	await page.goto(it.url.origin);
	await page.getByRole('heading', { name: 'Sign in to' }).waitFor();
	for (const token of ['rubbish', '%00%ff', '', person.token + 'x']) {
		await page.goto('about:blank');
		await page.goto(person.link('/', token));
		await page.getByRole('heading', { name: 'was not accepted' }).waitFor();
		assert.equal(page.url(), `${it.url.origin}/`);
	}
	await open(page, person);
	const r = it.ctl(['jwt-key', 'revoke', person.tenant, 'page']);
	assert.equal(r.status, 0, r.all);
	await box(page).fill('never mind');
	await box(page).press('Enter');
	await page.getByRole('heading', { name: 'was not accepted' }).waitFor();
	await page.getByText('never mind').waitFor();
}, { noise: refused });

test('signing out forgets the token, in every tab, and keeps drafts',
    async ({ page, context, person }) => {
	const id = await person.talk('Here', [user('one')]);
	await open(page, person, `/c/${id}`);
	await box(page).fill('a draft');
	const tab = await context.newPage();
	await tab.goto(it.url.origin);
	await shows(() => rows(tab), ['Here']);
	await tab.locator('.row-draft').getByText('Draft').waitFor();

	await page.getByRole('button', { name: 'Sign out' }).click();
	await page.getByRole('heading', { name: 'signed out' }).waitFor();
	await tab.getByRole('heading', { name: 'signed out' }).waitFor();
	assert.doesNotMatch(await page.evaluate(() =>
	    JSON.stringify({ ...localStorage, ...sessionStorage })), /eyJ/);

	/* One new link lets both in again. */
	await open(page, person);
	await shows(() => box(page).inputValue(), 'a draft');
	await shows(() => rows(tab), ['Here']);
});

test('a token that may only read says so, and keeps the words',
    async ({ page, person }) => {
	const id = await person.talk('Here', [user('one')]);
	await page.goto(person.link(`/c/${id}`, person.mint({ scope: 'read' })));
	await shows(() => shown(page), ['user: one']);
	await box(page).fill('not allowed');
	await box(page).press('Enter');
	await page.getByText('may read but not write').waitFor();
	assert.equal(await box(page).inputValue(), 'not allowed');
}, { noise: [failed(403)] });

test('two people at one browser keep their drafts apart',
    async ({ page, person, newPerson }) => {
	const other = newPerson('bob');
	await open(page, person);
	await box(page).fill('for ann only');
	await open(page, other);
	await shows(() => page.locator('#who').textContent(),
	    `bob · ${other.tenant}`);
	assert.equal(await box(page).inputValue(), '');
	await open(page, person);
	await shows(() => box(page).inputValue(), 'for ann only');
});
