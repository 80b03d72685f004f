#include "checks/answer.h"

#include <errno.h>
#include <string.h>

#define SWITCHING 101

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN", as far as it is there: does it still look like that? */
static bool fits(const char *line, size_t len)
{
	static const char form[] = "HTTP/1.d ddd";

	for (size_t i = 0; i < len && i < sizeof form - 1; i++)
		if (form[i] == 'd' ? !is_digit(line[i]) : line[i] != form[i])
			return false;
	return len < sizeof form || line[sizeof form - 1] == ' ' || line[sizeof form - 1] == '\r';
}

/* A whole line, without its end. As http_answer_feed(). */
static int take_line(struct http_answer *a)
{
	if (a->len > 0 && a->line[a->len - 1] == '\r')
		a->len--;
	a->line[a->len] = '\0';
	if (a->skipping) {
		a->skipping = a->len > 0;
		a->len = 0;
		return 0;
	}
	if (a->len < strlen("HTTP/1.1 200"))
		return -EBADMSG;
	const char *digits = a->line + strlen("HTTP/1.1 ");
	int status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
	if (status < 100 || status > 599)
		return -EBADMSG;
	if (status >= 200 || status == SWITCHING)
		return status;
	a->skipping = true;
	a->len = 0;
	return 0;
}

int http_answer_feed(struct http_answer *a, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (++a->taken > HTTP_BYTES_MAX)
			return -E2BIG;
		if (data[i] == '\n') {
			int r = take_line(a);
			if (r != 0)
				return r;
			continue;
		}
		/* Of a header only whether it is empty matters. */
		if (a->len == HTTP_LINE_MAX && a->skipping)
			continue;
		if (a->len == HTTP_LINE_MAX)
			return -EBADMSG;
		a->line[a->len++] = data[i];
		a->line[a->len] = '\0';
		if (!a->skipping && !fits(a->line, a->len))
			return -EBADMSG;
	}
	return 0;
}
