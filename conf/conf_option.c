#include <sys/types.h>
#include <sys/un.h>

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "store/log.h"

#include "conf.h"
#include "conf_internal.h"

#define KIB		((uint64_t)1 << 10)
#define MIB		((uint64_t)1 << 20)
#define GIB		((uint64_t)1 << 30)
#define TIB		((uint64_t)1 << 40)
#define SECOND		((uint64_t)1000)
#define HOUR		(3600 * SECOND)
#define DAY		(24 * HOUR)

#define OPTION(name, value, kind, min, max) \
	{ #name, value, kind, offsetof(struct conf, name), min, max }

const struct conf_option conf_options[] = {
	OPTION(store, "/var/lib/rememberd", KIND_PATH, 0, 0),
	OPTION(cache, "/var/cache/rememberd", KIND_PATH, 0, 0),
	OPTION(socket, "/run/rememberd/fcgi.sock", KIND_SOCKET, 0, 0),
	OPTION(socket_mode, "0660", KIND_MODE, 0, 0777),
	OPTION(control_socket, "/run/rememberd/control.sock", KIND_SOCKET,
	    0, 0),
	OPTION(jwt_secret_file, "", KIND_FILE, 0, 0),
	OPTION(workers, "2", KIND_COUNT, 1, 256),
	OPTION(helpers, "4", KIND_COUNT, 1, 256),
	OPTION(flush_interval, "60s", KIND_DURATION, 10, 7 * DAY),
	OPTION(journal_keep, "1h", KIND_DURATION, 0, 365 * DAY),
	OPTION(journal_limit, "64M", KIND_SIZE, 64 * KIB, TIB),
	OPTION(journal_segment, "16M", KIND_SIZE, 64 * KIB, GIB),
	OPTION(disk_reserve, "64M", KIND_SIZE, 0, TIB),
	OPTION(strict_recovery, "off", KIND_SWITCH, 0, 0),
	OPTION(max_body, "32M", KIND_SIZE, KIB, GIB),
	OPTION(max_item, "8M", KIND_SIZE, KIB, GIB),
	OPTION(max_items_per_request, "1000", KIND_COUNT, 1, 100000),
	OPTION(once_limit, "4096", KIND_COUNT, 1, 1000000),
	OPTION(request_timeout, "60s", KIND_DURATION, 100, 24 * HOUR),
	OPTION(log_level, "info", KIND_LEVEL, 0, 0),
};
const size_t conf_noptions = sizeof(conf_options) /
    sizeof(conf_options[0]);

struct unit {
	const char	*suffix;
	uint64_t	 factor;
};

static const struct unit sizes[] = {
	{ "", 1 }, { "K", KIB }, { "M", MIB }, { "G", GIB }, { "T", TIB },
	{ NULL, 0 }
};

static const struct unit durations[] = {
	{ "", SECOND }, { "ms", 1 }, { "s", SECOND }, { "m", 60 * SECOND },
	{ "h", HOUR }, { "d", DAY },
	{ NULL, 0 }
};

/*
 * Read decimal digits and one of the units' suffixes.  Returns 0 and the
 * product, or -1 if there is anything else or it does not fit.
 */
static int
parse_number(const char *s, const struct unit *units, uint64_t *value_r)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)*s))
		return (-1);
	for (; isdigit((unsigned char)*s); s++) {
		if (n > (UINT64_MAX - 9) / 10)
			return (-1);
		n = n * 10 + (uint64_t)(*s - '0');
	}
	for (; units->suffix != NULL; units++) {
		if (strcmp(s, units->suffix) == 0)
			break;
	}
	if (units->suffix == NULL || n > UINT64_MAX / units->factor)
		return (-1);
	*value_r = n * units->factor;
	return (0);
}

/* Write v with the largest unit that divides it. */
static void
format_number(char *buf, size_t size, const struct unit *units, uint64_t v)
{
	const struct unit *best = &units[0];
	const struct unit *u;

	for (u = units; u->suffix != NULL; u++) {
		if (v % u->factor == 0 && (v % best->factor != 0 ||
		    u->factor >= best->factor) && v >= u->factor)
			best = u;
	}
	snprintf(buf, size, "%llu%s",
	    (unsigned long long)(v / best->factor), best->suffix);
}

static const struct unit *
kind_units(enum conf_kind kind)
{
	static const struct unit none[] = { { "", 1 }, { NULL, 0 } };

	if (kind == KIND_SIZE)
		return (sizes);
	if (kind == KIND_DURATION)
		return (durations);
	return (none);
}

