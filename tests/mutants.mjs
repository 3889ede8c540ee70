/**
 * What tests/mutate takes out, one at a time: each sync, each wait for the
 * disk, each unlock, each wake-up, each checksum test, each order of steps.
 *
 * Rules find their places themselves, so that new code is met too; what no
 * rule can say stands in byHand, whose texts a_rules keeps true.
 */

/* C without comments and strings, character for character. */
function blank(source)
{
	return (source.replace(
	    /\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
	    (s) => s.replace(/[^\n]/g, ' ')));
}

/* Where the parenthesis that opens at i closes. */
function closing(text, i)
{
	let depth = 0;

	for (; i < text.length; i++) {
		if (text[i] === '(')
			depth++;
		else if (text[i] === ')' && --depth === 0)
			return (i);
	}
	throw new Error('parentheses do not match');
}

/*
 * kind: what it is called.  call: what stands before its parenthesis.  A
 * call in an expression becomes its success, a statement nothing.
 */
const rules = [
	{ kind: 'fsync', call: /\bsys->fsync(?=\()/g },
	{ kind: 'fdatasync', call: /\bsys->fdatasync(?=\()/g },
	{ kind: 'folder sync', call: /\batomicfile_sync(?=\()/g },
	{ kind: 'wait for the journal', call: /\bjournal_wait(?=\()/g },
	{ kind: 'unlock', call: /\block_give(?=\()/g },
	{ kind: 'wake-up', call: /\bcond_(?:broadcast|signal)(?=\()/g },
];

/* Calls that are made, but whose failure is then not seen. */
const unseen = new RegExp('\\b(?:sys->(?:fsync|fdatasync|renameat)|' +
    'atomicfile_(?:sync|put|write)|sys_(?:pwritevall|writeall)|' +
    'segment_write|journal_wait)(?=\\()', 'g');

/* A definition or declaration is no call: its parameters have types. */
function isCall(code, start)
{
	const line = code.lastIndexOf('\n', start - 1) + 1;

	return (/^\s/.test(code.slice(line, start + 1)) &&
	    !/\b(?:int|void|bool)\s+$/.test(code.slice(line, start)));
}

/**
 * Every mutant of one file.
 * @param {string} file path from the root, such as store/journal.c
 * @param {string} source
 * @returns {{name: string, start: number, end: number, text: string}[]}
 */
export function mutantsOf(file, source)
{
	const code = blank(source), found = [];

	for (const { kind, call } of rules) {
		if (/^store\/(lock|sys)\.c$/.test(file) && kind !== 'fsync')
			continue;
		for (const m of code.matchAll(call)) {
			if (!isCall(code, m.index))
				continue;
			const open = m.index + m[0].length;
			const end = closing(code, open) + 1;
			const line = code.slice(0, m.index).split('\n').length;
			found.push({ name: `${file}:${line} no ${kind}`,
			    start: m.index, end,
			    text: `((void)${source.slice(open, end)}, 0)` });
		}
	}
	for (const m of code.matchAll(unseen)) {
		const end = closing(code, m.index + m[0].length) + 1;
		/* One whose result nobody looks at has none to lose. */
		if (!isCall(code, m.index) ||
		    /\(void\)!?$|^\s*$/.test(code.slice(code.lastIndexOf('\n',
		    m.index) + 1, m.index)) &&
		    /^\s*;/.test(code.slice(end)))
			continue;
		const line = code.slice(0, m.index).split('\n').length;
		found.push({ name: `${file}:${line} failure of ${m[0]} ` +
		    'not seen', start: m.index, end,
		    text: `((void)${source.slice(m.index, end)}, 0)` });
	}
	for (const hand of byHand.filter((h) => h.file === file)) {
		const start = source.indexOf(hand.from);
		if (start === -1 || source.indexOf(hand.from, start + 1) !== -1)
			throw new Error(`${file}: not there exactly once: ` +
			    hand.from);
		const line = source.slice(0, start).split('\n').length;
		found.push({ name: `${file}:${line} ${hand.name}`, start,
		    end: start + hand.from.length, text: hand.to });
	}
	return (found);
}

/** Checksum tests, orders and rules that stand in one place each. */
export const byHand = [
	{ file: 'store/segment_read.c', name: 'no checksum of the batch line',
	    from: 'if (memcmp(line, p, BATCH_SUM) != 0)\n' +
	    '\t\treturn (false);',
	    to: '' },
	{ file: 'store/segment_read.c', name: 'no checksum of the records',
	    from: 'return (memcmp(line, p, SEGMENT_BATCH) == 0);',
	    to: 'return (true);' },
	{ file: 'store/segment.c', name: 'a batch of any segment will do',
	    from: 'hash = XXH3_64bits_withSeed(line, (size_t)n, segment_seed);',
	    to: 'hash = XXH3_64bits(line, (size_t)n);' },
	{ file: 'store/segment.c', name: 'records of any batch will do',
	    from: 'XXH3_64bits_withSeed(b->records.p, b->records.len, seed)',
	    to: 'XXH3_64bits(b->records.p, b->records.len)' },
	{ file: 'store/segment_read.c', name: 'no checksum of the header',
	    from: 'return (memcmp(same, p, SEGMENT_HEADER) == 0);',
	    to: 'return (true);' },
	{ file: 'store/segment.c', name: 'a segment takes the name of another',
	    from: 'O_CREAT | O_EXCL',
	    to: 'O_CREAT' },
	{ file: 'store/segment.c', name: 'a segment has no zeros',
	    from: ' ||\n\t    write_zeros(seg->fd, SEGMENT_HEADER, seg->size) == -1)',
	    to: ')' },
	{ file: 'store/segment_read.c', name: 'lsns may fall',
	    from: 'b->lsn > r->above',
	    to: 'true' },
	{ file: 'store/document_read.c', name: 'no checksum of a document',
	    from: 'r->is_edited = !is_sealed(r->text);',
	    to: 'r->is_edited = false;' },
	{ file: 'store/document_read.c', name: 'a wrong checksum counts as none',
	    from: 'if (has_checksum(text)) {',
	    to: 'if (false) {' },
	{ file: 'store/atomicfile.c', name: 'the name before the bytes',
	    from: '\t/* The bytes first: a crash must not find the name without them. */\n' +
	    '\tif (sys->fsync(fd) == -1)\n' +
	    '\t\tgoto fail_open;\n',
	    to: '\tif (sys->renameat(dirfd, tmp, dirfd, name) == -1 ||\n' +
	    '\t    sys->fsync(fd) == -1)\n' +
	    '\t\tgoto fail_open;\n' +
	    '\t(void)sys->close(fd);\n' +
	    '\treturn (0);\n' },
	{ file: 'store/journal_writer.c', name: 'a failed segment is used again',
	    from: '\tjournal_writer_close(j);\n' +
	    '\tif (drain(j) == 0) {\n' +
	    '\t\tlog_warnx',
	    to: '\tif (drain(j) == 0) {\n' +
	    '\t\tlog_warnx' },
	{ file: 'store/journal_writer.c', name: 'kept time counts from an older record',
	    from: '\tk->covered_at = -1;\n' +
	    '\n' +
	    '\t/* Who hears',
	    to: '\t/* Who hears' },
	{ file: 'store/journal_retire.c', name: 'segments go before documents have it',
	    from: '(k->covered_at == -1 ||\n\t    now - k->covered_at < keep_ms)',
	    to: '(now - k->covered_at < keep_ms)' },
	{ file: 'store/flush_pass.c', name: 'what is held goes with its segment',
	    from: 'if (h->lsn < below)\n\t\t\tbelow = h->lsn;',
	    to: ';' },
	{ file: 'store/quarantine.c', name: 'what is set aside takes a name again',
	    from: 'while (sys->fstatat(s->quarantinefd, name, &st,\n' +
	    '\t    AT_SYMLINK_NOFOLLOW) == 0);',
	    to: 'while ((void)st, false);' },
	{ file: 'store/replay.c', name: 'what a document holds is replayed again',
	    from: 'if (c->is_deleted || r->lsn <= c->lsn)\n' +
	    '\t\treturn (0);\n' +
	    '\t/* Of what',
	    to: 'if (c->is_deleted)\n' +
	    '\t\treturn (0);\n' +
	    '\t/* Of what' },
	{ file: 'store/replay.c', name: 'changes of another birth apply',
	    from: 'if (strcmp(r->birth, c->birth) != 0)\n' +
	    '\t\treturn (0);',
	    to: '' },
	{ file: 'store/replay.c', name: 'a missing version does not matter',
	    from: 'if (r->version == c->version + 1)\n' +
	    '\t\treturn (1);',
	    to: 'return (1);' },
	{ file: 'store/replay.c', name: 'a gap in a copy is damage',
	    from: 'else if (!v->report.is_copy)\n' +
	    '\t\treturn (lost_gap(v, c, r));',
	    to: 'else\n\t\treturn (lost_gap(v, c, r));' },
	{ file: 'store/segment_read.c', name: 'every segment counts as copied',
	    from: 'rep->is_copy = h->inode != inode;',
	    to: 'rep->is_copy = true;' },
	{ file: 'store/replay.c', name: 'a creation undoes a later tombstone',
	    from: 'return (there->is_deleted && r->lsn > there->lsn);',
	    to: 'return (there->is_deleted);' },
	{ file: 'store/recover.c', name: 'the last batch is not written again',
	    from: 'v->tail_last > v->durable &&\n' +
	    '\t    !v->has_hole',
	    to: 'false && !v->has_hole' },
	{ file: 'store/recover.c', name: 'names of segments are no numbers',
	    from: '(void)visit_label(v->v[i].name, v);',
	    to: '' },
	{ file: 'store/recover.c', name: 'names set aside are no numbers',
	    from: 'quarantine_each(s, visit_label, v) == -1',
	    to: '(void)visit_label, false' },
	{ file: 'store/replay.c', name: 'documents read at a start do not count',
	    from: 'if (lsn > v->max)\n\t\tv->max = lsn;',
	    to: '' },
	{ file: 'store/recover.c', name: 'numbers may be given twice after a start',
	    from: 'journal_raise(s->journal, v->max);',
	    to: '' },
	{ file: 'store/load.c', name: 'a loaded document does not raise the numbers',
	    from: 'journal_raise(l->tenant->store->journal, l->lsn);',
	    to: '' },
	{ file: 'store/sweep.c', name: 'tombstones go too early',
	    from: 'now - 2 * s->o.keep_ms',
	    to: 'now - s->o.keep_ms' },
	{ file: 'store/flush_write.c', name: 'a tombstone has another name',
	    from: 'document_name(c->id, name);\n\trc = put(',
	    to: 'document_name(c->is_deleted ? "gone" : c->id, name);\n' +
	    '\trc = put(' },
	{ file: 'store/once.c', name: 'the same key with another body is a retry',
	    from: 'if (memcmp(r->body, o->body, sizeof(r->body)) != 0)',
	    to: 'if (false)' },
	{ file: 'store/once.c', name: 'a retry of another body is one',
	    from: 'if (memcmp((*r_r)->body, o->body, sizeof(o->body)) == 0)',
	    to: 'if (true)' },
	{ file: 'fcgi/worker_exchange.c', name: 'replies leave before they are durable',
	    from: 'if (ex->reply.lsn <= store_durable(ex->req.edge->store))',
	    to: 'if (true)' },
	{ file: 'store/sys.c', name: 'an interrupted write is an error',
	    from: 'if (n == -1 && errno == EINTR)\n' +
	    '\t\t\tcontinue;\n' +
	    '\t\t/* A write of nothing',
	    to: '/* A write of nothing' },
	{ file: 'store/sys.c', name: 'a short write is a whole one',
	    from: 'p += n;\n' +
	    '\t\tlen -= (size_t)n;',
	    to: 'len = 0;' },
];
