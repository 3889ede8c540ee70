#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sys.h"

#include "progress.h"

/* Nothing before, then so often. */
#define QUIET_MS	1000
#define BAR_MS		100
#define LINE_MS		5000

#define BAR_WIDTH	40
/* Back to the first column, and all from there on away. */
#define CLEAR		"\r\033[K"

struct progress {
	FILE		*out;
	bool		 is_terminal;
	bool		 is_shown;	/* a bar stands in the last line */
	bool		 has_spoken;
	int64_t		(*clock_ms)(void);
	int64_t		 next;		/* when to show it again */
	const char	*title;
	uint64_t	 total;
	uint64_t	 n;
};

struct progress *
progress_open(FILE *out, bool is_terminal, int64_t (*clock_ms)(void),
    const char *title, uint64_t total)
{
	struct progress *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (NULL);
	p->out = out;
	p->is_terminal = is_terminal;
	p->clock_ms = clock_ms;
	p->next = clock_ms() + QUIET_MS;
	p->title = title;
	p->total = total;
	return (p);
}

struct progress *
progress_new(const char *title, uint64_t total)
{

	return (progress_open(stderr, isatty(STDERR_FILENO) == 1,
	    sys_monotonic_ms, title, total));
}

/* The part of 100 that is done. */
static unsigned int
percent(const struct progress *p)
{

	return ((unsigned int)((double)p->n * 100 / (double)p->total));
}

static void
show_bar(struct progress *p)
{
	char bar[BAR_WIDTH + 1];

	fprintf(p->out, CLEAR "%s ", p->title);
	if (p->total > 0) {
		memset(bar, ' ', BAR_WIDTH);
		memset(bar, '#', percent(p) * BAR_WIDTH / 100);
		bar[BAR_WIDTH] = '\0';
		fprintf(p->out, "[%s] %3u%% ", bar, percent(p));
	}
	fprintf(p->out, "%" PRIu64, p->n);
	p->is_shown = true;
}

static void
show_line(struct progress *p)
{

	fprintf(p->out, "%s: %" PRIu64, p->title, p->n);
	if (p->total > 0)
		fprintf(p->out, " of %" PRIu64 " (%u%%)", p->total,
		    percent(p));
	fputc('\n', p->out);
}

static void
show(struct progress *p)
{

	if (p->is_terminal)
		show_bar(p);
	else
		show_line(p);
	(void)fflush(p->out);
	p->has_spoken = true;
}

void
progress_at(struct progress *p, uint64_t n)
{
	int64_t now;

	if (p == NULL)
		return;
	p->n = n;
	/* There is more than was thought. */
	if (p->total > 0 && n > p->total)
		p->total = n;
	if ((now = p->clock_ms()) < p->next)
		return;
	p->next = now + (p->is_terminal ? BAR_MS : LINE_MS);
	show(p);
}

void
progress_hide(struct progress *p)
{

	if (p == NULL || !p->is_shown)
		return;
	fputs(CLEAR, p->out);
	(void)fflush(p->out);
	p->is_shown = false;
}

void
progress_end(struct progress *p)
{

	if (p == NULL)
		return;
	if (p->is_terminal)
		progress_hide(p);
	else if (p->has_spoken)
		show(p);
	free(p);
}
