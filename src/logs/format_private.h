/* The formats from inside. */
#pragma once

#include "logs/format.h"

#include <string.h>

static inline char *put(char *to, const void *data, size_t len)
{
	memcpy(to, data, len);
	return to + len;
}

static inline char *put_text(char *to, const char *text)
{
	return put(to, text, strlen(text));
}

size_t format_json_need(const struct format *f, const struct log_line *line);
char *format_json(struct format *f, const struct log_line *line, char *to);

/* The stamp of a time, which lasts until the next call. CLOCK_STAMP_LEN bytes. */
const char *format_stamp(struct format *f, uint64_t wall_ns);

/* "2026-11-21T08:00:00.123456+00:00 app[shop/web.1]: text" taken apart; pieces of the text. */
struct whole_line {
	const char *stamp, *source, *app, *dyno, *text; /* app: NULL = none */
	size_t source_len, app_len, dyno_len, text_len;
	bool own; /* a line of that hsup itself */
};
bool format_take_apart(const char *text, size_t len, struct whole_line *ret_whole);
