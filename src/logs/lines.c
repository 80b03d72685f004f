#include "logs/lines.h"

#include "base/limits.h"

#include <string.h>

#define PREFIX_BYTES 1024

struct log_line lines_at(const struct log_lines *lines, size_t i)
{
	const struct log_span *span = &lines->spans[i];
	struct log_line line = lines->head;

	line.text = lines->data + span->at;
	line.len = span->len;
	line.whole = span->whole;
	line.partial = span->partial;
	return line;
}

static size_t put_one_by_one(
	struct format *f, const struct log_lines *lines, char *to, size_t space, char **ret_end)
{
	char *end = to + space;
	size_t n = 0;

	for (; n < lines->n; n++) {
		struct log_line line = lines_at(lines, n);

		if (format_need(f, &line) > (size_t)(end - to))
			break;
		to = format_line(f, &line, to);
	}
	*ret_end = to;
	return n;
}

/* What stands before the text is the same for all: it is made once, behind it each line is two
 * copies. */
size_t lines_put(
	struct format *f, const struct log_lines *lines, char *to, size_t space, char **ret_end)
{
	struct log_line empty = lines->head;
	char prefix[PREFIX_BYTES];
	size_t n = 0;

	empty.text = "";
	empty.len = 0;
	empty.whole = false;
	if (f->kind == LOG_FORMAT_JSON || format_need(f, &empty) > sizeof prefix)
		return put_one_by_one(f, lines, to, space, ret_end);
	size_t len = (size_t)(format_line(f, &empty, prefix) - prefix) - 1;

	for (; n < lines->n; n++) {
		const struct log_span *span = &lines->spans[n];
		size_t before = span->whole ? 0 : len, need = before + span->len + 1;

		if (need > space || (span->whole && f->kind == LOG_FORMAT_RAW))
			break;
		space -= need;
		memcpy(to, prefix, before);
		memcpy(to + before, lines->data + span->at, span->len);
		to += need;
		to[-1] = '\n';
	}
	*ret_end = to;
	if (n > 0 || lines->n == 0)
		return n;
	struct log_lines one = *lines;
	one.n = 1;
	return put_one_by_one(f, &one, to, space, ret_end);
}
