/* How a value of each kind is read and what it must keep to. */
#include "model/reader.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define SECONDS_MAX 86400

void read_text(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	const struct json_node *n = reader_node(rd, node);
	char **target = member;

	if (f->empty && n->kind == NODE_STRING && n->string.len == 0)
		return;
	const char *text = reader_string(rd, node, f->rule);
	if (text)
		*target = reader_copy(rd, text);
}

static bool whole(struct reader *rd, uint32_t node, const struct field *f, int64_t *ret)
{
	const struct json_node *n = reader_node(rd, node);
	char wanted[80], shown[READER_SHOWN];

	if (n->kind == NODE_INTEGER && n->integer >= f->min && n->integer <= f->max) {
		*ret = n->integer;
		return true;
	}
	(void)snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, f->min,
		f->max);
	if (n->kind == NODE_INTEGER || n->kind == NODE_REAL || n->kind == NODE_STRING)
		reader_error(
			rd, n->value, "must be %s, not %s", wanted, reader_shown(rd, node, shown));
	else
		reader_wrong_kind(rd, node, wanted);
	return false;
}

void read_int(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	int64_t value;

	if (whole(rd, node, f, &value))
		*(int *)member = (int)value;
}

void read_unsigned(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	int64_t value;

	if (whole(rd, node, f, &value))
		*(unsigned *)member = (unsigned)value;
}

void read_int64(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	(void)whole(rd, node, f, member);
}

void read_boolean(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *member)
{
	if (reader_node(rd, node)->kind == NODE_BOOLEAN)
		*(bool *)member = reader_node(rd, node)->boolean;
	else
		reader_wrong_kind(rd, node, "true or false");
}

void read_choice(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	const char *text = reader_string(rd, node, NULL);
	char wanted[120] = "", shown[READER_SHOWN];
	size_t len = 0;

	for (int i = 0; text && f->choices[i]; i++) {
		if (strcmp(text, f->choices[i]) == 0) {
			memcpy(member, &i, sizeof i);
			return;
		}
		len += (size_t)snprintf(wanted + len, sizeof wanted - len, "%s\"%s\"",
			i == 0		    ? ""
			: f->choices[i + 1] ? ", "
					    : " or ",
			f->choices[i]);
	}
	if (text)
		reader_error(rd, reader_node(rd, node)->value, "must be %s, not %s", wanted,
			reader_shown(rd, node, shown));
}

void read_seconds(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	const struct json_node *n = reader_node(rd, node);
	const char *wanted = f->min ? "a number of seconds above 0 and up to 86400"
				    : "a number of seconds from 0 to 86400";
	char shown[READER_SHOWN];

	if (n->kind != NODE_INTEGER && n->kind != NODE_REAL) {
		reader_wrong_kind(rd, node, wanted);
		return;
	}
	double seconds = n->kind == NODE_INTEGER ? (double)n->integer : n->real;
	/* The limits are met before the product is made: it could overflow. */
	if (seconds >= 0 && seconds <= SECONDS_MAX) {
		uint64_t ns = (uint64_t)(seconds * (double)NSEC_PER_SEC + 0.5);
		if (ns >= (uint64_t)f->min) {
			*(uint64_t *)member = ns;
			return;
		}
	}
	reader_error(rd, n->value, "must be %s, not %s", wanted, reader_shown(rd, node, shown));
}

void read_words(struct reader *rd, uint32_t node, char ***ret_words, size_t *ret_n)
{
	size_t at = 0, n = reader_list(rd, node, LIMIT_ARGS, "arguments");
	bool any = false;

	if (n == SIZE_MAX)
		return;
	char **words = calloc(n + 1, sizeof *words);
	if (!words) {
		rd->fault = -ENOMEM;
		return;
	}
	*ret_words = words;
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		const char *text = reader_string(rd, i, NULL);
		any = any || !text || *text;
		if (text && (words[*ret_n] = reader_copy(rd, text)))
			(*ret_n)++;
		reader_leave(rd, mark);
	}
	if (!any)
		reader_error(rd, reader_node(rd, node)->value,
			"must hold the command to run: a list of strings, not all of them empty");
}

void read_env(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *member)
{
	struct env *env = member;
	size_t bytes = 0;

	if (!reader_is(rd, node, NODE_OBJECT))
		return;
	for (uint32_t i = reader_node(rd, node)->child; i && !rd->errors->more;
		i = reader_node(rd, i)->next) {
		const struct json_node *n = reader_node(rd, i);
		size_t mark = reader_enter_key(rd, n->name);
		const char *wrong = rule_env_name(n->name);

		if (wrong)
			reader_error(rd, n->key, "%s", wrong);
		const char *value = reader_member(rd, i) ? reader_string(rd, i, NULL) : NULL;
		bytes += strlen(n->name) + (value ? strlen(value) : 0) + 2;
		reader_leave(rd, mark);
		if (env->n == LIMIT_ENV || bytes > LIMIT_ENV_BYTES) {
			reader_error(rd, n->key, "has more than %d variables or %zu bytes",
				LIMIT_ENV, LIMIT_ENV_BYTES);
			return;
		}
		if (value && !wrong && env_append(env, n->name, value) < 0)
			rd->fault = -ENOMEM;
	}
}
