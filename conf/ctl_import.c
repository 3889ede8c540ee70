#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/err.h>
#include <jansson.h>

#include "store/jsonscan.h"

#include "conf.h"
#include "ctl.h"
#include "feed.h"
#include "progress.h"

/* What was read since the last end of an export. */
struct reading {
	FILE		*in;
	const char	*name;
	struct progress	*progress;
	uint64_t	 bytes;
	size_t		 number;	/* of the line */
	uint64_t	 conversations;
	uint64_t	 items;
	bool		 is_ended;	/* by an end that fits */
	bool		 is_wrong;	/* an end that does not */
};

static void
count_items(struct reading *r, struct span line)
{
	struct jsonscan it;
	struct span array, key, val;

	r->conversations++;
	r->is_ended = false;
	if (!jsonscan_get(line, "items", &array))
		return;
	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val))
		r->items++;
}

/* Does the end of an export say what stood before it? */
static void
check_end(struct reading *r, struct span line)
{
	uint64_t conversations = 0, items = 0;
	struct span s;

	if (jsonscan_get(line, "conversations", &s))
		(void)jsonscan_u64(s, &conversations);
	if (jsonscan_get(line, "items", &s))
		(void)jsonscan_u64(s, &items);
	r->is_ended = true;
	if (conversations != r->conversations || items != r->items) {
		warnx("%s: line %zu: %" PRIu64 " conversations with %" PRIu64
		    " items were exported, but here are %" PRIu64 " with %"
		    PRIu64, r->name, r->number, conversations, items,
		    r->conversations, r->items);
		r->is_wrong = true;
	}
	r->conversations = r->items = 0;
}

/* Feed every line.  Returns 0, or -1 after saying why it went no further. */
static int
read_lines(struct reading *r, struct feed *f)
{
	struct span line, s;
	char *p = NULL;
	size_t size = 0;
	ssize_t len;
	int rc = 0;

	while (rc == 0 && (len = getline(&p, &size, r->in)) != -1) {
		r->number++;
		r->bytes += (size_t)len;
		/* Half a line may be JSON by chance, but is no conversation. */
		if (p[len - 1] != '\n') {
			r->is_ended = false;
			break;
		}
		line = (struct span){ p, (size_t)len - 1 };
		if (jsonscan_get(line, "export", &s))
			check_end(r, line);
		else if (line.len > 0)
			count_items(r, line);
		rc = feed_line(f, line.p, line.len);
		progress_at(r->progress, r->bytes);
	}
	if (ferror(r->in)) {
		warn("%s", r->name);
		rc = -1;
	}
	free(p);
	return (rc);
}

void
ctl_show_counts(const struct ctl_args *args, const struct feed_counts *c)
{

	if (args->is_json)
		printf("{\"imported\":%" PRIu64 ",\"replaced\":%" PRIu64
		    ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64
		    ",\"items\":%" PRIu64 ",\"tenants\":%" PRIu64 "}\n",
		    c->imported, c->replaced, c->skipped, c->failed, c->items,
		    c->tenants);
	else
		printf("imported %" PRIu64 ", replaced %" PRIu64 ", skipped %"
		    PRIu64 ", failed %" PRIu64 ", items %" PRIu64 "\n",
		    c->imported, c->replaced, c->skipped, c->failed,
		    c->items);
	(void)fflush(stdout);
}

int
ctl_import(const struct ctl_args *args, const struct conf *conf)
{
	struct reading r = { .in = stdin, .name = "stdin", .is_ended = false };
	struct feed_counts counts;
	struct feed *f;
	struct stat st;
	int rc;

	if (args->words[0] != NULL && strcmp(args->words[0], "-") != 0) {
		r.name = args->words[0];
		if ((r.in = fopen(r.name, "r")) == NULL) {
			warn("%s", r.name);
			return (EXIT_FAILURE);
		}
	}
	if ((f = feed_new(conf, args->tenant, args->is_forced)) == NULL) {
		(void)fclose(r.in);
		return (EXIT_FAILURE);
	}
	r.progress = progress_new("import", fstat(fileno(r.in), &st) == 0 &&
	    S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
	rc = read_lines(&r, f);
	if (feed_end(f, &counts) == -1)
		rc = -1;
	progress_end(r.progress);
	(void)fclose(r.in);
	ctl_show_counts(args, &counts);
	if (rc == -1)
		warnx("stopped: run it again to go on, what is there is "
		    "skipped");
	else if (!r.is_ended)
		warnx("%s: the end of the export is missing: it was cut off",
		    r.name);
	return (rc == -1 || !r.is_ended || r.is_wrong || counts.failed > 0 ?
	    EXIT_FAILURE : EXIT_SUCCESS);
}
