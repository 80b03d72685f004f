#include "cli/log_merge.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define HOLD	 (100 * NSEC_PER_MSEC)
#define HELD_MAX ((size_t)1 << 20)

/* The place of the time in a line: the beginning, or the value of a JSON member. */
static void find_key(struct held *h)
{
	const char *time = h->text[0] == '{' ? strstr(h->text, "\"time\":") : NULL;

	if (h->text[0] == '{' && !time)
		time = strstr(h->text, "\"at\":");
	if (time) {
		time = strchr(time, ':') + 1;
		time += strspn(time, " \"");
	} else {
		time = h->text;
	}
	h->key = (size_t)(time - h->text);
	h->key_len = strcspn(time, " \",");
}

static int compare(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int order = strncmp(x->text + x->key, y->text + y->key, n);

	return order ? order : x < y ? -1 : 1;
}

/* "... app[web.1]: " becomes "... app[shop/web.1]: ", unless it says so already. */
static char *with_app(const struct app *app, const char *line, size_t len, bool raw)
{
	const char *open = memchr(line, '[', len), *brace = len && *line == '{' ? line : NULL;
	size_t name = strlen(app->name);
	bool said =
		raw || (brace ? memmem(line, len, ",\"app\":\"", 8) != NULL
			      : !open || (strncmp(open + 1, app->name, name) == 0 &&
						 (open[1 + name] == '/' || open[1 + name] == ']')));
	char *text = NULL;
	int n;

	if (said)
		n = asprintf(&text, "%.*s\n", (int)len, line);
	else if (brace)
		n = asprintf(&text, "{\"app\":\"%s\",%.*s\n", app->name, (int)len - 1, line + 1);
	else
		n = asprintf(&text, "%.*s%s/%.*s\n", (int)(open + 1 - line), line, app->name,
			(int)(line + len - open - 1), open + 1);
	return n < 0 ? NULL : text;
}

void log_merge_print(struct log_merge *m)
{
	if (m->n > 1 && !m->raw)
		qsort(m->held, m->n, sizeof *m->held, compare);
	for (size_t i = 0; i < m->n; i++) {
		(void)fputs(m->held[i].text, stdout);
		free(m->held[i].text);
	}
	m->n = 0;
}

int log_merge_add(struct log_merge *m, const struct app *app, const char *line, size_t len)
{
	if (mem_grow(&m->held, &m->cap, m->n + 1, HELD_MAX, sizeof *m->held) < 0)
		log_merge_print(m);
	if (!m->held)
		return -ENOMEM;
	struct held h = {.text = with_app(app, line, len, m->raw)};
	if (!h.text)
		return -ENOMEM;
	find_key(&h);
	if (m->n == 0)
		m->oldest = clock_now();
	m->held[m->n++] = h;
	return 0;
}

bool log_merge_due(const struct log_merge *m)
{
	return m->n > 0 && clock_now() > m->oldest + HOLD;
}

void log_merge_done(struct log_merge *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->held[i].text);
	free(m->held);
}
