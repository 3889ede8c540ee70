/**
 * The chat page in a real Chromium: messages through kill -9, exactly once;
 * text, the list, and each state of each view.
 */
import assert from 'node:assert/strict';
import { until, user } from './harness.mjs';
import { box, failed, idIn, open, pages, rows, send, shown, shows }
    from './browser.mjs';

const { test, it } = pages();

const down = [failed(502), failed(503), failed(504)];
const gone = [failed(404)];

test('a conversation is there after kill -9, restart and return',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'Remember the pear tree.');
	await send(page, 'And the blue folder.');
	const id = idIn(page);
	assert.match(id, /^conv_/);
	const before = await shown(page);
	assert.equal(before.length, 4);
	assert.deepEqual(await person.words(id), before);

	await it.kill9();
	await it.restart();
	await page.reload();
	await shows(() => shown(page), before);
	await shows(() => rows(page), ['Remember the pear tree.']);
	assert.deepEqual(await person.words(id), before);
	await send(page, 'Still there?');
	assert.deepEqual(await person.words(id), await shown(page));
}, { noise: down });

test('a message that fails stays in the box; its retry stores it once',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'One');
	const id = idIn(page);

	await it.kill9();
	await box(page).fill('Two\n  lines');
	await box(page).press('Enter');
	await page.getByText('Not sent.').waitFor();
	assert.equal(await box(page).inputValue(), 'Two\n  lines');
	assert.equal(await box(page).isEditable(), true);

	await it.restart();
	await page.getByRole('button', { name: 'Try again' }).click();
	await shows(async () => (await shown(page)).slice(2, 3),
	    ['user: Two\n  lines']);
	await shows(() => box(page).inputValue(), '');
	assert.equal(await page.getByText('Not sent.').isVisible(), false);
	await shows(async () => (await shown(page)).length, 4);
	assert.deepEqual(await person.words(id), await shown(page));
}, { noise: down });

test('a first message fails before its conversation exists, and after',
    async ({ page, person }) => {
	await open(page, person);
	await it.kill9();
	await box(page).fill('First words');
	await box(page).press('Enter');
	await page.getByText('Not sent.').waitFor();
	assert.equal(new URL(page.url()).pathname, '/');

	await it.restart();
	await page.route('**/items', (route) => route.abort());
	await page.getByRole('button', { name: 'Try again' }).click();
	await page.waitForURL('**/c/conv_*');
	await page.getByText('Not sent.').waitFor();
	assert.equal(await box(page).inputValue(), 'First words');

	await page.unroute('**/items');
	await page.reload();
	await page.getByText('not confirmed as sent').waitFor();
	await box(page).press('Enter');
	await shows(async () => (await shown(page)).length, 2);
	const list = await person.api('GET', '/conversations');
	assert.equal(list.data.length, 1, 'one conversation, not two');
	assert.equal(list.data[0].title, 'First words');
	assert.deepEqual(await person.words(list.data[0].id), await shown(page));
}, { noise: [...down, /ERR_FAILED/] });

test('a message whose reply is lost is stored once, and leaves the box',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'One');
	const id = idIn(page);
	let keys = new Set();
	await page.route('**/items', async (route) => {
		if (route.request().method() !== 'POST')
			return route.continue();
		keys.add((await route.request().allHeaders())['idempotency-key']);
		await route.fetch();
		await route.abort();
	});
	await box(page).fill('Two');
	await box(page).press('Enter');
	await page.getByText('Not sent.').waitFor();
	await page.getByRole('button', { name: 'Try again' }).click();
	await page.locator('.box[aria-busy]').waitFor();
	await page.locator('.box:not([aria-busy])').waitFor();
	await page.getByText('Not sent.').waitFor();
	assert.equal(keys.size, 1, 'each try has the same key');
	assert.ok([...keys][0]);
	assert.deepEqual((await person.words(id)).slice(2), ['user: Two']);

	/* The reload shows that it arrived: nothing is left to send. */
	await page.unroute('**/items');
	await page.reload();
	await shows(() => shown(page).then((all) => all.slice(2)), ['user: Two']);
	await shows(() => box(page).inputValue(), '');
	await page.getByRole('button', { name: 'Ask for an answer' }).click();
	await shows(async () => (await shown(page)).length, 4);
	assert.deepEqual(await person.words(id), await shown(page));
}, { noise: [/ERR_FAILED/] });

