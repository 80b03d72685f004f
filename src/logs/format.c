#include "base/clock.h"
#include "logs/format_private.h"

#include <errno.h>

static const char palette[][6] = {
	"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m"};
#define COLOR_OFF   "\033[0m"
#define COLOR_BYTES 5

_Static_assert(sizeof((struct format *)0)->stamp > CLOCK_STAMP_LEN, "a stamp fits");

static const char *const kinds[LOG_FORMAT_MAX] = {
	[LOG_FORMAT_HEROKU] = "heroku",
	[LOG_FORMAT_JSON] = "json",
	[LOG_FORMAT_RAW] = "raw",
};

int format_parse(const char *text, enum log_format *ret_format)
{
	for (unsigned i = 0; i < LOG_FORMAT_MAX; i++)
		if (strcmp(text, kinds[i]) == 0) {
			*ret_format = (enum log_format)i;
			return 0;
		}
	return -EINVAL;
}

const char *log_stream_name(enum log_stream stream)
{
	return stream == STREAM_SYSTEM ? "system" : stream == STREAM_ERR ? "err" : "out";
}

/* Lines that were read together have one time. */
const char *format_stamp(struct format *f, uint64_t wall_ns)
{
	if (wall_ns != f->stamp_ns || !f->stamp[0]) {
		clock_stamp(wall_ns, f->stamp);
		f->stamp_ns = wall_ns;
	}
	return f->stamp;
}

bool format_take_apart(const char *text, size_t len, struct whole_line *ret_whole)
{
	struct whole_line w = {.stamp = text, .source = text + CLOCK_STAMP_LEN + 1};
	const char *end = text + len;

	if (len <= CLOCK_STAMP_LEN + 1)
		return false;
	const char *open = memchr(w.source, '[', (size_t)(end - w.source));
	if (!open)
		return false;
	w.dyno = open + 1;
	const char *close = memmem(w.dyno, (size_t)(end - w.dyno), "]:", 2);
	if (!close)
		return false;
	w.source_len = (size_t)(open - w.source);
	w.dyno_len = (size_t)(close - w.dyno);
	const char *slash = memrchr(w.dyno, '/', w.dyno_len);
	if (slash) {
		w.app = w.dyno;
		w.app_len = (size_t)(slash - w.app);
		w.dyno = slash + 1;
		w.dyno_len = (size_t)(close - w.dyno);
	}
	w.text = close + 2;
	if (w.text < end && *w.text == ' ')
		w.text++;
	w.text_len = (size_t)(end - w.text);
	w.own = w.source_len == 4 && memcmp(w.source, "hsup", 4) == 0;
	*ret_whole = w;
	return true;
}

/* By hand: printf would cost more than all the rest of a line's way. */
static char *put_prefix(struct format *f, const struct log_line *line, char *at)
{
	if (f->color)
		at = put(at, palette[line->color % ARRAY_SIZE(palette)], COLOR_BYTES);
	at = put(at, format_stamp(f, line->wall_ns), CLOCK_STAMP_LEN);
	*at++ = ' ';
	at = put_text(at, line->source);
	*at++ = '[';
	if (f->app) {
		at = put_text(at, f->app);
		*at++ = '/';
	}
	at = put_text(at, line->procid);
	at = put(at, "]:", 2);
	if (f->color)
		at = put(at, COLOR_OFF, sizeof COLOR_OFF - 1);
	*at++ = ' ';
	return at;
}

static char *raw_line(const struct log_line *line, char *to)
{
	struct whole_line w;

	if (line->whole && format_take_apart(line->text, line->len, &w))
		return put(to, w.text, w.text_len);
	return put(to, line->text, line->len);
}

size_t format_need(const struct format *f, const struct log_line *line)
{
	if (f->kind == LOG_FORMAT_JSON)
		return format_json_need(f, line);
	if (f->kind == LOG_FORMAT_RAW || line->whole)
		return line->len + 1;
	return CLOCK_STAMP_LEN + 1 + strlen(line->source) + 1 + (f->app ? strlen(f->app) + 1 : 0) +
	       strlen(line->procid) + 3 + (f->color ? 2 * COLOR_BYTES : 0) + line->len + 1;
}

char *format_line(struct format *f, const struct log_line *line, char *to)
{
	if (f->kind == LOG_FORMAT_JSON) {
		to = format_json(f, line, to);
	} else if (f->kind == LOG_FORMAT_RAW) {
		to = raw_line(line, to);
	} else {
		if (!line->whole)
			to = put_prefix(f, line, to);
		to = put(to, line->text, line->len);
	}
	*to++ = '\n';
	return to;
}
