/* The values that the answers are made of. */
#include "control/view.h"

#include "base/clock.h"
#include "base/parse.h"
#include "wire/spec.h"

#include <stdio.h>

void view_end(struct strbuf *b, char bracket)
{
	char close[2] = {bracket, ','};

	if (b->len && b->data[b->len - 1] == ',')
		b->len--;
	(void)strbuf_add(b, close, 2);
}

static void add_escaped(struct strbuf *b, unsigned char c)
{
	static const char short_ones[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char text[8];

	for (size_t i = 0; short_ones[i]; i += 2)
		if (c == (unsigned char)short_ones[i]) {
			text[0] = '\\';
			text[1] = short_ones[i + 1];
			(void)strbuf_add(b, text, 2);
			return;
		}
	(void)strbuf_add(b, text, (size_t)snprintf(text, sizeof text, "\\u%04x", c));
}

void view_text_n(struct strbuf *b, const char *text, size_t len)
{
	(void)strbuf_add(b, "\"", 1);
	while (len) {
		size_t plain = 0;

		while (plain < len && (unsigned char)text[plain] >= ' ' && text[plain] != '"' &&
			text[plain] != '\\' && (unsigned char)text[plain] < 0x7f)
			plain++;
		(void)strbuf_add(b, text, plain);
		text += plain;
		len -= plain;
		if (!len)
			break;
		unsigned char c = (unsigned char)*text;
		size_t valid = c < 0x80 ? 0 : utf8_valid_prefix(text, len);
		if (valid) {
			/* Up to the next byte that is not above ASCII: the loop goes on there. */
			size_t n = 0;
			while (n < valid && (unsigned char)text[n] >= 0x80)
				n++;
			(void)strbuf_add(b, text, n);
			text += n;
			len -= n;
			continue;
		}
		if (c < 0x80)
			add_escaped(b, c);
		else
			view_raw(b, "\xef\xbf\xbd");
		text++;
		len--;
	}
	(void)strbuf_add(b, "\"", 1);
}

void view_text(struct strbuf *b, const char *text)
{
	if (text)
		view_text_n(b, text, strlen(text));
	else
		view_raw(b, "null");
}

void view_u64(struct strbuf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	(void)strbuf_add(b, digits + at, sizeof digits - at);
}

void view_i64(struct strbuf *b, int64_t value)
{
	if (value < 0)
		view_raw(b, "-");
	view_u64(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void view_seconds(struct strbuf *b, uint64_t ns)
{
	uint64_t ms = ns / NSEC_PER_MSEC % 1000;
	char part[4] = {
		'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};

	view_u64(b, ns / NSEC_PER_SEC);
	(void)strbuf_add(b, part, sizeof part);
}

void view_stamp(struct strbuf *b, uint64_t wall_ns)
{
	char stamp[CLOCK_STAMP_LEN + 3] = "\"";

	clock_stamp(wall_ns, stamp + 1);
	size_t len = strlen(stamp);
	stamp[len] = '"';
	(void)strbuf_add(b, stamp, len + 1);
}

void view_member(struct strbuf *b, const char *name)
{
	(void)strbuf_add(b, "\"", 1);
	view_raw(b, name);
	(void)strbuf_add(b, "\":", 2);
}

static void comma(struct strbuf *b)
{
	(void)strbuf_add(b, ",", 1);
}

void view_member_text(struct strbuf *b, const char *name, const char *text)
{
	view_member(b, name);
	view_text(b, text);
	comma(b);
}

void view_member_u64(struct strbuf *b, const char *name, uint64_t value)
{
	view_member(b, name);
	view_u64(b, value);
	comma(b);
}

void view_member_known(struct strbuf *b, const char *name, uint64_t value, uint64_t unknown)
{
	if (value != unknown)
		view_member_u64(b, name, value);
	else
		view_member_text(b, name, NULL);
}

void view_member_bool(struct strbuf *b, const char *name, bool value)
{
	view_member(b, name);
	view_raw(b, value ? "true," : "false,");
}

void view_member_seconds(struct strbuf *b, const char *name, uint64_t ns)
{
	view_member(b, name);
	view_seconds(b, ns);
	comma(b);
}

void view_member_percent(struct strbuf *b, const char *name, uint64_t of_10000)
{
	view_member(b, name);
	if (of_10000 == UINT64_MAX)
		view_raw(b, "null");
	else
		(void)strbuf_printf(b, "%llu.%02llu", (unsigned long long)of_10000 / 100,
			(unsigned long long)of_10000 % 100);
	comma(b);
}

void view_member_stamp(struct strbuf *b, const char *name, uint64_t wall_ns)
{
	view_member(b, name);
	if (wall_ns)
		view_stamp(b, wall_ns);
	else
		view_raw(b, "null");
	comma(b);
}

void view_member_exit(struct strbuf *b, const char *name, const struct dyno_exit *e, uint64_t at)
{
	static const char *const kinds[] = {
		[EXIT_CODE] = "code",
		[EXIT_SIGNAL] = "signal",
		[EXIT_STAGE] = "stage",
		[EXIT_UNKNOWN] = "unknown",
	};
	bool staged = e->kind == EXIT_STAGE;
	char text[200];

	if (e->kind == EXIT_NONE || (unsigned)e->kind >= ARRAY_SIZE(kinds)) {
		view_member_text(b, name, NULL);
		return;
	}
	view_member(b, name);
	view_raw(b, "{");
	view_member_text(b, "kind", kinds[e->kind]);
	view_member_known(
		b, "code", e->kind == EXIT_CODE ? (uint64_t)e->value : UINT64_MAX, UINT64_MAX);
	view_member_text(b, "signal", e->kind == EXIT_SIGNAL ? signal_name(e->value) : NULL);
	view_member_text(b, "stage", staged ? wire_stage_text((unsigned)e->value) : NULL);
	view_member_text(b, "error", staged ? strerrorname_np(e->error) : NULL);
	view_member_text(b, "reason", e->oom ? "oom" : NULL);
	view_member_text(b, "text", dyno_exit_text(e, wire_stage_text, text, sizeof text));
	view_member_stamp(b, "at", at);
	view_end(b, '}');
}

void view_finish(struct strbuf *b)
{
	if (b->len && b->data[b->len - 1] == ',')
		b->len--;
	(void)strbuf_add(b, "\n", 1);
}
