/* What a dyno answers to a check, and what it says of itself: whatever it is, and however the first
 * is cut in pieces, it is read the same, and within its bounds. */
#include "checks/answer.h"
#include "checks/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static int answer(const char *data, size_t size, size_t piece)
{
	struct http_answer a = {0};
	int r = 0;

	for (size_t at = 0; at < size && r == 0; at += piece) {
		r = http_answer_feed(&a, data + at, size - at < piece ? size - at : piece);
		demand(a.len <= HTTP_LINE_MAX && a.taken <= HTTP_BYTES_MAX + 1);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct notify_message m;

	int r = answer(text, size, size + 1);
	demand(r == 0 || r == -EBADMSG || r == -E2BIG || r == 101 || (r >= 200 && r <= 599));
	demand(answer(text, size, 1) == r);
	demand(answer(text, size, 7) == r);

	notify_parse(text, size, &m);
	demand(memchr(m.status, '\0', sizeof m.status));
	for (const char *p = m.status; *p; p++)
		demand((unsigned char)*p >= ' ' && *p != '\x7f');
	demand(m.has_status || !m.status[0]);
	return 0;
}
