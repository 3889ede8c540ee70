/**
 * What can be read off a token without its key.  Nothing here decides
 * whether a token is good: the server does that.
 *
 * @typedef {{tenant: string, sub: string, exp: number|null}} Claims
 */

/** What a bearer token is made of (RFC 6750); a header takes nothing else. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;

/**
 * The token in a pasted link or a URL fragment, or a bare token.
 *
 * @param {string} text
 * @returns {string|null} null when there is nothing a header could carry
 */
export function tokenIn(text) {
	const match = /#(?:.*&)?token=([^&\s]*)/.exec(text);
	let token = match ? match[1] : text.trim();

	if (match) {
		try {
			token = decodeURIComponent(token);
		} catch {
			return null;
		}
	}
	return BEARER.test(token) ? token : null;
}

/**
 * The claims of a JWT.
 *
 * @param {string} token
 * @returns {Claims|null} null when it is no JWT
 */
export function claimsOf(token) {
	const parts = token.split('.');

	if (parts.length !== 3)
		return null;
	try {
		const text = atob(parts[1].replaceAll('-', '+')
		    .replaceAll('_', '/'));
		const bytes = Uint8Array.from(text, c => c.charCodeAt(0));
		const claims = JSON.parse(new TextDecoder().decode(bytes));

		return {
			tenant: String(claims.tenant ?? ''),
			sub: String(claims.sub ?? ''),
			exp: typeof claims.exp === 'number' ? claims.exp : null,
		};
	} catch {
		return null;
	}
}

/**
 * A name for the person behind a token, the same for each token of theirs:
 * it keeps the drafts of two people who share a browser apart.
 *
 * @param {string} token
 * @returns {string}
 */
export function whose(token) {
	const claims = claimsOf(token);
	const key = /^rk_(.+)_[0-9a-f]+$/.exec(token);

	if (claims)
		return `${claims.tenant}/${claims.sub}`;
	return key ? key[1] : '';
}

/**
 * @param {string} token
 * @param {number} now milliseconds
 * @returns {boolean} whether it says of itself that its time is over
 */
export function isExpired(token, now) {
	const exp = claimsOf(token)?.exp;

	return typeof exp === 'number' && exp * 1000 <= now;
}