void
conf_option_expects(const struct conf_option *o, char *buf, size_t size)
{
	char max[32], min[32];

	switch (o->kind) {
	case KIND_PATH:
		strlcpy(buf, "a path", size);
		return;
	case KIND_FILE:
		strlcpy(buf, "a readable file", size);
		return;
	case KIND_SOCKET:
		snprintf(buf, size, "a path of 1 to %zu bytes",
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		return;
	case KIND_MODE:
		strlcpy(buf, "an octal mode such as \"0660\"", size);
		return;
	case KIND_LEVEL:
		strlcpy(buf, "error, warn, info or debug", size);
		return;
	case KIND_SWITCH:
		strlcpy(buf, "on or off", size);
		return;
	case KIND_COUNT:
	case KIND_SIZE:
	case KIND_DURATION:
		break;
	}
	format_number(min, sizeof(min), kind_units(o->kind), o->min);
	format_number(max, sizeof(max), kind_units(o->kind), o->max);
	snprintf(buf, size, "a %s from %s to %s",
	    o->kind == KIND_COUNT ? "number" : o->kind == KIND_SIZE ?
	    "size (bytes, or with K, M, G, T)" :
	    "duration (seconds, or with ms, s, m, h, d)", min, max);
}

/* Put a copy of value into *member; "" becomes NULL if that is allowed. */
static int
set_path(const struct conf_option *o, char **member, const char *value)
{
	char *copy = NULL;

	if (*value == '\0' && o->kind != KIND_FILE)
		return (1);
	if (*value != '\0' && o->kind == KIND_FILE &&
	    access(value, R_OK) == -1)
		return (1);
	if (o->kind == KIND_SOCKET && strlen(value) >=
	    sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return (1);
	if (*value != '\0' && (copy = strdup(value)) == NULL)
		return (-1);
	free(*member);
	*member = copy;
	return (0);
}

static int
set_mode(mode_t *member, const char *value, uint64_t max)
{
	char *end;
	unsigned long mode;

	if (!isdigit((unsigned char)*value))
		return (1);
	mode = strtoul(value, &end, 8);
	if (*end != '\0' || mode > max)
		return (1);
	*member = (mode_t)mode;
	return (0);
}

int
conf_option_set(const struct conf_option *o, struct conf *conf,
    const char *value)
{
	void *member = (char *)conf + o->offset;
	uint64_t n;
	int level;

	switch (o->kind) {
	case KIND_PATH:
	case KIND_FILE:
	case KIND_SOCKET:
		return (set_path(o, member, value));
	case KIND_MODE:
		return (set_mode(member, value, o->max));
	case KIND_LEVEL:
		if ((level = log_level_parse(value)) == -1)
			return (1);
		*(int *)member = level;
		return (0);
	case KIND_SWITCH:
		*(bool *)member = strcmp(value, "on") == 0;
		return (strcmp(value, "on") != 0 && strcmp(value, "off") != 0);
	case KIND_COUNT:
	case KIND_SIZE:
	case KIND_DURATION:
		break;
	}
	if (parse_number(value, kind_units(o->kind), &n) == -1 ||
	    n < o->min || n > o->max)
		return (1);
	if (o->kind == KIND_COUNT)
		*(unsigned int *)member = (unsigned int)n;
	else
		*(uint64_t *)member = n;
	return (0);
}


bool
conf_option_is_string(const struct conf_option *o)
{
	return (o->kind == KIND_PATH || o->kind == KIND_FILE ||
	    o->kind == KIND_SOCKET);
}

int
conf_duration(const char *s, uint64_t *ms_r)
{
	return (parse_number(s, durations, ms_r));
}

/* What o is set to, as it would be written; strings are borrowed. */
static const char *
option_value(const struct conf_option *o, const struct conf *conf, char *buf,
    size_t size)
{
	static const char *const levels[] = { "error", "warn", "info",
	    "debug" };
	const void *member = (const char *)conf + o->offset;
	const char *s;
	uint64_t n;
	size_t i;

	switch (o->kind) {
	case KIND_PATH:
	case KIND_FILE:
	case KIND_SOCKET:
		s = *(char *const *)member;
		return (s == NULL ? "" : s);
	case KIND_MODE:
		snprintf(buf, size, "%04o", (unsigned)*(const mode_t *)member);
		return (buf);
	case KIND_LEVEL:
		for (i = 0; log_level_parse(levels[i]) != *(const int *)member;)
			i++;
		return (levels[i]);
	case KIND_SWITCH:
		return (*(const bool *)member ? "on" : "off");
	case KIND_COUNT:
	case KIND_SIZE:
	case KIND_DURATION:
		break;
	}
	n = o->kind == KIND_COUNT ? *(const unsigned int *)member :
	    *(const uint64_t *)member;
	format_number(buf, size, kind_units(o->kind), n);
	return (buf);
}

/* A string in double quotes, as libconfuse reads it back. */
static void
print_quoted(const char *s, FILE *fp)
{
	fputc('"', fp);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\' || *s == '$')
			fputc('\\', fp);
		fputc(*s, fp);
	}
	fputc('"', fp);
}

static void
print_tenant(const struct conf_tenant *t, FILE *fp)
{
	size_t i;

	fprintf(fp, "tenant \"%s\" {\n\tallowed_origins = {", t->name);
	for (i = 0; i < t->norigins; i++) {
		fprintf(fp, "%s ", i == 0 ? "" : ",");
		print_quoted(t->allowed_origins[i], fp);
	}
	fprintf(fp, " }\n}\n");
}

void
conf_print(const struct conf *conf, FILE *fp)
{
	char buf[32];
	size_t i;

	for (i = 0; i < conf_noptions; i++) {
		fprintf(fp, "%s = ", conf_options[i].name);
		print_quoted(option_value(&conf_options[i], conf, buf,
		    sizeof(buf)), fp);
		fputc('\n', fp);
	}
	for (i = 0; i < conf->ntenants; i++)
		print_tenant(&conf->tenants[i], fp);
}
