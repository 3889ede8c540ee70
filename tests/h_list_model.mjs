/**
 * The page's list of conversations and its thread of items, as pure
 * functions: pages that overlap, move or have gaps while others write.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appendPage, dropRow, EMPTY_LIST, nameOf, putRow, refreshTop, titleFrom }
    from '../www/js/model/list.js';
import { appendItems, EMPTY_THREAD, oldestOf, prependPage, refreshEnd,
    unansweredIn } from '../www/js/model/thread.js';

const row = (id, updated_at) => ({ id, updated_at, created_at: 1 });
const page = (data, has_more = false, more = {}) =>
    ({ data, has_more, last_id: data.at(-1)?.id ?? '', ...more });
const ids = (list) => (list.rows ?? list.items).map((c) => c.id).join(' ');

test('pages follow one another, and what moved between them is not doubled',
    () => {
	let list = appendPage(EMPTY_LIST, page([row('c', 3), row('b', 2)], true));
	assert.equal(list.after, 'b');
	list = appendPage(list, page([row('b', 2), row('a', 1)]));
	assert.equal(ids(list), 'c b a');
	assert.equal(list.hasMore, false);
	assert.equal(list.isKnown, true);
});

test('next_after is the cursor where the server gives one', () => {
	const list = appendPage(EMPTY_LIST, page([row('a', 1)], true,
	    { next_after: '1:a' }));
	assert.equal(list.after, '1:a');
});

test('a refreshed top keeps what follows something that has not moved', () => {
	const list = { rows: ['e', 'd', 'c', 'b', 'a'].map((id, n) => row(id, 5 - n)),
	    after: 'a', hasMore: true, isKnown: true };
	const now = refreshTop(list, page([row('new', 9), row('b', 8), row('e', 5),
	    row('d', 4)], true));
	assert.equal(ids(now), 'new b e d c a');
	assert.equal(now.after, 'a');
	assert.equal(now.hasMore, true);
});

test('a refreshed top shows that others deleted', () => {
	const list = { rows: [row('c', 3), row('b', 2), row('a', 1)], after: 'a',
	    hasMore: true, isKnown: true };
	assert.equal(ids(refreshTop(list, page([row('c', 3), row('a', 1)], true))),
	    'c a');
	assert.equal(ids(refreshTop(list, page([]))), '');
});

test('a refreshed top starts over where there may be a gap', () => {
	const list = { rows: [row('b', 2), row('a', 1)], after: 'a', hasMore: true,
	    isKnown: true };
	const now = refreshTop(list, page([row('x', 9), row('y', 8)], true));
	assert.equal(ids(now), 'x y');
	assert.equal(now.after, 'y');
	/* The last one is known but has moved: what follows is unknown too. */
	assert.equal(ids(refreshTop(list, page([row('x', 9), row('b', 8)], true))),
	    'x b');
});

test('a changed conversation comes to the top, an unchanged one stays', () => {
	const list = { rows: [row('b', 2), row('a', 1)], after: 'a', hasMore: false,
	    isKnown: true };
	assert.equal(ids(putRow(list, row('a', 3))), 'a b');
	assert.equal(ids(putRow(list, row('new', 3))), 'new b a');
	const same = putRow(list, { ...row('a', 1), title: 'T' });
	assert.equal(ids(same), 'b a');
	assert.equal(same.rows[1].title, 'T');
	const quick = { ...list, rows: [row('b', 2), { ...row('a', 2), version: 4 }] };
	assert.equal(ids(putRow(quick, { ...row('a', 2), version: 4 })), 'b a');
	assert.equal(ids(putRow(quick, { ...row('a', 2), version: 5 })), 'a b',
	    'two changes within a second');
	assert.equal(ids(dropRow(list, 'b')), 'a');
	assert.equal(ids(list), 'b a', 'the old list is left alone');
});

test('a conversation is known by its title, else its last words', () => {
	assert.equal(nameOf({ title: 'T', preview: 'p' }), 'T');
	assert.equal(nameOf({ title: null, preview: 'a\n b' }), 'a b');
	assert.equal(nameOf({ title: ' \n', preview: null }),
	    'Untitled conversation');
	assert.equal(nameOf(null), 'Untitled conversation');
});

test('a title is the first line with words, cut between words', () => {
	assert.equal(titleFrom('\n  Hello\tthere \nmore'), 'Hello there');
	assert.equal(titleFrom('\0\u0007'), '');
	const long = titleFrom('word '.repeat(40));
	assert.ok(long.endsWith('word…') && long.length <= 60, long);
	const solid = titleFrom('🌼'.repeat(80));
	assert.equal(solid, '🌼'.repeat(59) + '…', 'no character is cut in two');
});

const items = (...names) => names.map((id) => ({ id }));

test('older pages go in front, newest first as the server lists them', () => {
	let thread = refreshEnd(EMPTY_THREAD, page(items('5', '4', '3'), true));
	assert.equal(ids(thread), '3 4 5');
	assert.equal(oldestOf(thread), '3');
	thread = prependPage(thread, page(items('3', '2', '1')));
	assert.equal(ids(thread), '1 2 3 4 5');
	assert.equal(thread.hasOlder, false);
	assert.equal(oldestOf(EMPTY_THREAD), null);
});

test('a refreshed end keeps older items and takes over the changes', () => {
	const thread = { items: items('1', '2', '3', '4', '5'), hasOlder: true,
	    isKnown: true };
	assert.equal(ids(refreshEnd(thread, page(items('7', '6', '5', '3'), true))),
	    '1 2 3 5 6 7');
	assert.equal(ids(refreshEnd(thread, page(items('9', '8'), true))), '8 9');
	assert.equal(ids(refreshEnd(thread, page(items('2', '1')))), '1 2');
	assert.equal(ids(refreshEnd(thread, page([]))), '');
});

test('an item that is there already is not appended again', () => {
	const thread = { items: items('1', '2'), hasOlder: false, isKnown: true };
	assert.equal(ids(appendItems(thread, items('2', '3'))), '1 2 3');
	assert.equal(appendItems(thread, items('2')), thread);
});

test('a user message at the end waits for its answer', () => {
	const of = (...list) => unansweredIn({ items: list });
	assert.equal(of(), null);
	assert.equal(of({ id: 'a', role: 'user' }), 'a');
	assert.equal(of({ id: 'a', role: 'user' }, { id: 'b', role: 'assistant' }),
	    null);
	assert.equal(of({ id: 'a', role: 'user' }, { id: 'f', type: 'reasoning' }),
	    null);
});
