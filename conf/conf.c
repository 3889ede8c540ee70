#include <sys/types.h>

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "conf.h"
#include "conf_internal.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define FILE_MAX	1048576			/* bytes of one file */
#define AS_TEXT(n)	#n
#define TEXT(n)		AS_TEXT(n)
#define INCLUDE_MAX	10			/* files within files */

/* libconfuse's complaints, and what it should have found instead. */
static const struct {
	const char	*begin;
	const char	*expected;
} expectations[] = {
	{ "missing equal sign", "expected NAME = VALUE" },
	{ "missing opening brace", "expected { behind the section's name" },
	{ "missing title", "expected tenant \"NAME\" { ... }" },
	{ "missing parenthesis", "expected include(\"FILE\")" },
	{ "syntax error in call", "expected include(\"FILE\")" },
	{ "unexpected closing", "expected an option, or the file's end" },
	{ "premature end", "expected the rest of the option or section" },
	{ "found duplicate", "expected each tenant once" },
	{ "attempt to append", "expected NAME = VALUE" },
	{ "unexpected token", "expected NAME = VALUE, with values as in "
	    "\"text\" or { \"text\", \"text\" }" },
};

static int	parse_file(cfg_t *, const char *, int, const char *);

/* libconfuse calls this for whatever it finds wrong itself. */
static void
confuse_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char what[256];
	const char *expected = "expected what rememberd.conf(5) describes";
	size_t i;

	vsnprintf(what, sizeof(what), fmt, ap);
	for (i = 0; i < NITEMS(expectations); i++) {
		if (strncmp(what, expectations[i].begin,
		    strlen(expectations[i].begin)) == 0)
			expected = expectations[i].expected;
	}
	if (strncmp(what, "no s", strlen("no s")) != 0) {
		conf_complain(cfg->filename, cfg->line, "%s: %s", what,
		    expected);
		return;
	}

	/* An unknown name: say those that would have done. */
	fprintf(stderr, "%s:%d: %s: expected one of", cfg->filename,
	    cfg->line, what);
	for (i = 0; cfg->opts[i].name != NULL; i++)
		fprintf(stderr, "%s %s", i == 0 ? "" : ",",
		    cfg->opts[i].name);
	fputc('\n', stderr);
}

/* libconfuse calls this behind each NAME = VALUE; cfg->line is still there. */
static int
validate_option(cfg_t *cfg, cfg_opt_t *opt)
{
	char expected[160];
	struct conf scratch;
	const char *value = cfg_opt_getnstr(opt, 0);
	size_t i;
	int rc;

	for (i = 0; strcmp(conf_options[i].name, cfg_opt_name(opt)) != 0; i++)
		continue;
	memset(&scratch, 0, sizeof(scratch));
	rc = conf_option_set(&conf_options[i], &scratch, value);
	if (conf_option_is_string(&conf_options[i]))
		free(*(char **)(void *)((char *)&scratch +
		    conf_options[i].offset));
	if (rc == 1) {
		conf_option_expects(&conf_options[i], expected,
		    sizeof(expected));
		conf_complain(cfg->filename, cfg->line,
		    "%s = \"%s\": expected %s", conf_options[i].name, value,
		    expected);
	} else if (rc == -1)
		conf_complain(cfg->filename, cfg->line,
		    "out of memory: expected some more");
	return (rc);
}

/* scheme://host[:port], as browsers send it: lower case, no path. */
static bool
is_origin(const char *s)
{
	const char *host = strstr(s, "://");

	if (host == NULL || host == s || host[3] == '\0')
		return (false);
	for (; *s != '\0'; s++) {
		if (isupper((unsigned char)*s) || !isgraph((unsigned char)*s))
			return (false);
	}
	return (strpbrk(host + 3, "/?#@\"'\\") == NULL);
}

static int
validate_origins(cfg_t *cfg, cfg_opt_t *opt)
{
	unsigned int i;

	for (i = 0; i < cfg_opt_size(opt); i++) {
		const char *origin = cfg_opt_getnstr(opt, i);

		if (is_origin(origin))
			continue;
		conf_complain(cfg->filename, cfg->line,
		    "allowed_origins: \"%s\": expected an origin such as "
		    "\"https://app.example\", without a path", origin);
		return (-1);
	}
	return (0);
}

