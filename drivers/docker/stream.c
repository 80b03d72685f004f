#include "drivers/docker/stream.h"

#include <errno.h>

#define HEAD	8
#define NS_OF_S UINT64_C(1000000000)

static int take_head(struct stream_parser *p)
{
	const unsigned char *h = p->head;

	if (h[0] > STREAM_SYSTEM_ERROR || h[1] || h[2] || h[3])
		return -EBADMSG;
	p->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	if (p->left > STREAM_FRAME_MAX)
		return -EBADMSG;
	p->which = h[0];
	p->begun = true;
	return 0;
}

static void give(struct stream_parser *p, const char *data, size_t len, bool first,
	struct stream_piece *ret_piece)
{
	size_t n = len < p->left ? len : p->left;

	p->left -= (uint32_t)n;
	*ret_piece = (struct stream_piece){
		.which = p->which,
		.data = data,
		.len = n,
		.first = first,
		.last = p->left == 0,
	};
	p->begun = !ret_piece->last;
}

ssize_t stream_next(
	struct stream_parser *p, const char *data, size_t len, struct stream_piece *ret_piece)
{
	size_t used = 0;
	bool first = p->begun && p->n_head == HEAD;

	*ret_piece = (struct stream_piece){0};
	if (!p->begun) {
		used = HEAD - p->n_head < len ? HEAD - p->n_head : len;
		memcpy(p->head + p->n_head, data, used);
		p->n_head += (unsigned)used;
		if (p->n_head < HEAD)
			return (ssize_t)used;
		int r = take_head(p);
		if (r < 0)
			return r;
		first = true;
	}
	if (used == len && p->left > 0)
		return (ssize_t)used;
	p->n_head = 0;
	give(p, data + used, len - used, first, ret_piece);
	return (ssize_t)(used + ret_piece->len);
}

/* ---- stamps ---- */

static bool two_digits(const char *s, unsigned lowest, unsigned highest, unsigned *ret)
{
	unsigned tens = (unsigned char)s[0] - (unsigned)'0',
		 ones = (unsigned char)s[1] - (unsigned)'0';

	if (tens > 9 || ones > 9)
		return false;
	*ret = tens * 10 + ones;
	return *ret >= lowest && *ret <= highest;
}

/* Since 1970, of the Gregorian calendar: years begin in March, so that the leap day is their last.
 */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;

	return (int64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* "2026-11-22T00:03:31" */
static bool date_and_time(const char *s, int64_t *ret_seconds)
{
	unsigned century, year, month, day, hour, minute, second;

	if (!two_digits(s, 19, 99, &century) || !two_digits(s + 2, 0, 99, &year) || s[4] != '-' ||
		!two_digits(s + 5, 1, 12, &month) || s[7] != '-' ||
		!two_digits(s + 8, 1, 31, &day) || s[10] != 'T' ||
		!two_digits(s + 11, 0, 23, &hour) || s[13] != ':' ||
		!two_digits(s + 14, 0, 59, &minute) || s[16] != ':' ||
		!two_digits(s + 17, 0, 60, &second))
		return false;
	*ret_seconds = days_of(century * 100 + year, month, day) * 86400 + hour * 3600 +
		       minute * 60 + second;
	return true;
}

/* ".017633024", perhaps nothing. Its length. */
static ssize_t fraction(const char *s, size_t len, uint64_t *ret_ns)
{
	uint64_t ns = 0, unit = NS_OF_S / 10;
	size_t i = 1;

	*ret_ns = 0;
	if (len == 0)
		return -EAGAIN;
	if (s[0] != '.')
		return 0;
	for (; i < len && s[i] >= '0' && s[i] <= '9' && unit > 0; i++, unit /= 10)
		ns += (uint64_t)(s[i] - '0') * unit;
	if (i == len)
		return -EAGAIN;
	*ret_ns = ns;
	return i > 1 ? (ssize_t)i : -EBADMSG;
}

/* "Z " or "+01:00 ". Its length, 0 = that is none. */
static ssize_t zone(const char *s, size_t len, int64_t *ret_seconds)
{
	unsigned hours, minutes;
	size_t whole = len > 0 && s[0] == 'Z' ? 2 : 7;

	*ret_seconds = 0;
	if (len > 0 && s[0] != 'Z' && s[0] != '+' && s[0] != '-')
		return 0;
	if (len < whole)
		return -EAGAIN;
	if (s[whole - 1] != ' ')
		return 0;
	if (s[0] == 'Z')
		return (ssize_t)whole;
	if (!two_digits(s + 1, 0, 23, &hours) || s[3] != ':' || !two_digits(s + 4, 0, 59, &minutes))
		return 0;
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (s[0] == '-' ? -1 : 1);
	return (ssize_t)whole;
}

ssize_t stream_stamp(const char *data, size_t len, uint64_t *ret_ns)
{
	const size_t whole = strlen("2026-11-22T00:03:31");
	int64_t seconds, offset;
	uint64_t ns;

	if (len < whole)
		return -EAGAIN;
	if (!date_and_time(data, &seconds))
		return 0;
	ssize_t n = fraction(data + whole, len - whole, &ns);
	if (n < 0)
		return n == -EAGAIN ? n : 0;
	ssize_t z = zone(data + whole + n, len - whole - (size_t)n, &offset);
	if (z <= 0)
		return z;
	if (seconds < offset || (uint64_t)(seconds - offset) > UINT64_MAX / NS_OF_S - 1)
		return 0;
	*ret_ns = (uint64_t)(seconds - offset) * NS_OF_S + ns;
	return (ssize_t)whole + n + z;
}
