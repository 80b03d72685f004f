/* What the operator wants beside the release, kept over all lives of the supervisor: quantities,
 * and dynos that are to stay stopped. One line each: "web 3 1" (scaled to 3 when the release said
 * 1), "web 2" (web.2 is stopped). */
#include "base/parse.h"
#include "base/str.h"
#include "supervisor/private.h"

#include <stdio.h>

#define SCALED	"scaled"
#define STOPPED "stopped"

#define WISHES_BYTES ((size_t)1 << 20)

static void remember(struct supervisor *s, const char *key, const struct strbuf *text)
{
	struct err err = {0};
	int r = text->error;

	if (!s->setup->source->remember || !s->holds_source)
		return;
	if (r == 0)
		r = s->setup->source->remember(
			s->source_state, key, text->data ? text->data : "", &err);
	if (r < 0)
		router_note(s->router, NULL,
			"warning: what the operator wants cannot be written down, and will be "
			"forgotten with this supervisor: %s",
			*err.text ? err.text : err_name(r));
}

void wishes_scaled(struct supervisor *s, const struct engine_action *a)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(WISHES_BYTES);

	for (size_t i = 0; i < a->n_overrides; i++)
		if (a->overrides[i].by_operator)
			(void)strbuf_printf(&text, "%s %u %u\n", a->overrides[i].type,
				a->overrides[i].quantity, a->overrides[i].base);
	remember(s, SCALED, &text);
}

void wishes_resting(struct supervisor *s, const struct engine_action *a)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(WISHES_BYTES);

	for (size_t i = 0; i < a->n_rests; i++)
		(void)strbuf_printf(&text, "%s %u\n", a->rests[i].type, a->rests[i].instance);
	remember(s, STOPPED, &text);
}

/* "TYPE N [M]": how many of the three. A line that somebody spoilt is passed over. */
static int parse_line(char *line, char ret_type[LIMIT_TYPE_NAME + 1], unsigned ret_numbers[2])
{
	char *rest = NULL, *word = strtok_r(line, " ", &rest);
	int n = 0;

	if (!word || strlen(word) > LIMIT_TYPE_NAME)
		return 0;
	(void)snprintf(ret_type, LIMIT_TYPE_NAME + 1, "%s", word);
	while (n < 2 && (word = strtok_r(NULL, " ", &rest)))
		if (parse_uint(word, INT_MAX, &ret_numbers[n++]) < 0)
			return 0;
	return 1 + n;
}

static char *recall(struct supervisor *s, const char *key)
{
	char *text = NULL;

	if (s->setup->source->recall && s->setup->source->recall(s->source_state, key, &text) > 0)
		return text;
	return NULL;
}

size_t wishes_recall_scaled(struct supervisor *s, struct quantity_override ret[LIMIT_TYPES])
{
	_cleanup_free_ char *text = recall(s, SCALED);
	char *rest = NULL;
	unsigned numbers[2];
	size_t n = 0;

	for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest)) {
		struct quantity_override o = {.by_operator = true};
		size_t at = 0;

		if (parse_line(line, o.type, numbers) != 3 || numbers[0] > LIMIT_QUANTITY)
			continue;
		o.quantity = numbers[0];
		o.base = numbers[1];
		/* Of a type said twice, the last. */
		while (at < n && strcmp(ret[at].type, o.type) != 0)
			at++;
		if (at == LIMIT_TYPES)
			break;
		ret[at] = o;
		n += at == n;
	}
	return n;
}

size_t wishes_recall_resting(struct supervisor *s, struct engine_rest **ret)
{
	_cleanup_free_ char *text = recall(s, STOPPED);
	struct engine_rest *list = NULL;
	size_t n = 0, cap = 0;
	char *rest = NULL;
	unsigned numbers[2];

	for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest)) {
		struct engine_rest found = {0};

		if (parse_line(line, found.type, numbers) != 2 ||
			mem_grow(&list, &cap, n + 1, LIMIT_QUANTITY, sizeof *list) < 0)
			continue;
		found.instance = numbers[0];
		list[n++] = found;
	}
	*ret = list;
	return n;
}
