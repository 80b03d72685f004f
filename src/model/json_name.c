/* Keys of JSON objects, decoded. */
#include "model/json_text.h"

#include <errno.h>

static int hex4(const char *p, const char *end, unsigned *ret)
{
	unsigned value = 0;

	if (end - p < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef";
		const char *hit =
			p[i] ? strchr(digits, p[i] | ('A' <= p[i] && p[i] <= 'F' ? 0x20 : 0))
			     : NULL;
		if (!hit)
			return -EINVAL;
		value = value * 16 + (unsigned)(hit - digits);
	}
	*ret = value;
	return 0;
}

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* The character of "\uXXXX" or of a surrogate pair of them, whose hex digits begin at *p. */
static int decode_unicode(const char **p, const char *end, unsigned *ret)
{
	unsigned high, low;

	if (hex4(*p, end, &high) < 0)
		return -EINVAL;
	*p += 4;
	if (high >= 0xd800 && high < 0xdc00) {
		if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u' ||
			hex4(*p + 2, end, &low) < 0 || low < 0xdc00 || low > 0xdfff)
			return -EINVAL;
		*p += 6;
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	*ret = high;
	return 0;
}

char *json_name_decode(const char *p, const char *end, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	while (p < end) {
		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		if (++p == end)
			return NULL;
		char c = *p++;
		if (c == 'u') {
			unsigned code;
			if (decode_unicode(&p, end, &code) < 0)
				return NULL;
			out = put_utf8(out, code);
		} else {
			const char *hit = c ? strchr(from, c) : NULL;
			if (!hit)
				return NULL;
			*out++ = to[hit - from];
		}
	}
	return out;
}
