#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>

#include "conf.h"
#include "conf_internal.h"

#define SECRET_MAX	((size_t)512)		/* bytes of a secret */

void
conf_complain(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
conf_prepare(char *text, size_t len, const char *file)
{
	enum { CODE, QUOTED, LINE, BLOCK } state = CODE;
	char quote = '\0';
	int begun = 0, depth = 0, line = 1, opened = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		char c = text[i];
		char next = i + 1 < len ? text[i + 1] : '\n';

		if (c == '\0') {
			conf_complain(file, line, "NUL byte: expected text");
			return (-1);
		}
		if (c == '\n') {
			if (state == QUOTED)
				break;
			if (state == LINE)
				state = CODE;
			line++;
		} else if (state == QUOTED) {
			if (c == '\\' && next != '\n')
				i++;
			else if (c == quote)
				state = CODE;
		} else if (state == LINE) {
			text[i] = ' ';
		} else if (state == BLOCK) {
			text[i] = ' ';
			if (c == '*' && next == '/') {
				text[++i] = ' ';
				state = CODE;
			}
		} else if (c == '"' || c == '\'') {
			quote = c;
			state = QUOTED;
		} else if (c == '#' || (c == '/' && next == '/')) {
			text[i] = ' ';
			state = LINE;
		} else if (c == '/' && next == '*') {
			text[i] = text[i + 1] = ' ';
			i++;
			begun = line;
			state = BLOCK;
		} else if (c == '{' && depth++ == 0) {
			opened = line;
		} else if (c == '}') {
			depth--;
		}
	}
	if (state == QUOTED) {
		conf_complain(file, line,
		    "unterminated string: expected %c before the end of the "
		    "line", quote);
		return (-1);
	}
	if (state == BLOCK) {
		conf_complain(file, begun, "unterminated comment: expected */");
		return (-1);
	}
	if (depth > 0) {
		conf_complain(file, opened, "{ without end: expected }");
		return (-1);
	}
	return (0);
}

int
conf_read_all(FILE *fp, size_t max, char **text_r, size_t *len_r)
{
	char *text;
	size_t len;

	if ((text = malloc(max + 2)) == NULL)
		return (-1);
	len = fread(text, 1, max + 1, fp);
	if (ferror(fp) || len > max) {
		if (len > max)
			errno = EFBIG;
		freezero(text, max + 2);
		return (-1);
	}
	text[len] = '\0';
	*text_r = text;
	*len_r = len;
	return (0);
}

int
conf_secret(const char *path, char **secret_r, size_t *len_r)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *fp = is_stdin ? stdin : fopen(path, "r");
	char *secret;
	size_t len;
	int rc;

	if (fp == NULL) {
		conf_complain(path, 1, "%s: expected a readable file",
		    strerror(errno));
		return (-1);
	}
	rc = conf_read_all(fp, SECRET_MAX + 1, &secret, &len);
	if (rc == 0 && len > 0 && secret[len - 1] == '\n')
		secret[--len] = '\0';
	if (rc == 0 && len > SECRET_MAX) {
		freezero(secret, len);
		errno = EFBIG;
		rc = -1;
	}
	if (rc == -1)
		conf_complain(path, 1,
		    "%s: expected a readable secret of at most %zu bytes",
		    strerror(errno), SECRET_MAX);
	if (!is_stdin)
		fclose(fp);
	if (rc == -1)
		return (-1);
	if (len == 0) {
		conf_complain(path, 1, "empty: expected a secret");
		free(secret);
		return (-1);
	}
	*secret_r = secret;
	*len_r = len;
	return (0);
}
