/**
 * Tests in a real Chromium: a person of a tenant of their own in each test,
 * a page that is watched for errors, and words for what a reader does.
 *
 *	const { test, it } = pages();
 *	test('name', async ({ page, person }) => {
 *		await open(page, person);
 *		await send(page, 'Hello');
 *	}, { noise: [/status of 502/], viewport: narrow });
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { jwt, ok, patience, suite, until } from './harness.mjs';

export const wide = { width: 1180, height: 760 };
export const narrow = { width: 390, height: 780 };

const args = ['--no-sandbox', '--disable-gpu', '--disable-quic',
	'--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync'];

/* What the browser itself says of a reply that is an error. */
export const failed = (status) => new RegExp(`status of ${status}\\b`);

/** Somebody with a token; the tenant is new, so that the list is empty. */
class Person {
	constructor(it, tenant, secret, sub)
	{
		this.it = it;
		this.tenant = tenant.name;
		this.key = tenant.key;
		this.secret = secret;
		this.sub = sub;
		this.token = this.mint();
	}

	/** Another token; an exp in the past makes it an expired one. */
	mint(claims = {})
	{
		return jwt(this.secret, { tenant: this.tenant, sub: this.sub,
		    ...claims }, { header: { kid: 'page' } });
	}

	link(path = '/', token = this.token)
	{
		return `${this.it.url.origin}${path}#token=${token}`;
	}

	/** The API as this person. */
	async api(method, target, body)
	{
		return ok(await this.it.req(method, target, { body,
		    key: this.token }));
	}

	/** A conversation with items; returns its id. */
	async talk(title, items = [])
	{
		const { id } = await this.api('POST', '/conversations', { title });
		if (items.length > 0)
			await this.api('POST', `/conversations/${id}/items`, { items });
		return id;
	}

	/** The words of all messages in a conversation, oldest first. */
	async words(id)
	{
		const list = await this.api('GET',
		    `/conversations/${id}/items?limit=1000&order=asc`);
		return list.data.filter((i) => i.type === 'message').map((i) =>
		    `${i.role}: ${i.content.map((p) => p.text).join('')}`);
	}
}

/** Watch a page: nothing may be wrong that a test has not announced. */
function watch(page, complaints)
{
	const say = (what) => complaints.push(what);

	page.on('pageerror', (e) => say(`thrown: ${e.stack}`));
	page.on('console', (m) => {
		if (m.type() === 'error' || m.type() === 'warning')
			say(`console: ${m.text()} ${m.location().url}`);
	});
	page.setDefaultTimeout(15_000 * patience);
}

export function pages(options = {})
{
	const { test: suiteTest, it } = suite(options);
	let browser;

	before(async () => {
		browser = await chromium.launch({ args, headless: true,
		    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium' });
	});
	after(() => browser?.close());

	const newPerson = (sub = 'ann', tenant = it.addTenant()) =>
	    new Person(it, tenant, it.addJwtKey(tenant.name, 'page'), sub);

	const test = (name, fn, { noise = [], viewport = wide, timeout = 90_000,
	    ...more } = {}) => suiteTest(name, async () => {
		const complaints = [];
		const context = await browser.newContext({ viewport,
		    locale: 'en-GB', ...more });
		context.on('page', (page) => watch(page, complaints));
		try {
			const page = await context.newPage();
			await fn({ page, context, person: newPerson(), newPerson });
			const bad = complaints.filter((c) =>
			    !noise.some((re) => re.test(c)));
			assert.deepEqual(bad, [], 'nothing goes wrong in the page');
		} catch (e) {
			e.message += complaints.map((c) => `\n    page: ${c}`).join('');
			throw e;
		} finally {
			await context.close();
		}
	}, { timeout });
	return { test, it };
}

/** Follow a sign-in link and wait for the list. */
export async function open(page, person, path = '/')
{
	await page.goto(person.link(path));
	await page.locator('.row, .no-rows').first().waitFor({ state: 'attached' });
}

export const box = (page) => page.locator('#message');

/** Write a message, press Enter, and wait until it is stored and answered. */
export async function send(page, text)
{
	const answers = page.locator('.message[data-role=assistant]');
	const before = await answers.count();
	await box(page).fill(text);
	await box(page).press('Enter');
	await until(async () => await answers.count() > before, 15_000,
	    `an answer to ${text.slice(0, 40)}`);
	assert.equal(await box(page).inputValue(), '');
}

/** The messages shown, as Person.words() says them. */
export function shown(page)
{
	return page.locator('.message').evaluateAll((list) => list.map((m) =>
	    `${m.dataset.role}: ` + [...m.querySelectorAll('.text')]
	    .map((p) => p.textContent).join('')));
}

export const rows = (page) => page.locator('.row-title').allTextContents();

/** Wait until what() gives the value wanted. */
export async function shows(what, wanted)
{
	let got;
	try {
		await until(async () => {
			got = await what();
			return JSON.stringify(got) === JSON.stringify(wanted);
		}, 15_000);
	} catch {
		assert.deepEqual(got, wanted);
	}
}

/** The id of the conversation that the URL names. */
export const idIn = (page) =>
    decodeURIComponent(new URL(page.url()).pathname.replace('/c/', ''));
