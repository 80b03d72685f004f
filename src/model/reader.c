#include "model/reader.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const kind_text[] = {
	[NODE_NULL] = "null",
	[NODE_BOOLEAN] = "a boolean",
	[NODE_INTEGER] = "a number",
	[NODE_REAL] = "a number",
	[NODE_STRING] = "a string",
	[NODE_LIST] = "a list",
	[NODE_OBJECT] = "an object",
};

void reader_error(struct reader *rd, size_t offset, const char *fmt, ...)
{
	struct release_error e;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	memcpy(e.path, rd->path, sizeof e.path);
	json_text_place(rd->text, offset, &e.line, &e.column);
	if (release_errors_add(rd->errors, &e) == -ENOMEM)
		rd->fault = -ENOMEM;
}

void reader_member_error(struct reader *rd, uint32_t object, const char *key, const char *text)
{
	size_t mark = reader_enter_key(rd, key);
	uint32_t member = json_text_member(rd->text, object, key);

	reader_error(rd, reader_node(rd, member ? member : object)->value, "%s", text);
	reader_leave(rd, mark);
}

void reader_inner_error(
	struct reader *rd, uint32_t object, const char *key, const char *inner, const char *text)
{
	size_t mark = reader_enter_key(rd, key);
	uint32_t member = json_text_member(rd->text, object, key);

	reader_member_error(rd, member ? member : object, inner, text);
	reader_leave(rd, mark);
}

static size_t enter(struct reader *rd, const char *piece)
{
	size_t mark = rd->path_len, room = sizeof rd->path - 1 - mark, len = strlen(piece);

	if (len > room)
		len = utf8_cut(piece, room);
	memcpy(rd->path + mark, piece, len);
	rd->path_len = mark + len;
	rd->path[rd->path_len] = '\0';
	return mark;
}

size_t reader_enter_key(struct reader *rd, const char *key)
{
	char shown[READER_SHOWN], piece[READER_SHOWN + 8];

	str_printable(key, strlen(key), shown, sizeof shown);
	if (rule_type(key) == NULL)
		(void)snprintf(piece, sizeof piece, "%s%s", rd->path_len ? "." : "", shown);
	else
		(void)snprintf(piece, sizeof piece, "[\"%s\"]", shown);
	return enter(rd, piece);
}

size_t reader_enter_index(struct reader *rd, size_t index)
{
	char piece[32];

	(void)snprintf(piece, sizeof piece, "[%zu]", index);
	return enter(rd, piece);
}

void reader_leave(struct reader *rd, size_t mark)
{
	rd->path_len = mark;
	rd->path[mark] = '\0';
}

char *reader_shown(const struct reader *rd, uint32_t node, char ret_text[READER_SHOWN])
{
	return str_printable(rd->text->data + reader_node(rd, node)->value,
		json_text_scalar(rd->text, node), ret_text, READER_SHOWN);
}

void reader_wrong_kind(struct reader *rd, uint32_t node, const char *wanted)
{
	const struct json_node *n = reader_node(rd, node);

	reader_error(rd, n->value, "must be %s, not %s%s", wanted, kind_text[n->kind],
		n->kind == NODE_NULL && n->name ? "; leave the key out instead" : "");
}

bool reader_is(struct reader *rd, uint32_t node, enum node_kind kind)
{
	if (reader_node(rd, node)->kind == kind)
		return true;
	reader_wrong_kind(rd, node, kind_text[kind]);
	return false;
}

bool reader_member(struct reader *rd, uint32_t node)
{
	const struct json_node *n = reader_node(rd, node);

	if (n->repeated)
		reader_error(rd, n->key, "is given twice in the same object");
	return !n->overridden;
}

size_t reader_list(struct reader *rd, uint32_t node, size_t max, const char *what)
{
	size_t n = 0;

	if (!reader_is(rd, node, NODE_LIST))
		return SIZE_MAX;
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		if (n++ == max) {
			reader_error(
				rd, reader_node(rd, i)->value, "has more than %zu %s", max, what);
			return SIZE_MAX;
		}
	}
	return n;
}

const char *reader_string(struct reader *rd, uint32_t node, rule_fn rule)
{
	const struct json_node *n = reader_node(rd, node);
	char shown[READER_SHOWN];

	if (n->kind == NODE_INTEGER || n->kind == NODE_REAL || n->kind == NODE_BOOLEAN) {
		reader_error(rd, n->value, "must be a string, not %s (write \"%s\")",
			kind_text[n->kind], reader_shown(rd, node, shown));
		return NULL;
	}
	if (!reader_is(rd, node, NODE_STRING))
		return NULL;
	if (strlen(n->string.data) != n->string.len) {
		reader_error(rd, n->value, "must not hold a NUL character (\\u0000)");
		return NULL;
	}
	const char *wrong = rule ? rule(n->string.data) : NULL;
	if (wrong) {
		reader_error(rd, n->value, "%s, not %s", wrong, reader_shown(rd, node, shown));
		return NULL;
	}
	return n->string.data;
}

char *reader_copy(struct reader *rd, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		rd->fault = -ENOMEM;
	return copy;
}

static void unknown_key(
	struct reader *rd, const struct json_node *n, const struct field *fields, size_t n_fields)
{
	const char *names[32];
	char shown[READER_SHOWN];
	struct strbuf known = STRBUF(sizeof(((struct release_error *)NULL)->text));

	str_printable(n->name, strlen(n->name), shown, sizeof shown);
	if (n_fields > ARRAY_SIZE(names))
		n_fields = ARRAY_SIZE(names);
	for (size_t i = 0; i < n_fields; i++) {
		names[i] = fields[i].key;
		strbuf_printf(&known, "%s%s", i ? ", " : "", fields[i].key);
	}
	const char *nearest = nearest_name(n->name, names, n_fields);
	if (nearest)
		reader_error(
			rd, n->key, "unknown key \"%s\"; did you mean \"%s\"?", shown, nearest);
	else
		reader_error(rd, n->key, "unknown key \"%s\"; known here: %s", shown,
			known.data ? known.data : "");
	strbuf_done(&known);
}

static const struct field *find_field(const struct field *fields, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	}
	return NULL;
}

void reader_object(
	struct reader *rd, uint32_t node, const struct field *fields, size_t n, void *object)
{
	if (!reader_is(rd, node, NODE_OBJECT))
		return;
	for (size_t i = 0; i < n; i++) {
		if (fields[i].required && !json_text_member(rd->text, node, fields[i].key)) {
			size_t mark = reader_enter_key(rd, fields[i].key);
			reader_error(rd, reader_node(rd, node)->value, "%s", fields[i].required);
			reader_leave(rd, mark);
		}
	}
	for (uint32_t i = reader_node(rd, node)->child; i && !rd->errors->more;
		i = reader_node(rd, i)->next) {
		const struct json_node *member = reader_node(rd, i);
		const struct field *f = find_field(fields, n, member->name);
		size_t mark = reader_enter_key(rd, member->name);
		bool wanted = reader_member(rd, i);

		if (!f && !member->repeated)
			unknown_key(rd, member, fields, n);
		else if (f && wanted && f->required && member->kind == NODE_NULL)
			reader_error(rd, member->value, "%s", f->required);
		else if (f && wanted)
			f->read(rd, i, f, (char *)object + f->offset);
		reader_leave(rd, mark);
	}
}
