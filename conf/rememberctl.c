#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <bsd/err.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <jansson.h>

#include "store/sys.h"

#include "conf.h"
#include "ctl.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

#define EXIT_USAGE	2

/* The long options; each verb says which of them it takes. */
enum {
	OPT_LABEL = 1 << 0,
	OPT_KID = 1 << 1,
	OPT_SECRET_FILE = 1 << 2,
	OPT_SUB = 1 << 3,
	OPT_SCOPE = 1 << 4,
	OPT_TTL = 1 << 5,
	OPT_TENANT = 1 << 6,
	OPT_CONVERSATION = 1 << 7,
	OPT_REPLACE = 1 << 8,
	OPT_AGAINST = 1 << 9,
	OPT_FORCE = 1 << 10,
};

/*
 * One verb: what it is called with, and either the function that does it, or
 * which admin call it makes and which fields of the reply are shown.  %s in
 * the path are the words.
 */
struct verb {
	const char	*name;		/* "key add" */
	const char	*usage;		/* behind the name */
	int		 nwords;	/* it needs */
	int		 nfolders;	/* and may have: in place of the
					   configuration's store */
	int		 nfiles;	/* and may have, too */
	unsigned int	 options;	/* OPT_* it takes */
	unsigned int	 required;	/* OPT_* it needs */
	bool		 is_live;	/* means nothing without a daemon */
	int		(*function)(const struct ctl_args *,
			    const struct conf *);
	const char	*method;
	const char	*path;
	const char	*fields;	/* "id label", or NULL: all of them */
};

/* Print the configuration. */
static int
config(const struct ctl_args *args, const struct conf *conf)
{

	(void)args;
	conf_print(conf, stdout);
	return (fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS);
}

static const struct verb verbs[] = {
	{ .name = "backup", .usage = "DIR [--against BACKUP]", .nwords = 1,
	    .options = OPT_AGAINST, .function = ctl_backup },
	{ .name = "check", .usage = "[DIR]", .nfolders = 1,
	    .function = ctl_check },
	{ .name = "config", .usage = "", .function = config },
	{ .name = "dump", .usage = "[DIR] [--tenant TENANT] "
	    "[--conversation ID]", .nfolders = 1,
	    .options = OPT_TENANT | OPT_CONVERSATION, .function = ctl_dump },
	{ .name = "export", .usage = "[--tenant TENANT] [--conversation ID]",
	    .options = OPT_TENANT | OPT_CONVERSATION, .function = ctl_export },
	{ .name = "flush", .usage = "", .is_live = true,
	    .method = "POST", .path = "/admin/v1/flush", .fields = "" },
	{ .name = "import", .usage = "[FILE] [--tenant TENANT] [--replace]",
	    .nfiles = 1, .options = OPT_TENANT | OPT_REPLACE,
	    .function = ctl_import },
	{ .name = "jwt-key add",
	    .usage = "TENANT [--kid KID] [--secret-file FILE]", .nwords = 1,
	    .options = OPT_KID | OPT_SECRET_FILE, .method = "POST",
	    .path = "/admin/v1/tenants/%s/jwt-keys", .fields = "kid secret" },
	{ .name = "jwt-key list", .usage = "TENANT", .nwords = 1,
	    .method = "GET", .path = "/admin/v1/tenants/%s/jwt-keys",
	    .fields = "kid created_at" },
	{ .name = "jwt-key revoke", .usage = "TENANT KID", .nwords = 2,
	    .method = "DELETE", .path = "/admin/v1/tenants/%s/jwt-keys/%s",
	    .fields = "" },
	{ .name = "key add", .usage = "TENANT [--label LABEL]", .nwords = 1,
	    .options = OPT_LABEL, .method = "POST",
	    .path = "/admin/v1/tenants/%s/keys", .fields = "id key" },
	{ .name = "key list", .usage = "TENANT", .nwords = 1,
	    .method = "GET", .path = "/admin/v1/tenants/%s/keys",
	    .fields = "id created_at label" },
	{ .name = "key revoke", .usage = "TENANT ID", .nwords = 2,
	    .method = "DELETE", .path = "/admin/v1/tenants/%s/keys/%s",
	    .fields = "" },
	{ .name = "restore", .usage = "BACKUP [--tenant TENANT "
	    "[--conversation ID]] [--force]", .nwords = 1,
	    .options = OPT_TENANT | OPT_CONVERSATION | OPT_FORCE,
	    .function = ctl_restore },
	{ .name = "seal", .usage = "FILE", .nwords = 1,
	    .function = ctl_seal },
	{ .name = "status", .usage = "", .is_live = true,
	    .method = "GET", .path = "/admin/v1/status" },
	{ .name = "tenant add", .usage = "TENANT", .nwords = 1,
	    .method = "POST", .path = "/admin/v1/tenants", .fields = "" },
	{ .name = "tenant list", .usage = "",
	    .method = "GET", .path = "/admin/v1/tenants", .fields = "name" },
	{ .name = "token mint", .usage = "TENANT --sub USER [--kid KID] "
	    "[--scope SCOPE] [--ttl TIME]", .nwords = 1,
	    .options = OPT_SUB | OPT_KID | OPT_SCOPE | OPT_TTL,
	    .required = OPT_SUB, .method = "POST",
	    .path = "/admin/v1/tenants/%s/tokens", .fields = "token" },
};

