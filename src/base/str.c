#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

static int reserve(struct strbuf *b, size_t more)
{
	size_t limit = b->limit ? b->limit : (size_t)64 << 20;

	if (b->error)
		return b->error;
	if (more > limit || b->len + more > limit)
		return b->error = -E2BIG;
	if (b->len + more + 1 <= b->cap)
		return 0;

	size_t want = b->cap ? b->cap : 64;
	while (want < b->len + more + 1)
		want *= 2;
	char *grown = realloc(b->data, want);
	if (!grown)
		return b->error = -ENOMEM;
	b->data = grown;
	b->cap = want;
	return 0;
}

int strbuf_add(struct strbuf *b, const void *data, size_t len)
{
	int r = reserve(b, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int strbuf_puts(struct strbuf *b, const char *text)
{
	return strbuf_add(b, text, strlen(text));
}

int strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	int r = n < 0 ? (b->error = -EINVAL) : reserve(b, (size_t)n);
	if (r == 0) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return r;
}

void strbuf_escape(struct strbuf *b, const char *text)
{
	for (; *text; text++) {
		if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
			(*text >= '0' && *text <= '9') || strchr("-._~", *text))
			(void)strbuf_add(b, text, 1);
		else
			(void)strbuf_printf(b, "%%%02X", (unsigned char)*text);
	}
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

void strbuf_done(struct strbuf *b)
{
	free(b->data);
	*b = (struct strbuf){.limit = b->limit};
}

/* The length of the UTF-8 character at p (1..4), 0 if it is not one, -1 if it is cut off by len. */
static int utf8_char(const unsigned char *p, size_t len)
{
	unsigned char c = p[0];
	int need;

	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		need = 2;
	else if (c >= 0xe0 && c <= 0xef)
		need = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		need = 4;
	else
		return 0;

	if (len > 1) {
		/* Overlong forms, surrogates and code points above U+10FFFF show in byte two. */
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
			(c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
			return 0;
	}
	for (int i = 1; i < need; i++) {
		if ((size_t)i >= len)
			return -1;
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return need;
}

size_t utf8_valid_prefix(const char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		int n = utf8_char((const unsigned char *)data + at, len - at);
		if (n <= 0)
			return at;
		at += (size_t)n;
	}
	return len;
}

size_t utf8_cut(const char *data, size_t len)
{
	size_t back = len < 3 ? len : 3;

	for (size_t i = 1; i <= back; i++) {
		unsigned char c = (unsigned char)data[len - i];
		if (c < 0x80)
			return len;
		if (c >= 0xc0)
			return utf8_char((const unsigned char *)data + len - i, i) < 0 ? len - i
										       : len;
	}
	return len;
}

char *str_printable(const char *text, size_t len, char *ret_text, size_t size)
{
	size_t at = 0, out = 0;

	while (at < len) {
		const unsigned char *p = (const unsigned char *)text + at;
		int n = utf8_char(p, len - at);
		char piece[5];
		size_t width;

		if (n > 0 && p[0] >= 0x20 && p[0] != 0x7f &&
			!(n == 2 && p[0] == 0xc2 && p[1] < 0xa0)) {
			width = (size_t)n;
			memcpy(piece, p, width);
		} else {
			n = 1;
			width = (size_t)snprintf(piece, sizeof piece, "\\x%02x", p[0]);
		}
		if (out + width + 4 > size) {
			if (size >= out + 4) {
				memcpy(ret_text + out, "...", 3);
				out += 3;
			}
			break;
		}
		memcpy(ret_text + out, piece, width);
		out += width;
		at += (size_t)n;
	}
	if (size)
		ret_text[out] = '\0';
	return ret_text;
}

size_t str_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t row[65];

	if (la > 64 || lb > 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t up = row[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = up;
		}
	}
	return row[lb];
}
