#include "model/release.h"
#include "model/validate.h"

#include "base/str.h"

#include <errno.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* The name in front of "="; *at is left behind it. */
static int parse_name(const char **at, const char *end, struct strbuf *name, struct err *err)
{
	const char *p = *at, *equals = memchr(p, '=', (size_t)(end - p));
	char shown[64];

	str_printable(p, (size_t)((equals ? equals : end) - p), shown, sizeof shown);
	if (!equals)
		return err_set(err, -EINVAL, "there is no \"=\" behind \"%s\"", shown);
	if (equals > p && is_blank(equals[-1]))
		return err_set(err, -EINVAL, "\"%s\": no blanks may stand before \"=\"", shown);
	int r = strbuf_add(name, p, (size_t)(equals - p));
	if (r < 0)
		return err_errno(err, r, "\"%s\"", shown);
	const char *wrong = rule_env_name(name->data);
	if (wrong)
		return err_set(err, -EINVAL, "\"%s\" %s", shown, wrong);
	*at = equals + 1;
	return 0;
}

/* A value in quotes; *at is at the opening one and left behind the closing one. */
static int parse_quoted(const char **at, const char *end, struct strbuf *value, struct err *err)
{
	static const char from[] = "nt\"\\", to[] = "\n\t\"\\";
	const char quote = **at, *p = *at + 1;

	for (; p < end && *p != quote; p++) {
		char c = *p;
		if (quote == '"' && c == '\\' && p + 1 < end) {
			const char *hit = strchr(from, *++p);
			if (!hit)
				return err_set(err, -EINVAL,
					"only \\n, \\t, \\\" and \\\\ may stand in double quotes");
			c = to[hit - from];
		}
		(void)strbuf_add(value, &c, 1);
	}
	if (p >= end)
		return err_set(err, -EINVAL,
			"the quote is not closed on its line (in double quotes write \\n)");
	*at = p + 1;
	return 0;
}

static int parse_value(const char *p, const char *end, struct strbuf *value, struct err *err)
{
	p = skip_blanks(p, end);
	while (end > p && is_blank(end[-1]))
		end--;
	if (p == end || (*p != '\'' && *p != '"'))
		return strbuf_add(value, p, (size_t)(end - p));

	int r = parse_quoted(&p, end, value, err);
	if (r < 0)
		return r;
	p = skip_blanks(p, end);
	if (p < end && *p != '#')
		return err_set(err, -EINVAL, "there is text behind the closing quote");
	return value->error;
}

static int parse_line(struct env *e, const char *p, const char *end, struct err *err)
{
	_cleanup_strbuf_ struct strbuf name = STRBUF(LIMIT_ENV_BYTES);
	_cleanup_strbuf_ struct strbuf value = STRBUF(LIMIT_ENV_BYTES);

	if (end > p && end[-1] == '\r')
		end--;
	p = skip_blanks(p, end);
	if (p == end || *p == '#')
		return 0;
	if (end - p > 7 && memcmp(p, "export", 6) == 0 && is_blank(p[6]))
		p = skip_blanks(p + 6, end);
	if (memchr(p, '\0', (size_t)(end - p)))
		return err_set(err, -EINVAL, "holds a NUL character");
	if (utf8_valid_prefix(p, (size_t)(end - p)) != (size_t)(end - p))
		return err_set(err, -EINVAL, "is not UTF-8");

	struct err why = {0};
	int r = parse_name(&p, end, &name, &why);
	if (r == 0)
		r = parse_value(p, end, &value, &why);
	if (r < 0)
		return why.code ? err_set(err, r, "%s", why.text)
				: err_errno(err, r, "cannot hold the value");
	r = env_set(e, name.data, value.data ? value.data : "");
	if (r == -E2BIG)
		return err_set(err, r, "more than %d variables", LIMIT_ENV);
	return r < 0 ? err_errno(err, r, "cannot hold the variable") : 0;
}

int env_parse_file(struct env *e, const char *text, size_t len, unsigned *line, struct err *err)
{
	const char *end = text + len;
	unsigned number = 0;

	*line = 1;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return err_set(err, -EINVAL,
			"begins with a byte order mark; save it as UTF-8 without one");
	for (const char *p = text; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;

		*line = ++number;
		int r = parse_line(e, p, stop, err);
		if (r < 0)
			return r;
		p = stop + 1;
	}
	if (env_bytes(e) > LIMIT_ENV_BYTES)
		return err_set(err, -E2BIG, "more than %zu bytes of variables", LIMIT_ENV_BYTES);
	return 0;
}
