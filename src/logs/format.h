/* A line as it is shown or kept.
 *
 * heroku  "2026-11-21T08:00:00.123456+00:00 app[web.1]: text"; with an app "app[shop/web.1]: text";
 *         with color escape codes around all before the text, which is the app's own and is never
 *         altered
 * json    {"time":"2026-11-21T08:00:00.123456+00:00","source":"app","app":"shop","dyno":"web.1",
 *         "stream":"out","text":"..."} in one line: "app" when there is one, "stream" is out, err
 * or system; text that is not UTF-8 stands in "bytes" instead, as base64; "partial":true when the
 * line goes on in the next one of its stream. Nothing in it can steer a terminal. raw     the text
 * alone
 *
 * A line of another hsup (log_line.whole) goes out as it is with heroku, and is taken apart for the
 * others. */
#pragma once

#include "logs/sink.h"
#include "model/release.h"

struct format {
	enum log_format kind;
	bool color;
	const char *app; /* the caller's; NULL = none */
	/* private: zero */
	uint64_t stamp_ns;
	char stamp[40];
};

/* Bytes that format_line() writes at most for this line. */
size_t format_need(const struct format *f, const struct log_line *line);

/* The line with its newline to `to`; where it ends. */
char *format_line(struct format *f, const struct log_line *line, char *to);

/* "heroku", "json", "raw"; -EINVAL. */
int format_parse(const char *text, enum log_format *ret_format) HSUP_MUST_CHECK;

/* "out", "err", "system". */
const char *log_stream_name(enum log_stream stream);