static void
print_usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: rememberctl [-hjV] [-c FILE] VERB ...\n");
	for (i = 0; i < NITEMS(verbs); i++)
		fprintf(to, "       rememberctl %s%s%s\n", verbs[i].name,
		    *verbs[i].usage == '\0' ? "" : " ", verbs[i].usage);
}

static void __dead2
usage(void)
{
	print_usage(stderr);
	exit(EXIT_USAGE);
}

/* Say what is wrong with the command line. */
static void __dead2 __printflike(1, 2)
misuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	usage();
}

/* The verb that the first words of argv name; *used_r counts them. */
static const struct verb *
verb_find(int argc, char **argv, int *used_r)
{
	char two[64];
	size_t i;

	if (argc < 1)
		usage();
	snprintf(two, sizeof(two), "%s %s", argv[0],
	    argc > 1 ? argv[1] : "");
	for (i = 0; i < NITEMS(verbs); i++) {
		if (strcmp(verbs[i].name, argv[0]) == 0) {
			*used_r = 1;
			return (&verbs[i]);
		}
		if (strcmp(verbs[i].name, two) == 0) {
			*used_r = 2;
			return (&verbs[i]);
		}
	}
	misuse("unknown verb: %s", two);
}

/* Take one option, short or long, into args. */
static void
option_take(struct ctl_args *args, int option)
{
	uint64_t ms;

	switch (option) {
	case 'c':
		args->conf_path = optarg;
		return;
	case 'h':
		print_usage(stdout);
		exit(EXIT_SUCCESS);
	case 'j':
		args->is_json = true;
		return;
	case 'V':
		printf("rememberctl %s\n", PACKAGE_VERSION);
		exit(EXIT_SUCCESS);
	case '?':
		usage();
	}

	args->given |= 1U << (option - 256);
	switch (1 << (option - 256)) {
	case OPT_LABEL:
		args->label = optarg;
		break;
	case OPT_KID:
		args->kid = optarg;
		break;
	case OPT_SECRET_FILE:
		args->secret_file = optarg;
		break;
	case OPT_SUB:
		args->sub = optarg;
		break;
	case OPT_SCOPE:
		args->scope = optarg;
		break;
	case OPT_TTL:
		if (conf_duration(optarg, &ms) == -1 || ms < 1000)
			misuse("--ttl %s: expected a time such as 30d or 12h",
			    optarg);
		args->ttl = ms / 1000;
		break;
	case OPT_TENANT:
		args->tenant = optarg;
		break;
	case OPT_CONVERSATION:
		args->conversation = optarg;
		break;
	case OPT_AGAINST:
		args->against = optarg;
		break;
	case OPT_FORCE:
	case OPT_REPLACE:
		args->is_forced = true;
		break;
	}
}

