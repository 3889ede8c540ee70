/**
 * The start of the page.  The token leaves the address bar before anything
 * else happens, so that no request, bookmark or screenshot can show it.
 */

import {App} from './app.js';
import {keptToken} from './keep.js';
import {tokenIn} from './model/token.js';

/** @returns {string|null} the token of the URL, which is then out of it */
function takeToken() {
	const {hash, pathname, search} = location;

	if (!hash.includes('token='))
		return null;
	history.replaceState(null, '', pathname + search);

	/* A link broken on its way is still a link that was followed. */
	return tokenIn(hash) ?? 'unreadable';
}

const linked = takeToken();
const kept = keptToken();
const app = new App();

if (linked !== null)
	app.signIn(linked);
else if (kept !== null)
	app.enter(kept);
else
	app.ask('none');

/* A link pasted over the address of the open page loads nothing anew. */
addEventListener('hashchange', () => {
	const again = takeToken();

	if (again !== null)
		app.signIn(again);
});
