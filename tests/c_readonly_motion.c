/*
 * store/readonly of files that change between two looks: what a daemon is about
 * to write is no damage, and what stays so is.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/reader.h"

/*
 * A table of calls in which a file changes between two readings: the opening
 * of motion.name is counted, and as many as motion.times
 * find it gone, or with a bad byte, moving or not.
 */
static struct {
	const char	*name;
	int		 times;
	bool		 is_gone;
	bool		 is_moving;	/* another batch each time */
	const char	*unlisted;	/* passed over in as many listings */
	int		 opened;
	int		 fd;
} motion;

static int
motion_openat(int fd, const char *name, int flags, mode_t mode)
{
	int rc;

	if (motion.name == NULL || strcmp(name, motion.name) != 0)
		return (guard_openat(fd, name, flags, mode));
	if (++motion.opened <= motion.times && motion.is_gone) {
		errno = ENOENT;
		return (-1);
	}
	rc = guard_openat(fd, name, flags, mode);
	motion.fd = motion.opened <= motion.times ? rc : -1;
	return (rc);
}

static ssize_t
motion_read(int fd, void *p, size_t len)
{
	ssize_t n = unguarded->read(fd, p, len);
	static const char *const places[] = { "key-a", "\"x\"", "key-c" };
	const char *place = places[motion.is_moving ? motion.opened % 3 : 0];
	char *at;

	if (fd == motion.fd && n > 0) {
		at = memmem(p, (size_t)n, place, strlen(place));
		assert_non_null(at);
		*at ^= 1;
		motion.fd = -1;
	}
	return (n);
}

static struct dirent *
motion_readdir(DIR *d)
{
	struct dirent *e = unguarded->readdir(d);

	if (e == NULL || motion.unlisted == NULL || motion.times == 0 ||
	    strstr(e->d_name, motion.unlisted) == NULL)
		return (e);
	motion.times--;
	return (unguarded->readdir(d));
}

/* The segment with the first changes. */
#define FIRST	"00000000000000000001"

static struct sight
sight_in_motion(void)
{
	struct sight v = { .rc = -1 };
	struct store *s;

	guard_begin();
	guard.openat = motion_openat;
	guard.read = motion_read;
	guard.readdir = motion_readdir;
	if (open_only(dir, &v, &s) == 0) {
		v.rc = store_each(s, NULL, on_conversation, &v);
		assert_int_equal(store_close(s), 0);
	}
	guard_end();
	memset(&motion, 0, sizeof(motion));
	return (v);
}

/* What a daemon is about to write is no damage; what stays so is. */
static void
journal_in_motion(void **state)
{
	struct sight still, v;

	(void)state;
	crash_quietly(busy);
	still = sight_of(dir);
	assert_int_equal(still.damage + still.odd, 0);

	motion.name = FIRST;
	motion.times = 1;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	/* At another place each time: the last reading counts. */
	motion.name = FIRST;
	motion.times = 1000;
	motion.is_moving = true;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = FIRST;
	motion.times = 1000;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_true(v.damage >= 1);
	assert_non_null(strstr(string(&v.told), "it has damaged places, the "
	    "first before change 3;"));
	sight_fini(&v);
	sight_fini(&still);
}

/* Segments that go meanwhile are looked for again, but not for ever. */
static void
segment_gone(void **state)
{
	struct sight still, v;

	(void)state;
	crash_quietly(busy);
	still = sight_of(dir);
	motion.name = FIRST;
	motion.is_gone = true;
	motion.times = 2;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = FIRST;
	motion.is_gone = true;
	motion.times = 1000;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_true(v.damage >= 1);
	assert_non_null(strstr(string(&v.told), "segments went while"));
	sight_fini(&v);
	sight_fini(&still);
}

/* A name that a listing passes over is there in the next; one that went is
 * no damage. */
static void
names_in_motion(void **state)
{
	struct sight still, v;

	(void)state;
	crash_quietly(busy_and_flushed);
	/* Without the journal, which knows of it too. */
	drop_journal();
	still = sight_of(dir);
	motion.unlisted = "a.json";
	motion.times = 1;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = "b.json";
	motion.is_gone = true;
	motion.times = 1;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage + v.odd, 0);
	assert_null(strstr(string(&v.text), "acme b "));
	assert_non_null(strstr(v.text.data, "acme a "));
	sight_fini(&v);
	sight_fini(&still);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(journal_in_motion),
		TEST(segment_gone),
		TEST(names_in_motion),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
