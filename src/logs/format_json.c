#include "base/clock.h"
#include "base/str.h"
#include "logs/format_private.h"

#define FRAME_BYTES 160 /* of an object's names and marks, its stamp and stream */
#define ESCAPED	    6	/* bytes at most of one: \u001b */

static const char hex[] = "0123456789abcdef";

/* DEL and the C1 controls (in UTF-8: 0xc2 0x80..0x9f) are JSON, and steer a terminal. */
static bool plain(const char *text)
{
	unsigned char c = (unsigned char)*text;

	return c >= ' ' && c != '"' && c != '\\' && c != 0x7f && c != 0xc2;
}

/* Bytes at the beginning that stand for themselves and are ASCII, at least: eight at a time, since
 * most lines are nothing else. */
static size_t plain_ascii(const char *text, size_t len)
{
	const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
	size_t at = 0;

	for (uint64_t x; len - at >= sizeof x; at += sizeof x) {
		memcpy(&x, text + at, sizeof x);
		/* The top bit of each byte that is below ' ', a quote, a backslash, DEL, or above.
		 */
		uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
		uint64_t odd = (x - ones * ' ') | (quote - ones) | (slash - ones) | (x + ones) | x;

		if (odd & tops)
			break;
	}
	return at;
}

static char *put_code(char *to, unsigned char code)
{
	to = put(to, "\\u00", 4);
	*to++ = hex[code >> 4];
	*to++ = hex[code & 15];
	return to;
}

static char *put_escaped(char *to, unsigned char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i < sizeof shorts - 1; i += 2)
		if ((unsigned char)shorts[i] == c) {
			*to++ = '\\';
			*to++ = shorts[i + 1];
			return to;
		}
	return put_code(to, c);
}

/* What stands between the quotes, of valid UTF-8. */
static char *put_string(char *to, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *from = text;

		while (text < end && plain(text))
			text++;
		to = put(to, from, (size_t)(text - from));
		if (text == end)
			break;
		if ((unsigned char)*text != 0xc2) {
			to = put_escaped(to, (unsigned char)*text++);
		} else if ((unsigned char)text[1] < 0xa0) {
			to = put_code(to, (unsigned char)text[1]);
			text += 2;
		} else {
			to = put(to, text, 2);
			text += 2;
		}
	}
	return to;
}

static char *put_base64(char *to, const char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		unsigned bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)data[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			*to++ = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	return to;
}

static char *put_data(char *to, const char *text, size_t len)
{
	size_t easy = plain_ascii(text, len);

	if (utf8_valid_prefix(text + easy, len - easy) == len - easy) {
		to = put_text(to, ",\"text\":\"");
		to = put(to, text, easy);
		to = put_string(to, text + easy, len - easy);
	} else {
		to = put_text(to, ",\"bytes\":\"");
		to = put_base64(to, text, len);
	}
	*to++ = '"';
	return to;
}

/* A name: ours, or of another hsup's line, which may hold anything. */
static char *put_name(char *to, const char *key, const char *text, size_t len)
{
	to = put_text(to, key);
	size_t easy = plain_ascii(text, len);
	if (utf8_valid_prefix(text + easy, len - easy) == len - easy) {
		to = put(to, text, easy);
		to = put_string(to, text + easy, len - easy);
	}
	*to++ = '"';
	return to;
}

size_t format_json_need(const struct format *f, const struct log_line *line)
{
	return FRAME_BYTES + ESCAPED * (strlen(line->source) + strlen(line->procid) +
					       (f->app ? strlen(f->app) : 0) + line->len);
}

char *format_json(struct format *f, const struct log_line *line, char *to)
{
	struct whole_line w;

	if (!line->whole || !format_take_apart(line->text, line->len, &w))
		w = (struct whole_line){
			.stamp = format_stamp(f, line->wall_ns),
			.source = line->source,
			.source_len = strlen(line->source),
			.app = f->app,
			.app_len = f->app ? strlen(f->app) : 0,
			.dyno = line->procid,
			.dyno_len = strlen(line->procid),
			.text = line->text,
			.text_len = line->len,
		};
	to = put_name(to, "{\"time\":\"", w.stamp, CLOCK_STAMP_LEN);
	to = put_name(to, ",\"source\":\"", w.source, w.source_len);
	if (w.app)
		to = put_name(to, ",\"app\":\"", w.app, w.app_len);
	to = put_name(to, ",\"dyno\":\"", w.dyno, w.dyno_len);
	to = put_text(to, ",\"stream\":\"");
	to = put_text(to, log_stream_name(w.own ? STREAM_SYSTEM : line->stream));
	*to++ = '"';
	to = put_data(to, w.text, w.text_len);
	if (line->partial)
		to = put_text(to, ",\"partial\":true");
	*to++ = '}';
	return to;
}