test('a message is stored though its answer fails, and can be asked again',
    async ({ page, person }) => {
	await open(page, person);
	await page.route('**/v1/responses', (route) => route.abort());
	await box(page).fill('Hello');
	await box(page).press('Enter');
	await page.getByText('no answer came').waitFor();
	assert.equal(await box(page).inputValue(), '');
	assert.deepEqual(await person.words(idIn(page)), ['user: Hello']);
	await page.unroute('**/v1/responses');
	await page.getByRole('button', { name: 'Ask again' }).click();
	await shows(async () => (await shown(page)).length, 2);
	/* The answer is read out to those who do not see it. */
	const answer = (await shown(page))[1].replace('assistant: ', '');
	await shows(() => page.locator('[data-live]').textContent(), answer);
	assert.deepEqual(await person.words(idIn(page)), await shown(page));
}, { noise: [/ERR_FAILED/] });

test('text is shown exactly as it was sent', async ({ page, person }) => {
	const texts = ['<script>alert(1)</script><img src=x onerror=alert(2)>',
		'Umlaute äöü, 漢字, عربى, 🌼👩‍👩‍👧', '  two\n\n   lines, \ttab  ',
		'&lt;b&gt; **not** _marked_ `up` http://example.org',
		'${x} {{y}} %s \\n \u2028 \u00a0', 'x'.repeat(5000)];
	page.on('dialog', () => assert.fail('a script ran'));
	await open(page, person);
	for (const text of texts)
		await send(page, text);
	const id = idIn(page);
	const mine = async () => (await shown(page))
	    .filter((m) => m.startsWith('user: ')).map((m) => m.slice(6));
	assert.deepEqual(await mine(), texts);
	await page.reload();
	await shows(mine, texts);
	assert.deepEqual(await person.words(id), await shown(page));
	assert.equal(await page.locator('.messages img, .messages script').count(),
	    0);
	/* Long words wrap: nothing needs a horizontal scroll. */
	assert.ok(await page.evaluate(() => document.querySelector('.thread-scroll')
	    .scrollWidth <= innerWidth));
});

test('the list is newest first and loads more on scroll',
    async ({ page, person }) => {
	const titles = [];
	for (let i = 0; i < 70; i++) {
		titles.unshift(`Talk ${i}`);
		await person.talk(`Talk ${i}`, [user(`words ${i}`)]);
	}
	await open(page, person);
	await shows(async () => (await rows(page)).slice(0, 30), titles.slice(0, 30));
	assert.ok((await rows(page)).length < 70, 'not all at once');
	await page.locator('.list-scroll').hover();
	for (let seen = 0; seen < 70; ) {
		await page.mouse.wheel(0, 4000);
		await page.waitForFunction((n) =>
		    document.querySelectorAll('.row').length > n ||
		    document.querySelectorAll('.row').length === 70, seen);
		seen = (await rows(page)).length;
	}
	assert.deepEqual(await rows(page), titles);

	/* What is written to comes to the top, and the view goes to it. */
	await page.locator('.row').filter({
	    has: page.getByText('Talk 3', { exact: true }) }).click();
	await page.waitForURL('**/c/conv_*');
	await shows(() => shown(page), ['user: words 3']);
	await send(page, 'more');
	await shows(async () => (await rows(page))[0], 'Talk 3');
	assert.equal((await rows(page)).length, 70);
	assert.equal(await page.locator('[aria-current=page] .row-title')
	    .textContent(), 'Talk 3');
});

test('a conversation is opened by its URL, and Back leads back',
    async ({ page, context, person }) => {
	const a = await person.talk('First', [user('one')]);
	const b = await person.talk('Second', [user('two')]);
	await open(page, person, `/c/${a}`);
	await shows(() => shown(page), ['user: one']);
	assert.match(await page.title(), /^First\b/);
	await page.locator('.row', { hasText: 'Second' }).click();
	await shows(() => shown(page), ['user: two']);
	assert.equal(new URL(page.url()).pathname, `/c/${b}`);
	await page.goBack();
	await shows(() => shown(page), ['user: one']);

	/* Another tab needs no new link. */
	const tab = await context.newPage();
	await tab.goto(`${it.url.origin}/c/${b}`);
	await shows(() => shown(tab), ['user: two']);
});

