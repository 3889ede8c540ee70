/**
 * What an item of a conversation looks like to a reader.  Unknown types are
 * normal here: the store keeps whatever agents write.
 *
 * @typedef {import('./thread.js').Item} Item
 *
 * @typedef {{kind: 'text'|'aside', text: string}} Piece
 *	aside: not words of the message but a note about a part of it
 *
 * @typedef {object} Shown
 * @property {'message'|'step'} kind	a step is what an agent did in between
 * @property {string} who		role of a message; name of a step
 * @property {string} gist		one line about a step
 * @property {Piece[]} pieces
 */

/** @param {string} text @returns {Piece} */
const say = text => ({kind: 'text', text});

/** @param {string} text @returns {Piece} */
const note = text => ({kind: 'aside', text});

/**
 * @param {Item} item
 * @returns {Shown}
 */
export function show(item) {
	const type = item.type ?? 'message';

	if (type === 'message') {
		return {
			kind: 'message',
			who: String(item.role ?? ''),
			gist: '',
			pieces: piecesOf(item.content),
		};
	}
	/* A type may be called anything, "constructor" too. */
	const step = (Object.hasOwn(STEPS, type) ? STEPS[type] : other)(item);

	return {kind: 'step', who: step.name, gist: lineOf(step.gist ?? ''),
	    pieces: step.pieces.filter(p => p.text !== '')};
}

/**
 * The words of an item, as they are read aloud.
 *
 * @param {Item} item
 * @returns {string}
 */
export function plainText(item) {
	return show(item).pieces.map(p => p.text).join('\n');
}

/**
 * @typedef {{name: string, gist?: string, pieces: Piece[]}} Step
 * @type {Record<string, (item: Item) => Step>}
 */
const STEPS = {
	function_call: i => ({name: 'Called a tool', gist: i.name,
	    pieces: [say(pretty(i.arguments))]}),
	function_call_output: i => ({name: 'Tool result',
	    gist: gistOf(i.output), pieces: resultOf(i.output)}),
	custom_tool_call: i => ({name: 'Called a tool', gist: i.name,
	    pieces: [say(pretty(i.input))]}),
	custom_tool_call_output: i => ({name: 'Tool result',
	    gist: gistOf(i.output), pieces: resultOf(i.output)}),
	mcp_call: i => ({name: 'Called a tool',
	    gist: `${i.server_label ?? ''} ${i.name ?? ''}`,
	    pieces: [say(pretty(i.arguments)), say(pretty(i.output)),
	    say(pretty(i.error))]}),
	reasoning: i => ({name: 'Thought',
	    gist: gistOf(i.summary), pieces: thoughtsOf(i)}),
	web_search_call: i => ({name: 'Searched the web',
	    gist: i.action?.query ?? i.action?.url ?? '',
	    pieces: [say(pretty(i.action))]}),
	file_search_call: i => ({name: 'Searched files',
	    gist: joined(i.queries, ', '),
	    pieces: [say(pretty(i.results ?? i.queries))]}),
	code_interpreter_call: i => ({name: 'Ran code', gist: i.code ?? '',
	    pieces: [say(pretty(i.code)), say(pretty(i.outputs))]}),
	local_shell_call: i => ({name: 'Ran a command',
	    gist: joined(i.action?.command, ' '),
	    pieces: [say(pretty(i.action))]}),
	shell_call: i => ({name: 'Ran a command',
	    gist: joined(i.action?.commands, '; '),
	    pieces: [say(pretty(i.action))]}),
};

/** @param {Item} item @returns {Step} */
function other(item) {
	const rest = {...item};

	/* What the page asked the server to add is not the item's own. */
	for (const key of ['created_at', 'created_at_ms', 'position'])
		delete rest[key];
	return {name: titled(String(item.type)), gist: '',
	    pieces: [say(pretty(rest))]};
}

/** What a tool gave back, which often is JSON.
 * @param {unknown} output @returns {Piece[]} */
function resultOf(output) {
	return piecesOf(output).map(piece =>
	    ({...piece, text: pretty(piece.text)}));
}

/** @param {Item} item @returns {Piece[]} */
function thoughtsOf(item) {
	const pieces = [...piecesOf(item.summary), ...piecesOf(item.content)];

	if (pieces.length)
		return pieces;
	return [note(item.encrypted_content ?
	    'Kept encrypted.' : 'No summary.')];
}

/**
 * The pieces of a content: a string, or an array of parts.
 *
 * @param {unknown} content
 * @returns {Piece[]}
 */
function piecesOf(content) {
	if (Array.isArray(content))
		return content.map(pieceOf);
	return content === undefined || content === null ? [] :
	    [say(typeof content === 'string' ? content : pretty(content))];
}

/** @param {any} part @returns {Piece} */
function pieceOf(part) {
	if (typeof part?.text === 'string')
		return say(part.text);
	switch (part?.type) {
	case 'refusal':
		return say(String(part.refusal ?? ''));
	case 'input_image':
	case 'computer_screenshot':
		return note('Image: ' + source(part.image_url ?? part.file_id));
	case 'input_file':
		return note('File: ' + source(part.filename ?? part.file_url ??
		    part.file_id));
	default:
		return note(pretty(part));
	}
}

/** An address in words; embedded data would be pages of letters.
 * @param {unknown} where */
function source(where) {
	const text = String(where ?? 'embedded');

	return text.startsWith('data:') ? 'embedded' : text;
}

/** @param {unknown} content */
function gistOf(content) {
	return piecesOf(content)[0]?.text ?? '';
}

/**
 * JSON laid out for reading; text that is no JSON as it is.
 *
 * @param {unknown} value
 * @returns {string}
 */
function pretty(value) {
	if (value === undefined || value === null)
		return '';
	if (typeof value !== 'string')
		return JSON.stringify(value, null, 2);
	try {
		const parsed = JSON.parse(value);
		const isTree = parsed !== null && typeof parsed === 'object';

		return isTree && isExact(value, parsed) ?
		    JSON.stringify(parsed, null, 2) : value;
	} catch {
		return value;
	}
}

/**
 * Whether laying text out anew keeps every token of it: a number such as
 * 12345678901234567890 or 1.0 would come out as another one.
 *
 * @param {string} text
 * @param {unknown} parsed
 */
function isExact(text, parsed) {
	const tight = text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');

	return JSON.stringify(parsed) === tight;
}

/** @param {unknown} words @param {string} between */
function joined(words, between) {
	return Array.isArray(words) ? words.join(between) : pretty(words);
}

/** @param {string} text */
function lineOf(text) {
	const line = String(text).replace(/\s+/g, ' ').trim();

	return line.length > 120 ? line.slice(0, 119) + '…' : line;
}

/** image_generation_call as words.
 * @param {string} type */
function titled(type) {
	const words = type.replace(/[_.:-]+/g, ' ').trim();

	return words.charAt(0).toUpperCase() + words.slice(1);
}