/* Read the command line; what is wrong with it ends the program. */
static const struct verb *
args_parse(struct ctl_args *args, int argc, char **argv)
{
	/* In the order of the OPT_* bits. */
	static const struct option options[] = {
		{ "label", required_argument, NULL, 256 },
		{ "kid", required_argument, NULL, 257 },
		{ "secret-file", required_argument, NULL, 258 },
		{ "sub", required_argument, NULL, 259 },
		{ "scope", required_argument, NULL, 260 },
		{ "ttl", required_argument, NULL, 261 },
		{ "tenant", required_argument, NULL, 262 },
		{ "conversation", required_argument, NULL, 263 },
		{ "replace", no_argument, NULL, 264 },
		{ "against", required_argument, NULL, 265 },
		{ "force", no_argument, NULL, 266 },
		{ NULL, 0, NULL, 0 }
	};
	const struct verb *verb;
	unsigned int wrong;
	int i, option, used;

	memset(args, 0, sizeof(*args));
	args->conf_path = CONF_DEFAULT;
	while ((option = getopt(argc, argv, "+c:hjV")) != -1)
		option_take(args, option);
	argc -= optind;
	argv += optind;
	verb = verb_find(argc, argv, &used);

	/* getopt_long wants a program name in front of its arguments. */
	argc -= used - 1;
	argv += used - 1;
	optind = 0;
	while ((option = getopt_long(argc, argv, "c:hjV", options,
	    NULL)) != -1)
		option_take(args, option);
	argc -= optind;
	argv += optind;

	if ((wrong = args->given & ~verb->options) != 0)
		misuse("%s takes no --%s", verb->name,
		    options[ffs((int)wrong) - 1].name);
	if ((wrong = verb->required & ~args->given) != 0)
		misuse("%s needs --%s", verb->name,
		    options[ffs((int)wrong) - 1].name);
	if (argc < verb->nwords || argc > verb->nwords + verb->nfolders +
	    verb->nfiles)
		misuse("%s: expected %s %s", verb->name, verb->name,
		    *verb->usage == '\0' ? "alone" : verb->usage);
	for (i = 0; i < argc; i++)
		args->words[i] = argv[i];
	return (verb);
}

/* Percent-encode word for a path into buf; false if it does not fit. */
static bool
encode(char *buf, size_t size, const char *word)
{
	size_t len = 0;

	for (; *word != '\0'; word++) {
		if (len + 4 > size)
			return (false);
		len += (size_t)sprintf(buf + len, strchr("ABCDEFGHIJKLMNOPQRST"
		    "UVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *word) ==
		    NULL ? "%%%02X" : "%c", (unsigned char)*word);
	}
	buf[len] = '\0';
	return (len > 0);
}

/*
 * Make the verb's path of the words.  A word that is too long or empty names
 * nothing, which the caller says.
 */
static int
path_make(char *buf, size_t size, const struct verb *verb,
    const struct ctl_args *args)
{
	char words[2][512] = { "", "" };
	const char *format = verb->path;
	size_t len = 0;
	int i = 0;

	for (; *format != '\0' && len + 1 < size; format++) {
		if (format[0] != '%') {
			buf[len++] = *format;
			continue;
		}
		format++;
		if (!encode(words[i], sizeof(words[i]), args->words[i])) {
			warnx("\"%s\": expected a name", args->words[i]);
			return (-1);
		}
		len += strlcpy(buf + len, words[i], size - len);
		i++;
	}
	buf[len] = '\0';
	return (0);
}

/*
 * The body of the verb's call as JSON text (new), NULL for none.  Returns 0,
 * or -1 after saying why.
 */
static int
body_make(char **body_r, const struct verb *verb, const struct ctl_args *args)
{
	char *secret = NULL;
	size_t len = 0;
	json_t *body;

	*body_r = NULL;
	if (strcmp(verb->method, "POST") != 0)
		return (0);
	if (args->secret_file != NULL &&
	    conf_secret(args->secret_file, &secret, &len) == -1)
		return (-1);
	if (secret != NULL && strlen(secret) != len) {
		warnx("%s: NUL byte: expected text", args->secret_file);
		freezero(secret, len);
		return (-1);
	}
	/* Members with a NULL value are left out by s*. */
	body = json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:o*, s:s*}",
	    "name", strcmp(verb->name, "tenant add") == 0 ?
	    args->words[0] : NULL,
	    "label", args->label, "kid", args->kid, "sub", args->sub,
	    "scope", args->scope,
	    "ttl", args->ttl == 0 ? NULL : json_integer((json_int_t)args->ttl),
	    "secret", secret);
	if (secret != NULL)
		freezero(secret, len);
	if (body != NULL)
		*body_r = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (*body_r == NULL) {
		warnx("the arguments must be UTF-8 text");
		return (-1);
	}
	return (0);
}