test('leaving gives up what was being read, but not what was being sent',
    async ({ page, person }) => {
	const slow = await person.talk('Slow', [user('slow')]);
	await person.talk('Quick', [user('quick')]);
	let release;
	const held = new Promise((resolve) => {
		release = resolve;
	});
	const hold = async (route) => {
		await held;
		await route.continue();
	};
	await page.route(`**/${slow}/items?*`, hold);
	await open(page, person);
	const given = page.waitForEvent('requestfailed',
	    (r) => r.url().includes(`${slow}/items`));
	await page.locator('.row', { hasText: 'Slow' }).click();
	await page.waitForURL(`**/${slow}`);
	await page.locator('.row', { hasText: 'Quick' }).click();
	await shows(() => shown(page), ['user: quick']);
	assert.match((await given).failure().errorText, /ABORTED/);

	await page.route('**/items', hold);
	await box(page).fill('sent while leaving');
	await box(page).press('Enter');
	await page.locator('.box[aria-busy]').waitFor();
	const quick = idIn(page);
	await page.getByRole('link', { name: 'New conversation' }).click();
	await page.locator('.welcome').waitFor();
	assert.equal(await box(page).isEditable(), true, 'another box is free');
	release();
	await until(async () => (await person.words(quick)).length === 3);
	await page.locator('.welcome').waitFor();
	await page.locator('.row', { hasText: 'Quick' }).click();
	await shows(async () => (await shown(page)).length, 3);
	assert.deepEqual(await person.words(quick), await shown(page));
});

test('what does not exist and what is another’s look the same',
    async ({ page, person, newPerson }) => {
	const other = newPerson('bob');
	const theirs = await other.talk('Secret', [user('secret')]);
	const texts = [];
	for (const id of [theirs, theirs.replace(/.{6}$/, '000000')]) {
		await open(page, person, `/c/${id}`);
		await page.getByText('does not exist').waitFor();
		texts.push(await page.locator('.messages .notice-text').textContent());
	}
	assert.equal(texts[0], texts[1]);
	assert.doesNotMatch(await page.content(), /secret/i);
	await page.getByRole('button', { name: 'Start a new one' }).click();
	await page.locator('.welcome').waitFor();
	assert.equal(new URL(page.url()).pathname, '/');
}, { noise: gone });

test('rename: stored, shown everywhere; a failure keeps the new title',
    async ({ page, person }) => {
	const id = await person.talk('Old title', [user('one')]);
	await open(page, person, `/c/${id}`);
	await page.getByRole('button', { name: 'Rename' }).click();
	const input = page.getByLabel('Title');
	assert.equal(await input.inputValue(), 'Old title');
	await input.fill('Given up');
	await input.press('Escape');
	assert.equal(await page.getByRole('heading', { level: 1 }).textContent(),
	    'Old title');

	await it.kill9();
	await page.keyboard.press('F2');
	await input.fill('New <title> 🌼');
	await input.press('Enter');
	await page.locator('.head-error').getByText('not answering').waitFor();
	assert.equal(await input.inputValue(), 'New <title> 🌼');
	await it.restart();
	await page.getByRole('button', { name: 'Save' }).click();
	await page.getByRole('heading', { level: 1, name: 'New <title> 🌼' })
	    .waitFor();
	await shows(() => rows(page), ['New <title> 🌼']);
	assert.equal((await person.api('GET', `/conversations/${id}`)).title,
	    'New <title> 🌼');
	await page.reload();
	await shows(() => rows(page), ['New <title> 🌼']);
}, { noise: down });

test('delete: asked first, told when it fails, then gone',
    async ({ page, person }) => {
	const id = await person.talk('Doomed', [user('one')]);
	await person.talk('Kept', [user('two')]);
	await open(page, person, `/c/${id}`);
	const dialog = page.getByRole('dialog');
	await page.getByRole('button', { name: 'Delete' }).click();
	await dialog.getByText('Doomed').waitFor();
	await page.keyboard.press('Escape');
	await dialog.waitFor({ state: 'hidden' });
	assert.deepEqual(await rows(page), ['Kept', 'Doomed']);

	await it.kill9();
	await page.getByRole('button', { name: 'Delete' }).click();
	await dialog.getByRole('button', { name: 'Delete' }).click();
	await dialog.getByText('not answering').waitFor();
	await it.restart();
	await dialog.getByRole('button', { name: 'Try again' }).click();
	await dialog.waitFor({ state: 'hidden' });
	await shows(() => rows(page), ['Kept']);
	assert.equal(new URL(page.url()).pathname, '/');
	const reply = await it.req('GET', `/conversations/${id}`,
	    { key: person.token });
	assert.equal(reply.status, 404);
	await page.goBack();
	await page.goto(`${it.url.origin}/c/${id}`);
	await page.getByText('does not exist').waitFor();
}, { noise: [...down, ...gone] });

