#include "io/line.h"

#include "base/str.h"

#include <string.h>

/* The decision depends on the first limit + 2 bytes only (a text of `limit` bytes, "\r", "\n"), so
 * the pieces are the same however the data arrived. */
size_t line_next(const char *data, size_t len, size_t limit, bool end, size_t *ret_len)
{
	if (len == 0)
		return 0;

	size_t span = len < limit + 2 ? len : limit + 2;
	const char *newline = memchr(data, '\n', span);

	if (newline) {
		size_t at = (size_t)(newline - data);
		size_t text = at > 0 && data[at - 1] == '\r' ? at - 1 : at;

		if (text <= limit) {
			*ret_len = text;
			return at + 1;
		}
	}
	if (len <= limit) {
		if (!end)
			return 0;
		*ret_len = len;
		return len;
	}
	/* It may yet be "\r\n" behind a text that fits exactly. */
	if (len == limit + 1 && data[limit] == '\r' && !end)
		return 0;

	size_t cut = utf8_cut(data, limit);
	if (cut == 0)
		cut = limit;
	*ret_len = cut;
	return cut;
}
