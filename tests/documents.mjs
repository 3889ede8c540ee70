/**
 * The store's files, read without any code of the daemon.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { must, root, scratch, walk } from './harness.mjs';

let summer;

/** XXH3-64 of bytes, in hexadecimal. */
function sum(bytes)
{
	if (summer === undefined) {
		const dir = scratch();
		process.on('exit', () =>
		    fs.rmSync(dir, { recursive: true, force: true }));
		summer = path.join(dir, 'sum');
		must(['cc', '-o', summer, path.join(root, 'tests/sum.c'),
		    '-lxxhash']);
	}
	const r = spawnSync(summer, { input: bytes, encoding: 'utf8' });
	assert.equal(r.status, 0);
	return (r.stdout.trim());
}

/** Every document under tenants/ of a store. */
export function documents(store)
{
	return walk(path.join(store, 'tenants')).filter((f) =>
	    f.endsWith('.json'));
}

/** The document of a conversation, or undefined. */
export function documentOf(store, id)
{
	return documents(store).find((f) => path.basename(f) === `${id}.json`);
}

/** Journal segments, oldest first. */
export function segments(store)
{
	const dir = path.join(store, 'journal');
	return fs.readdirSync(dir).filter((f) => /^\d{20}(-\d{6})?$/.test(f)).sort()
	    .map((f) => path.join(dir, f));
}

/**
 * A document is whole: valid JSON that ends in a newline, whose last line is
 * the checksum of all bytes before that line.  Returns what it says.
 */
export function checkDocument(file)
{
	const bytes = fs.readFileSync(file);
	assert.equal(bytes.at(-1), 10, `${file} ends in a newline`);
	const at = bytes.lastIndexOf(10, bytes.length - 2) + 1;
	const last = bytes.subarray(at).toString('utf8');
	const claim = /^"checksum":"xxh3:([0-9a-f]{16})"\}$/m.exec(last)?.[1];
	assert.ok(claim !== undefined, `${file}: the last line is ${last}`);
	assert.equal(sum(bytes.subarray(0, at)), claim, `${file}: checksum`);
	const value = JSON.parse(bytes.toString('utf8'));
	assert.ok(Number.isInteger(value.format), `${file}: format`);
	return (value);
}
