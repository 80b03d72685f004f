#include "cli/sse.h"

#include <stdio.h>

static int dispatch(struct sse *s)
{
	int r = 0;

	if (s->data.len > 0 && !s->skip)
		r = s->event(s->userdata, s->kind[0] ? s->kind : "message", s->id, s->data.data);
	strbuf_reset(&s->data);
	s->kind[0] = '\0';
	s->skip = false;
	return r;
}

static int take_line(struct sse *s)
{
	char *line = s->line.data ? s->line.data : (char[1]){""};
	size_t name = strcspn(line, ":");
	char *value = line[name] ? line + name + 1 : line + name;

	if (!*line)
		return dispatch(s);
	value += *value == ' ';
	line[name] = '\0';
	if (strcmp(line, "event") == 0)
		(void)snprintf(s->kind, sizeof s->kind, "%s", value);
	else if (strcmp(line, "id") == 0)
		(void)snprintf(s->id, sizeof s->id, "%s", value);
	else if (strcmp(line, "data") == 0) {
		if (s->data.len > 0)
			(void)strbuf_puts(&s->data, "\n");
		(void)strbuf_puts(&s->data, value);
		s->skip = s->skip || s->data.error;
	}
	return 0;
}

int sse_feed(struct sse *s, const char *bytes, size_t len)
{
	int r = 0;

	s->line.limit = s->data.limit = SSE_BYTES;
	while (len > 0 && r == 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;

		(void)strbuf_add(&s->line, bytes, n);
		s->skip = s->skip || s->line.error;
		bytes += n;
		len -= n;
		if (!end)
			break;
		bytes++;
		len--;
		if (s->line.len > 0 && s->line.data[s->line.len - 1] == '\r')
			s->line.data[--s->line.len] = '\0';
		r = take_line(s);
		strbuf_reset(&s->line);
		s->line.error = 0;
	}
	return r;
}

void sse_done(struct sse *s)
{
	strbuf_done(&s->line);
	strbuf_done(&s->data);
}