test('an account without conversations, and one whose server is down',
    async ({ page, person }) => {
	await open(page, person);
	await page.getByText('No conversations yet').waitFor();
	await page.getByRole('heading', { name: 'What would you like' }).waitFor();
	const id = await person.talk('There', [user('one')]);

	await it.kill9();
	await page.goto(`${it.url.origin}/c/${id}`);
	await page.locator('.messages .notice').getByText('not answering').waitFor();
	await page.locator('.list').getByText('not answering').waitFor();
	await box(page).fill('written meanwhile');
	await it.restart();
	await page.locator('.messages .notice').getByRole('button').click();
	await shows(() => shown(page), ['user: one']);
	await page.locator('.list').getByRole('button').click();
	await shows(() => rows(page), ['There']);
	assert.equal(await box(page).inputValue(), 'written meanwhile');
}, { noise: down });

test('a long history loads older messages and keeps the reader’s line',
    async ({ page, person }) => {
	const items = Array.from({ length: 230 }, (_, i) =>
	    user(`Message ${i} ${'and more words '.repeat(i % 7)}`));
	const id = await person.talk('Long', items);
	await open(page, person, `/c/${id}`);
	const newest = page.locator('.message').getByText('Message 229');
	await newest.waitFor();
	const count = () => page.locator('.message').count();
	assert.ok(await count() < 230, 'not all at once');
	/* The newest is in sight. */
	assert.ok(await page.evaluate(() => {
		const s = document.querySelector('.thread-scroll');
		return s.scrollHeight - s.scrollTop - s.clientHeight < 2;
	}));
	/* Each page that comes leaves the line under the reader's eyes. */
	for (let n = await count(); n < 230; n = await count()) {
		const moved = await page.evaluate(async (n) => {
			const s = document.querySelector('.thread-scroll');
			s.scrollTop = 30;
			const line = [...document.querySelectorAll('.message')]
			    .find((m) => m.getBoundingClientRect().top > 80);
			const top = line.getBoundingClientRect().top;
			while (document.querySelectorAll('.message').length === n)
				await new Promise(requestAnimationFrame);
			return Math.abs(line.getBoundingClientRect().top - top);
		}, n);
		assert.ok(moved < 3, `the line moved by ${moved} px`);
	}
	const all = await shown(page);
	assert.equal(all.length, 230);
	assert.deepEqual(all, await person.words(id));
	await page.getByRole('button', { name: 'Newest' }).click();
	await shows(() => newest.evaluate((e) =>
	    e.getBoundingClientRect().bottom < innerHeight), true);
});

test('what agents did stands folded between the messages',
    async ({ page, person }) => {
	const id = await person.talk('Agent', [
		user('What is the weather?'),
		{ type: 'reasoning', id: 'rs_1',
		    summary: [{ type: 'summary_text', text: 'Look it up.' }] },
		{ type: 'function_call', call_id: 'c1', name: 'get_weather',
		    arguments: '{"city":"Oslo"}' },
		{ type: 'function_call_output', call_id: 'c1', output: 'rain' },
		{ type: 'brand_new_thing', some: { field: '<b>' } },
		{ type: 'message', role: 'assistant', content: 'It rains.' },
	]);
	await open(page, person, `/c/${id}`);
	await shows(() => shown(page),
	    ['user: What is the weather?', 'assistant: It rains.']);
	const steps = page.locator('.step');
	assert.deepEqual(await page.locator('.step-name').allTextContents(),
	    ['Thought', 'Called a tool', 'Tool result', 'Brand new thing']);
	assert.equal(await steps.nth(1).locator('.step-body').isVisible(), false);
	await steps.nth(1).locator('summary').click();
	await steps.nth(1).getByText('"city": "Oslo"').waitFor();
	await steps.nth(3).locator('summary').click();
	await steps.nth(3).getByText('"field": "<b>"').waitFor();
});

test('what another tab wrote is shown on return, and focus stays',
    async ({ page, person }) => {
	await open(page, person);
	await send(page, 'Here');
	const id = idIn(page);
	await box(page).fill('half a thought');
	await person.talk('Newer', [user('x')]);
	await page.reload();
	await shows(() => rows(page), ['Newer', 'Here']);

	/* The row that has the focus is the one that moves. */
	const row = page.locator('.row', { hasText: 'Here' }).locator('a');
	await row.focus();
	await person.api('POST', `/conversations/${id}/items`,
	    { items: [user('From elsewhere')] });
	await page.evaluate(() =>
	    document.dispatchEvent(new Event('visibilitychange')));
	await shows(() => rows(page), ['Here', 'Newer']);
	await shows(async () => (await shown(page)).at(-1),
	    'user: From elsewhere');
	assert.equal(await row.evaluate((e) => e === document.activeElement), true);
	assert.equal(await box(page).inputValue(), 'half a thought');
});
