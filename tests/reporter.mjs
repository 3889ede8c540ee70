/**
 * How tests/all shows the tests in JavaScript: a line a file while all is
 * well, all about a failure, and the counts in the file TEST_COUNTS names.
 */
import fs from 'node:fs';
import path from 'node:path';

const counts = { passed: 0, failed: 0, skipped: 0 };
const files = new Map();

function nameOf(file)
{
	return file === undefined ? '?' : path.basename(file);
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
		const f = files.get(nameOf(data?.file)) ?? { n: 0, began: Date.now() };
		switch (type) {
		case 'test:start':
			files.set(nameOf(data.file), f);
			break;
		case 'test:pass':
			if (!isCounted(data))
				break;
			f.n++;
			if (data.skip !== undefined || data.todo !== undefined) {
				counts.skipped++;
				yield `    skip  ${nameOf(data.file)}: ${data.name}` +
				    ` (${data.skip ?? data.todo})\n`;
			} else
				counts.passed++;
			if (data.details.duration_ms > 15000)
				yield `    slow  ${nameOf(data.file)}: ${data.name} ` +
				    `${(data.details.duration_ms / 1000).toFixed(1)} s\n`;
			break;
		case 'test:fail':
			if (!isCounted(data))
				break;
			f.n++;
			counts.failed++;
			yield `    FAIL  ${nameOf(data.file)}:${data.line ?? 0}: ` +
			    `${data.name}\n${story(data)}\n`;
			break;
		case 'test:stderr':
		case 'test:stdout':
			yield data.message;
			break;
		case 'test:summary':
			if (data.file !== undefined)
				yield `    ${nameOf(data.file)}: ${f.n} tests, ` +
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
