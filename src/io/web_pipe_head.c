#include "io/web_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* "HTTP/1.1 101 ..." */
static unsigned status_of(const char *line, size_t len)
{
	if (len < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++)
		if (!isdigit((unsigned char)line[i]))
			return 0;
	if (len > 12 && line[12] != ' ' && line[12] != '\r')
		return 0;
	return (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
}

/* The value of the header `name` in a line, NULL = it is another one. */
static const char *value_of(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return NULL;
	line += n + 1;
	while (*line == ' ' || *line == '\t')
		line++;
	return line;
}

static void read_header(const char *line, size_t len, struct web_head *h)
{
	const char *value = value_of(line, len, "Content-Length");

	if (value && isdigit((unsigned char)*value)) {
		h->body = 0;
		for (; isdigit((unsigned char)*value) && h->body < 1000000; value++)
			h->body = h->body * 10 + (*value - '0');
	}
	value = value_of(line, len, "Transfer-Encoding");
	if (value && strncasecmp(value, "chunked", 7) == 0)
		h->chunked = true;
}

int web_head_parse(const char *data, size_t len, struct web_head *ret_head)
{
	struct web_head h = {.body = -1};
	size_t at = 0;

	while (at < len) {
		const char *line = data + at;
		const char *newline = memchr(line, '\n', len - at);
		if (!newline)
			break;
		size_t n = (size_t)(newline - line);
		at += n + 1;
		if (at > WEB_HEAD_MAX)
			return -EPROTO;
		if (h.status == 0) {
			h.status = status_of(line, n);
			if (h.status < 100)
				return -EPROTO;
			continue;
		}
		if (n == 0 || (n == 1 && line[0] == '\r')) {
			h.len = at;
			*ret_head = h;
			return 0;
		}
		read_header(line, n, &h);
	}
	/* Who has not said HTTP by now never will. */
	if (len > WEB_HEAD_MAX || strncmp(data, "HTTP/1.", len < 7 ? len : 7) != 0)
		return -EPROTO;
	return -EAGAIN;
}

/* Takes the payload out of chunks; true at their end, and at what is no chunk. */
static bool unchunk(const char *data, size_t len, char *ret_text, size_t *ret_len)
{
	size_t at = 0, size, got = 0;
	bool end = false;

	while (!end && at < len) {
		const char *newline = memchr(data + at, '\n', len - at);

		if (!newline)
			break;
		size = isxdigit((unsigned char)data[at]) ? strtoul(data + at, NULL, 16) : 0;
		at = (size_t)(newline - data) + 1;
		end = size == 0;
		if (size > len - at)
			size = len - at;
		if (size > WEB_TEXT_MAX - got)
			size = WEB_TEXT_MAX - got;
		memcpy(ret_text + got, data + at, size);
		got += size;
		at += size + 2; /* and its line end */
		end |= got == WEB_TEXT_MAX;
	}
	*ret_len = got;
	return end;
}

bool web_head_body(
	const struct web_head *h, const char *data, size_t len, char ret_text[WEB_TEXT_MAX + 1])
{
	bool end;

	if (h->chunked) {
		end = unchunk(data, len, ret_text, &len);
	} else {
		end = len >= WEB_TEXT_MAX || (h->body >= 0 && len >= (size_t)h->body);
		if (len > WEB_TEXT_MAX)
			len = WEB_TEXT_MAX;
		if (len)
			memcpy(ret_text, data, len);
	}
	ret_text[len] = '\0';
	return end;
}