/* Show one value: times as dates, strings as they are. */
static void
show_value(const char *name, const json_t *value)
{
	size_t len = strlen(name);
	struct tm tm;
	time_t at;
	char date[32];
	char *text;

	if (json_is_integer(value) && len > 3 &&
	    strcmp(name + len - 3, "_at") == 0) {
		at = (time_t)json_integer_value(value);
		if (gmtime_r(&at, &tm) != NULL &&
		    strftime(date, sizeof(date), "%FT%TZ", &tm) != 0) {
			fputs(date, stdout);
			return;
		}
	}
	if (json_is_string(value)) {
		fputs(json_string_value(value), stdout);
	} else if ((text = json_dumps(value, JSON_ENCODE_ANY |
	    JSON_COMPACT)) != NULL) {
		fputs(text, stdout);
		free(text);
	}
}

/* The members of object named in fields, on one line. */
static void
show_row(const json_t *object, const char *fields)
{
	char copy[128];
	char *name, *rest = copy;
	const char *before = "";

	strlcpy(copy, fields, sizeof(copy));
	while ((name = strsep(&rest, " ")) != NULL) {
		fputs(before, stdout);
		show_value(name, json_object_get(object, name));
		before = "  ";
	}
	fputc('\n', stdout);
}

/* All members, or those named in fields, one a line. */
static void
show_object(json_t *object, const char *fields)
{
	char copy[128] = "";
	char *rest = copy;
	const char *name;
	json_t *value;

	if (fields == NULL) {
		json_object_foreach(object, name, value) {
			if (strcmp(name, "object") == 0)
				continue;
			printf("%-20s ", name);
			show_value(name, value);
			putchar('\n');
		}
		return;
	}
	strlcpy(copy, fields, sizeof(copy));
	while ((name = strsep(&rest, " ")) != NULL) {
		if ((value = json_object_get(object, name)) == NULL)
			continue;
		/* What stands alone is likely put into a variable. */
		if (strchr(fields, ' ') != NULL)
			printf("%-6s ", name);
		show_value(name, value);
		putchar('\n');
	}
}

/* Show what a call answered.  Returns the exit status. */
static int
show_reply(const struct verb *verb, const struct ctl_args *args, int status,
    json_t *reply)
{
	const json_t *data = json_object_get(reply, "data");
	const char *message = NULL;
	size_t i;

	if (status < 200 || status > 299) {
		json_unpack(reply, "{s:{s:s}}", "error", "message", &message);
		warnx("%s", message != NULL ? message : "refused");
		return (EXIT_FAILURE);
	}
	if (args->is_json) {
		json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else if (json_is_array(data)) {
		for (i = 0; i < json_array_size(data); i++)
			show_row(json_array_get(data, i), verb->fields);
	} else
		show_object(reply, verb->fields);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("stdout");
		return (EXIT_FAILURE);
	}
	return (EXIT_SUCCESS);
}

/* Make the verb's call, by the daemon if one is there.  The exit status. */
static int
run(const struct verb *verb, const struct ctl_args *args,
    const struct conf *conf)
{
	char path[1200];
	char *body = NULL;
	struct ctl_call call;
	json_t *reply = NULL;
	int rc, status;

	if (verb->function != NULL)
		return (verb->function(args, conf));
	if (path_make(path, sizeof(path), verb, args) == -1 ||
	    body_make(&body, verb, args) == -1)
		return (EXIT_FAILURE);
	call.method = verb->method;
	call.path = path;
	call.body = body;
	call.body_len = body == NULL ? 0 : strlen(body);

	status = ctl_live(conf, &call, &reply);
	if (status == -1 && errno != 0) {
		if (verb->is_live)
			warnx("no daemon answers on %s", conf->control_socket);
		else
			status = ctl_disk(conf, &call, &reply);
	}
	rc = status == -1 ? EXIT_FAILURE : show_reply(verb, args, status,
	    reply);
	json_decref(reply);
	if (body != NULL)
		freezero(body, call.body_len);
	return (rc);
}

int
main(int argc, char **argv)
{
	const struct verb *verb;
	struct conf *conf = NULL;
	struct ctl_args args;
	int rc;

	setprogname("rememberctl");
	if (sys_streams() == -1)
		err(1, "/dev/null");
	verb = args_parse(&args, argc, argv);
	/* A folder that was named needs no configuration. */
	if ((verb->nfolders == 0 || args.words[verb->nwords] == NULL) &&
	    conf_load(args.conf_path, &conf) == -1)
		return (EXIT_USAGE);
	rc = run(verb, &args, conf);
	conf_free(conf);
	return (rc);
}
