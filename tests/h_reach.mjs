/**
 * Who can use the chat page, and where: with keys alone, on narrow screens,
 * in the dark, by name and role; and under which policy it runs.
 */
import assert from 'node:assert/strict';
import { ok, user } from './harness.mjs';
import { box, idIn, narrow, open, pages, rows, send, shown, shows, wide }
    from './browser.mjs';

const { test, it } = pages();

/** Press Tab until the focus is on something with this name. */
async function tabTo(page, name, key = 'Tab')
{
	for (let i = 0; i < 40; i++) {
		await page.keyboard.press(key);
		const has = await page.evaluate((name) => {
			const e = document.activeElement;
			return (e.getAttribute('aria-label') ?? e.labels?.[0]
			    ?.textContent ?? e.textContent).trim().startsWith(name);
		}, name);
		if (has)
			return;
	}
	assert.fail(`the focus never comes to ${name}`);
}

for (const [size, viewport] of Object.entries({ wide, narrow })) {
	test(`keys alone do everything, ${size}`, async ({ page, person }) => {
		const { keyboard } = page;
		await open(page, person);
		if (size === 'wide')
			assert.equal(await box(page).evaluate((e) =>
			    e === document.activeElement), true);
		await keyboard.type('First');
		await keyboard.press('Shift+Enter');
		await keyboard.type('line two');
		await keyboard.press('Enter');
		await shows(async () => (await shown(page)).length, 2);
		assert.equal((await shown(page))[0], 'user: First\nline two');
		const first = idIn(page);

		/* Another one, then back through the list. */
		await keyboard.press('Alt+Shift+N');
		await page.locator('.welcome').waitFor();
		await keyboard.type('Second');
		await keyboard.press('Enter');
		await shows(async () => (await shown(page)).length, 2);
		await shows(() => rows(page), ['Second', 'First']);
		if (size === 'narrow') {
			await tabTo(page, 'Show conversations', 'Shift+Tab');
			await keyboard.press('Enter');
			await page.locator('.is-open').waitFor();
			assert.equal(await page.locator('#main').evaluate((e) =>
			    e.inert), true);
			await keyboard.press('Escape');
			await page.locator('.is-open').waitFor({ state: 'detached' });
			await keyboard.press('Enter');
			await page.locator('.is-open').waitFor();
		} else
			await page.evaluate(() => document.activeElement.blur());
		await tabTo(page, 'Second');
		await keyboard.press('ArrowDown');
		await keyboard.press('Enter');
		await page.waitForURL(`**/c/${first}`);
		await shows(async () => (await shown(page))[0],
		    'user: First\nline two');

		/* Rename, then delete. */
		await tabTo(page, 'Rename', 'Shift+Tab');
		await keyboard.press('Enter');
		await keyboard.type('Renamed');
		await keyboard.press('Enter');
		await shows(() => rows(page), ['Renamed', 'Second']);
		await tabTo(page, 'Delete');
		await keyboard.press('Enter');
		await page.getByRole('dialog').waitFor();
		await tabTo(page, 'Delete');
		await keyboard.press('Enter');
		await shows(() => rows(page), ['Second']);
	}, { viewport });
}

test('a narrow screen: the list is a drawer, nothing scrolls sideways',
    async ({ page, person }) => {
	const id = await person.talk('Somewhere', [user('w'.repeat(300))]);
	await person.talk('Elsewhere', [user('there')]);
	for (const width of [320, 390, 700]) {
		await page.setViewportSize({ width, height: 640 });
		await open(page, person, `/c/${id}`);
		await page.locator('.message').waitFor();
		assert.equal(await page.locator('.side').isVisible(), false);
		assert.ok(await page.evaluate(() =>
		    document.documentElement.scrollWidth <= innerWidth));
		assert.ok(await box(page).isVisible());
	}
	await page.getByRole('button', { name: 'Show conversations' }).click();
	await page.locator('.row', { hasText: 'Elsewhere' }).click();
	await shows(() => shown(page), ['user: there']);
	await page.locator('.side').waitFor({ state: 'hidden' });
	await page.getByRole('button', { name: 'Show conversations' }).click();
	await page.locator('.side').waitFor();
	await page.mouse.click(680, 300);
	await page.locator('.side').waitFor({ state: 'hidden' });
}, { viewport: narrow });

