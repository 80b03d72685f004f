#include "slug/source.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool starts_with(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* "scheme://" with the characters that RFC 3986 allows. */
static bool has_scheme(const char *text)
{
	size_t n =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 0 && strncmp(text + n, "://", 3) == 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* In place; false when an escape is damaged or means NUL. */
static bool percent_decode(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (*p != '%') {
			*out++ = *p;
			continue;
		}
		int high = hex_digit(p[1]);
		int low = high < 0 ? -1 : hex_digit(p[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high << 4 | low);
		p += 2;
	}
	*out = '\0';
	return true;
}

static int parse_file_url(const char *text, struct source *s, struct err *err)
{
	const char *path = text + strlen("file://");

	if (starts_with(path, "localhost/"))
		path += strlen("localhost");
	if (path[0] != '/')
		return err_set(err, -EINVAL,
			"%s: a file:// address must name no host and an absolute path", s->shown);
	s->where = strdup(path);
	if (!s->where)
		return err_set(err, -ENOMEM, "out of memory");
	if (!percent_decode(s->where))
		return err_set(err, -EINVAL, "%s: there is a damaged %%-escape", s->shown);
	return 0;
}

/* Passwords stand in front of '@', signatures behind '?': neither belongs in a log. */
static void show_url(const char *url, char *ret_shown, size_t size)
{
	const char *host = strstr(url, "://") + 3;
	size_t authority = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', authority);
	char clean[1000];
	size_t scheme = (size_t)(host - url);

	if (at)
		host = at + 1;
	size_t rest = strcspn(host, "?#");
	(void)snprintf(clean, sizeof clean, "%.*s%.*s", (int)scheme, url, (int)rest, host);
	(void)str_printable(clean, strlen(clean), ret_shown, size);
}

int source_parse(const char *text, struct source *ret_source, struct err *err)
{
	struct source s = {0};
	int r = 0;

	if (has_scheme(text))
		show_url(text, s.shown, sizeof s.shown);
	else
		(void)str_printable(text, strlen(text), s.shown, sizeof s.shown);
	if (!text[0])
		return err_set(err, -EINVAL, "the slug's source is empty");

	if (starts_with(text, "file://")) {
		r = parse_file_url(text, &s, err);
	} else if (starts_with(text, "http://") || starts_with(text, "https://") ||
		   !has_scheme(text)) {
		s.is_url = has_scheme(text);
		s.where = strdup(text);
		if (!s.where)
			r = err_set(err, -ENOMEM, "out of memory");
	} else {
		r = err_set(err, -EINVAL, "%s: only paths, file://, http:// and https:// are known",
			s.shown);
	}
	if (r < 0) {
		source_done(&s);
		return r;
	}
	*ret_source = s;
	return 0;
}

void source_done(struct source *s)
{
	free(s->where);
	s->where = NULL;
}
