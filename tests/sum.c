/*
 * The XXH3-64 of standard input, in hexadecimal: what a document's last line
 * claims, computed without any code of the daemon.
 */
#include <inttypes.h>
#include <stdio.h>

#include <xxhash.h>

int
main(void)
{
	static char buf[1 << 16];
	XXH3_state_t *state;
	size_t n;

	if ((state = XXH3_createState()) == NULL)
		return (1);
	if (XXH3_64bits_reset(state) != XXH_OK)
		return (1);
	while ((n = fread(buf, 1, sizeof(buf), stdin)) > 0)
		if (XXH3_64bits_update(state, buf, n) != XXH_OK)
			return (1);
	if (ferror(stdin))
		return (1);
	printf("%016" PRIx64 "\n", XXH3_64bits_digest(state));
	XXH3_freeState(state);
	return (0);
}