/** The contrast of two computed colours, as WCAG counts it. */
function contrast(a, b)
{
	const light = (rgb) => {
		const [r, g, b] = rgb.match(/[\d.]+/g).map((v) => {
			const c = v / 255;
			return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		});
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
	return (x + 0.05) / (y + 0.05);
}

for (const colorScheme of ['light', 'dark']) {
	test(`letters stand out, ${colorScheme}`, async ({ page, person }) => {
		await person.talk('Other', [user('x')]);
		await open(page, person);
		await send(page, 'Hello');
		const colours = await page.evaluate(() => {
			const of = (selector) => {
				let e = document.querySelector(selector);
				const { color } = getComputedStyle(e);
				let paint;
				do {
					paint = getComputedStyle(e).backgroundColor;
					e = e.parentElement;
				} while (/, 0\)$/.test(paint) && e);
				return [selector, color, paint];
			};
			return ['.message[data-role=user] .text', '.head-title',
				'.message[data-role=assistant] .text', '.message-who',
				'.row-title', '.row-day h2', '.hint', '.who',
				'[aria-current] .row-title', '.new'].map(of);
		});
		for (const [selector, ink, paint] of colours)
			assert.ok(contrast(ink, paint) >= 4.5,
			    `${selector}: ${ink} on ${paint}`);
		const paper = colours.find(([s]) => s === '.head-title')[2];
		assert.equal(contrast(paper, 'rgb(0,0,0)') > 10,
		    colorScheme === 'light');
	}, { colorScheme });
}

test('everything that can be pressed or filled has a name',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'Hello');
	const nameless = await page.evaluate(() =>
	    [...document.querySelectorAll('button, a, input, textarea')]
	    .filter((e) => !(e.getAttribute('aria-label') ||
	    e.labels?.length || e.textContent.trim() || e.value))
	    .map((e) => e.outerHTML));
	assert.deepEqual(nameless, []);
	assert.equal(await page.locator('[data-live]').getAttribute('aria-live'),
	    'polite');
});

test('the policy has no exception, and no attribute asks for one',
    async ({ page, person }) => {
	const reply = await page.goto(person.link());
	const policy = reply.headers()['content-security-policy'];
	assert.match(policy, /default-src 'self'/);
	assert.doesNotMatch(policy, /unsafe|data:|blob:|nonce|sha256|\*|https?:/);
	const violations = await page.evaluate(async () => {
		const seen = [];
		document.addEventListener('securitypolicyviolation',
		    (e) => seen.push(e.violatedDirective));
		const img = document.createElement('img');
		img.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
		document.body.append(img);
		while (seen.length === 0)
			await new Promise(requestAnimationFrame);
		return seen;
	});
	assert.match(violations[0], /img-src/, 'the policy is in force');
	assert.equal(await page.locator('[onclick], [onload], script:not([src])')
	    .count(), 0);
	const types = await Promise.all(['/js/main.js', '/css/base.css',
		'/favicon.svg'].map(async (file) => {
		const r = await it.req('GET', file, { base: false, key: null });
		assert.equal(r.status, 200);
		return r.headers['content-type'];
	}));
	assert.match(types[0], /javascript/);
	assert.match(types[1], /^text\/css/);
	assert.match(types[2], /^image\/svg\+xml/);
	assert.equal((await it.req('GET', '/js/none.js',
	    { base: false, key: null })).status, 404);
	ok(await it.req('GET', '/conversations?limit=1', { key: person.token }));
}, { noise: [/Content Security Policy/] });