/* A tenant's name, as the store takes it. */
static bool
is_tenant_name(const char *s)
{
	size_t len = strlen(s);

	return (len >= 1 && len <= 63 && *s != '_' && *s != '-' &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len);
}

static int
validate_tenant(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *tenant = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (is_tenant_name(cfg_title(tenant)))
		return (0);
	conf_complain(cfg->filename, cfg->line,
	    "tenant \"%s\": expected 1 to 63 of a-z, 0-9, _ and -, beginning "
	    "with a letter or digit", cfg_title(tenant));
	return (-1);
}

/* Give libconfuse the text as the file name; cfg goes on with it. */
static int
parse_text(cfg_t *cfg, const char *name, char *text, size_t len)
{
	char *outer = cfg->filename;
	int line = cfg->line;
	FILE *fp;
	int rc = -1;

	/* fmemopen takes no empty buffer, and a file may be empty. */
	if (len == 0)
		text[len++] = '\n';
	if ((fp = fmemopen(text, len, "r")) == NULL)
		return (-1);
	if ((cfg->filename = strdup(name)) != NULL &&
	    cfg_parse_fp(cfg, fp) == CFG_SUCCESS)
		rc = 0;
	free(cfg->filename);
	cfg->filename = outer;
	cfg->line = line;
	fclose(fp);
	return (rc);
}

/* Say why the file path cannot be read, once if no other file named it. */
static void
cannot_read(const char *file, int line, const char *path, const char *expected)
{
	const char *why = strerror(errno);

	if (strcmp(file, path) == 0)
		conf_complain(file, line, "%s: expected %s", why, expected);
	else
		conf_complain(file, line, "cannot read %s: %s: expected %s",
		    path, why, expected);
}

/*
 * Parse the file path.  A file that cannot be read is the fault of line
 * `line` of `file`, which named it.
 */
static int
parse_file(cfg_t *cfg, const char *file, int line, const char *path)
{
	char *text;
	size_t len;
	FILE *fp;
	int rc = -1;

	if ((fp = fopen(path, "r")) == NULL) {
		cannot_read(file, line, path, "a readable file");
		return (-1);
	}
	if (conf_read_all(fp, FILE_MAX, &text, &len) == -1) {
		cannot_read(file, line, path, "a readable file of at most "
		    TEXT(FILE_MAX) " bytes");
		fclose(fp);
		return (-1);
	}
	fclose(fp);
	if (conf_prepare(text, len, path) == 0)
		rc = parse_text(cfg, path, text, len);
	free(text);
	return (rc);
}

/* include("FILE"), relative to the folder of the file that says so. */
static int
include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	static int depth;
	const char *slash = strrchr(cfg->filename, '/');
	char *path;
	int rc;

	(void)opt;
	if (argc != 1) {
		conf_complain(cfg->filename, cfg->line,
		    "include with %d arguments: expected include(\"FILE\")",
		    argc);
		return (-1);
	}
	if (depth == INCLUDE_MAX) {
		conf_complain(cfg->filename, cfg->line,
		    "include(\"%s\") too deep: expected at most %d files "
		    "within files", argv[0], INCLUDE_MAX);
		return (-1);
	}
	if (argv[0][0] == '/' || slash == NULL)
		path = strdup(argv[0]);
	else if (asprintf(&path, "%.*s/%s", (int)(slash - cfg->filename),
	    cfg->filename, argv[0]) == -1)
		path = NULL;
	if (path == NULL)
		return (-1);
	depth++;
	rc = parse_file(cfg, cfg->filename, cfg->line, path);
	depth--;
	free(path);
	return (rc);
}

/* Copy what the section says into t.  Returns 0, or -1 without memory. */
static int
tenant_fill(struct conf_tenant *t, cfg_t *section)
{
	unsigned int i, n = cfg_size(section, "allowed_origins");

	if ((t->name = strdup(cfg_title(section))) == NULL)
		return (-1);
	if (n == 0)
		return (0);
	if ((t->allowed_origins = calloc(n, sizeof(char *))) == NULL)
		return (-1);
	for (i = 0; i < n; i++) {
		t->allowed_origins[i] = strdup(cfg_getnstr(section,
		    "allowed_origins", i));
		if (t->allowed_origins[i] == NULL)
			return (-1);
		t->norigins++;
	}
	return (0);
}

