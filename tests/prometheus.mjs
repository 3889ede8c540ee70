/**
 * A strict reader of Prometheus' text format 0.0.4 and of the rules by which
 * names are given: what it takes, Prometheus takes, and some more is refused.
 */
import assert from 'node:assert/strict';

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const sampleLine = new RegExp(
    `^(${name})(?:\\{(${label}(?:,${label})*)\\})? (\\S+)$`);
const number = /^(?:\+Inf|\d+(?:\.\d+)?)$/;
const types = new Set(['counter', 'gauge', 'histogram']);

function readLabels(text)
{
	const labels = {};
	for (const [, key, value] of (text ?? '').matchAll(
	    /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
		assert.ok(!(key in labels), `label ${key} twice`);
		labels[key] = value.replace(/\\(.)/g, (_, c) =>
		    c === 'n' ? '\n' : c);
	}
	return (labels);
}

const keyOf = (labels) => JSON.stringify(Object.entries(labels).sort());

/* Each histogram by its labels but for le: buckets rise, and add up. */
function checkHistogram(family)
{
	const sets = new Map();
	for (const s of family.samples) {
		const { le, ...rest } = s.labels;
		const set = sets.get(keyOf(rest)) ?? { buckets: [] };
		sets.set(keyOf(rest), set);
		if (s.name.endsWith('_bucket')) {
			assert.ok(number.test(le), `le="${le}"`);
			set.buckets.push([le === '+Inf' ? Infinity : Number(le),
			    s.value]);
		} else {
			assert.equal(le, undefined);
			set[s.name.slice(family.name.length + 1)] = s.value;
		}
	}
	for (const [key, set] of sets) {
		const what = `${family.name} ${key}`;
		assert.ok(set.buckets.length > 1, what);
		set.buckets.forEach(([le, n], i) => {
			if (i > 0) {
				assert.ok(le > set.buckets[i - 1][0], what);
				assert.ok(n >= set.buckets[i - 1][1], what);
			}
		});
		const [last, count] = set.buckets.at(-1);
		assert.equal(last, Infinity, what);
		assert.equal(count, set.count, what);
		assert.ok(set.sum >= 0, what);
		assert.ok(set.sum > 0 || set.count === 0 || set.buckets[0][1] > 0,
		    what);
	}
}

function checkNames({ name, type, samples })
{
	assert.match(name, /^(rememberd|process)_[a-z][a-z0-9_]*[a-z0-9]$/);
	assert.equal(name.endsWith('_total'), type === 'counter',
	    `${name} is a ${type}`);
	assert.doesNotMatch(name, /_(ms|us|ns|milli\w*|micro\w*|minutes|hours|kb|mb|kib|mib|kilobytes|megabytes|percent)(_|$)/,
	    'base units');
	for (const s of samples)
		for (const key of Object.keys(s.labels))
			assert.match(key, /^[a-z][a-z0-9_]*$/);
}

/** The text, taken apart: families by name, and value(sample, labels). */
export function readMetrics(text)
{
	const families = new Map(), seen = new Map();
	let family;

	assert.ok(text.endsWith('\n'), 'the last line ends');
	for (const line of text.slice(0, -1).split('\n')) {
		const help = /^# HELP (\S+) (\S.*)$/.exec(line);
		const type = /^# TYPE (\S+) (\S+)$/.exec(line);
		if (help !== null) {
			assert.ok(!families.has(help[1]), `${help[1]} begins twice`);
			assert.match(help[1], new RegExp(`^${name}$`));
			family = { name: help[1], help: help[2], samples: [] };
			families.set(family.name, family);
		} else if (type !== null) {
			assert.equal(type[1], family?.name, 'TYPE follows HELP');
			assert.equal(family.type, undefined);
			assert.ok(types.has(type[2]), line);
			family.type = type[2];
		} else {
			const m = sampleLine.exec(line);
			assert.ok(m !== null, `no sample: ${line}`);
			assert.ok(family?.type !== undefined, `TYPE first: ${line}`);
			const suffix = m[1].startsWith(family.name) ?
			    m[1].slice(family.name.length) : null;
			assert.ok((family.type === 'histogram' ?
			    ['_bucket', '_sum', '_count'] : ['']).includes(suffix),
			    `${line} stands under ${family.name}`);
			assert.match(m[3], number);
			const s = { name: m[1], labels: readLabels(m[2]),
			    value: Number(m[3].replace('+Inf', 'Infinity')) };
			const key = s.name + keyOf(s.labels);
			assert.ok(!seen.has(key), `twice: ${line}`);
			seen.set(key, s.value);
			family.samples.push(s);
		}
	}
	for (const f of families.values()) {
		assert.ok(f.type !== undefined, `${f.name} has a type`);
		checkNames(f);
		if (f.type === 'histogram')
			checkHistogram(f);
	}
	return ({ families, value: (sample, labels = {}) =>
	    seen.get(sample + keyOf(labels)) });
}
