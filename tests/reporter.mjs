/**
 * How tests/all shows the tests in JavaScript: a line a file while all is
 * well, all about a failure, and the counts in the file TEST_COUNTS names.
 */
import fs from 'node:fs';
import path from 'node:path';

const counts = { passed: 0, failed: 0, skipped: 0 };

function nameOf(file)
{
	return file === undefined ? '?' : path.basename(file);
}

/* Tests made by the harness's suite() name their file themselves. */
function titleOf(data)
{
	return nameOf(data.file) === 'harness.mjs' ? data.name :
	    `${path.basename(data.file ?? '?', '.mjs')}: ${data.name}`;
}

function story(data)
{
	const e = data.details?.error;
	const cause = e?.cause ?? e;
	const text = cause?.stack ?? cause?.message ?? String(cause ?? e);
	return text.split('\n').map((l) => `      ${l}`).join('\n');
}

/* A file that could not run is a failure, though it is no test. */
function isCounted(data)
{
	return data.details?.type !== 'suite';
}

export default async function* reporter(source)
{
	const began = Date.now();
	for await (const { type, data } of source) {
		switch (type) {
		case 'test:pass':
			if (!isCounted(data))
				break;
			if (data.skip !== undefined || data.todo !== undefined) {
				counts.skipped++;
				yield `    skip  ${titleOf(data)}` +
				    ` (${data.skip ?? data.todo})\n`;
			} else
				counts.passed++;
			if (data.details.duration_ms > 15000)
				yield `    slow  ${titleOf(data)} ` +
				    `${(data.details.duration_ms / 1000).toFixed(1)} s\n`;
			break;
		case 'test:fail':
			if (!isCounted(data))
				break;
			counts.failed++;
			yield `    FAIL  ${titleOf(data)}\n${story(data)}\n`;
			break;
		case 'test:stderr':
		case 'test:stdout':
			yield data.message;
			break;
		case 'test:summary':
			if (data.file !== undefined)
				yield `    ${nameOf(data.file)}: ` +
				    `${data.counts.tests} tests, ` +
				    `${(data.duration_ms / 1000).toFixed(1)} s\n`;
			break;
		}
	}
	yield `    ${counts.passed} passed, ${counts.failed} failed, ` +
	    `${counts.skipped} skipped in ` +
	    `${((Date.now() - began) / 1000).toFixed(1)} s\n`;
	if (process.env.TEST_COUNTS !== undefined)
		fs.writeFileSync(process.env.TEST_COUNTS,
		    `${counts.passed} ${counts.failed} ${counts.skipped}\n`);
}