static int
tenant_compare(const void *a, const void *b)
{
	const struct conf_tenant *x = a, *y = b;

	return (strcmp(x->name, y->name));
}

/* Copy what was parsed into conf.  Returns 0, or -1 without memory. */
static int
conf_fill(struct conf *conf, cfg_t *cfg)
{
	size_t i, n = cfg_size(cfg, "tenant");

	for (i = 0; i < conf_noptions; i++) {
		if (conf_option_set(&conf_options[i], conf,
		    cfg_getstr(cfg, conf_options[i].name)) != 0)
			return (-1);
	}
	/* No item is larger than the body that brings it. */
	if (conf->max_item > conf->max_body)
		conf->max_item = conf->max_body;

	if (n == 0)
		return (0);
	if ((conf->tenants = calloc(n, sizeof(*conf->tenants))) == NULL)
		return (-1);
	for (i = 0; i < n; i++) {
		conf->ntenants++;
		if (tenant_fill(&conf->tenants[i],
		    cfg_getnsec(cfg, "tenant", (unsigned int)i)) == -1)
			return (-1);
	}
	qsort(conf->tenants, n, sizeof(*conf->tenants), tenant_compare);
	return (0);
}

/* A libconfuse parser for our options, or NULL without memory. */
static cfg_t *
parser_new(void)
{
	cfg_opt_t tenant[] = {
		CFG_STR_LIST("allowed_origins", NULL, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t *opts;
	cfg_t *cfg;
	size_t i;

	if ((opts = calloc(conf_noptions + 3, sizeof(*opts))) == NULL)
		return (NULL);
	for (i = 0; i < conf_noptions; i++)
		opts[i] = (cfg_opt_t)CFG_STR(conf_options[i].name,
		    conf_options[i].value, CFGF_NONE);
	opts[i++] = (cfg_opt_t)CFG_SEC("tenant", tenant,
	    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	opts[i++] = (cfg_opt_t)CFG_FUNC("include", include);
	opts[i] = (cfg_opt_t)CFG_END();

	cfg = cfg_init(opts, CFGF_NONE);	/* copies opts */
	free(opts);
	if (cfg == NULL)
		return (NULL);
	/* cfg_init set the locale; its complaints are matched in English. */
	setlocale(LC_ALL, "C");
	cfg_set_error_function(cfg, confuse_error);
	for (i = 0; i < conf_noptions; i++)
		cfg_set_validate_func(cfg, conf_options[i].name,
		    validate_option);
	cfg_set_validate_func(cfg, "tenant", validate_tenant);
	cfg_set_validate_func(cfg, "tenant|allowed_origins",
	    validate_origins);
	return (cfg);
}

int
conf_load(const char *path, struct conf **conf_r)
{
	struct conf *conf;
	cfg_t *cfg;
	int rc = -1;

	conf = calloc(1, sizeof(*conf));
	cfg = parser_new();
	if (conf == NULL || cfg == NULL)
		goto nomem;
	if (parse_file(cfg, path, 1, path) == -1)
		goto out;
	if (conf_fill(conf, cfg) == -1)
		goto nomem;
	*conf_r = conf;
	conf = NULL;
	rc = 0;
	goto out;

nomem:
	conf_complain(path, 1, "out of memory: expected some more");
out:
	if (cfg != NULL)
		cfg_free(cfg);
	conf_free(conf);
	return (rc);
}

void
conf_free(struct conf *conf)
{
	size_t i, j;

	if (conf == NULL)
		return;
	for (i = 0; i < conf_noptions; i++) {
		if (conf_option_is_string(&conf_options[i]))
			free(*(char **)(void *)((char *)conf +
			    conf_options[i].offset));
	}
	for (i = 0; i < conf->ntenants; i++) {
		struct conf_tenant *t = &conf->tenants[i];

		for (j = 0; j < t->norigins; j++)
			free(t->allowed_origins[j]);
		free(t->allowed_origins);
		free(t->name);
	}
	free(conf->tenants);
	free(conf);
}

const struct conf_tenant *
conf_tenant(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->ntenants; i++) {
		if (strcmp(conf->tenants[i].name, name) == 0)
			return (&conf->tenants[i]);
	}
	return (NULL);
}
