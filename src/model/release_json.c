/* From the text of a document to what it says. The JSON library is seen in this file only. */
#include "model/config.h"
#include "model/reader.h"

#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* A fault of the document as a whole, at a byte of it. */
static int refuse(
	struct release_errors *errors, const char *text, size_t len, size_t at, const char *what)
{
	struct json_text place = {.data = text, .len = len};
	struct release_error e = {0};

	json_text_place(&place, at, &e.line, &e.column);
	(void)snprintf(e.text, sizeof e.text, "%s", what);
	return release_errors_add(errors, &e) == -ENOMEM ? -ENOMEM : -EINVAL;
}

/* What can be said of a text before it is parsed. 0 with an upper bound of its values. */
static int check_text(
	const char *text, size_t len, size_t *ret_values, struct release_errors *errors)
{
	char what[200];
	size_t at;

	if (len > LIMIT_RELEASE_BYTES) {
		(void)snprintf(what, sizeof what,
			"the document has %zu bytes; at most %zu are read", len,
			LIMIT_RELEASE_BYTES);
		return refuse(errors, text, len, LIMIT_RELEASE_BYTES, what);
	}
	for (at = 0; at < len && strchr(" \t\r\n", text[at]) && text[at];)
		at++;
	if (at == len)
		return refuse(errors, text, len, 0, "the document is empty");
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return refuse(errors, text, len, 0,
			"begins with a byte order mark; save it as UTF-8 without one");
	at = utf8_valid_prefix(text, len);
	if (at < len) {
		(void)snprintf(what, sizeof what, "is not UTF-8: byte 0x%02x at offset %zu",
			(unsigned char)text[at], at);
		return refuse(errors, text, len, at, what);
	}
	if (json_text_measure(text, len, ret_values, &at) < 0) {
		(void)snprintf(
			what, sizeof what, "is nested deeper than %d levels", LIMIT_RELEASE_DEPTH);
		return refuse(errors, text, len, at, what);
	}
	if (*ret_values > JSON_TEXT_VALUES) {
		(void)snprintf(what, sizeof what, "has more than %zu values", JSON_TEXT_VALUES);
		return refuse(errors, text, len, 0, what);
	}
	return 0;
}

static int refuse_syntax(
	struct release_errors *errors, const char *text, size_t len, const json_error_t *error)
{
	/* The library has read the offending token: point into it, not behind it. */
	size_t at = error->position > 0 ? (size_t)error->position - 1 : 0;
	char shown[160], what[200];

	enum json_error_code code = json_error_code(error);

	if (code == json_error_out_of_memory)
		return -ENOMEM;
	if (code == json_error_premature_end_of_input)
		return refuse(errors, text, len, len, "is not whole: the document ends too early");
	if (code == json_error_end_of_input_expected)
		return refuse(
			errors, text, len, at, "there is more behind the end of the document");
	str_printable(error->text, strlen(error->text), shown, sizeof shown);
	(void)snprintf(what, sizeof what, "is not JSON: %s", shown);
	return refuse(errors, text, len, at, what);
}

/* Gives node and all below it kind and value of the library's tree. Strings stay the tree's. Of
 * equal keys the tree has the last value only: an overridden node gets none and is never read. */
static void attach(struct json_text *t, uint32_t number, const json_t *value)
{
	struct json_node *node = &t->nodes[number];
	size_t index = 0;

	if (!value)
		return;
	switch (json_typeof(value)) {
	case JSON_NULL:
		node->kind = NODE_NULL;
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		node->kind = NODE_BOOLEAN;
		node->boolean = json_is_true(value);
		return;
	case JSON_INTEGER:
		node->kind = NODE_INTEGER;
		node->integer = json_integer_value(value);
		return;
	case JSON_REAL:
		node->kind = NODE_REAL;
		node->real = json_real_value(value);
		return;
	case JSON_STRING:
		node->kind = NODE_STRING;
		node->string.data = json_string_value(value);
		node->string.len = json_string_length(value);
		return;
	case JSON_ARRAY:
		node->kind = NODE_LIST;
		for (uint32_t i = node->child; i; i = t->nodes[i].next)
			attach(t, i, json_array_get(value, index++));
		return;
	case JSON_OBJECT:
		node->kind = NODE_OBJECT;
		for (uint32_t i = node->child; i; i = t->nodes[i].next) {
			if (!t->nodes[i].overridden)
				attach(t, i, json_object_get(value, t->nodes[i].name));
		}
		return;
	}
}

static bool comes_after(const struct release_error *a, const struct release_error *b)
{
	return a->line > b->line || (a->line == b->line && a->column > b->column);
}

/* Into document order; stable, and nearly sorted already. */
static void sort_errors(struct release_error *list, size_t from, size_t n)
{
	for (size_t i = from + 1; i < n; i++) {
		struct release_error moved = list[i];
		size_t at = i;
		for (; at > from && comes_after(&list[at - 1], &moved); at--)
			list[at] = list[at - 1];
		list[at] = moved;
	}
}

static int read_tree(struct reader *rd, const json_t *root, void (*read)(struct reader *rd))
{
	struct release_errors *errors = rd->errors;
	size_t before = errors->n;
	bool more_before = errors->more;

	errors->more = false;
	attach(rd->text, 0, root);
	read(rd);
	sort_errors(errors->list, before, errors->n);
	bool refused = errors->n > before || errors->more;
	errors->more = errors->more || more_before;
	if (rd->fault)
		return rd->fault;
	return refused ? -EINVAL : 0;
}

/* Checks a whole document and gives it to `read`, whose results are in *rd. */
static int read_document(
	const char *text, size_t len, struct reader *rd, void (*read)(struct reader *rd))
{
	struct release_errors *errors = rd->errors;
	struct json_text t = {0};
	json_error_t error;
	size_t values;
	int r = check_text(text, len, &values, errors);

	if (r < 0)
		return r;
	json_t *root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (!root)
		return refuse_syntax(errors, text, len, &error);
	rd->text = &t;
	r = json_text_index(&t, text, len, values);
	if (r == 0)
		r = read_tree(rd, root, read);
	else if (r == -EINVAL)
		r = refuse(errors, text, len, 0, "is not JSON");
	rd->text = NULL;
	json_text_done(&t);
	json_decref(root);
	return r;
}

int release_parse(
	const char *text, size_t len, struct release **ret_release, struct release_errors *errors)
{
	HSUP_CLEANUP(release_unrefp) struct release *release = release_new();
	struct reader rd = {.errors = errors, .release = release};

	int r = release ? read_document(text, len, &rd, read_release) : -ENOMEM;
	if (r == 0)
		*ret_release = TAKE_PTR(release);
	return r;
}

int config_parse(const char *text, size_t len, struct config *ret, struct release_errors *errors)
{
	struct config found = {0};
	struct reader rd = {.errors = errors, .config = &found};

	int r = read_document(text, len, &rd, read_config);
	if (r == 0)
		*ret = found;
	else
		config_done(&found);
	return r;
}

int release_text_renumber(
	const char *text, size_t len, int64_t version, char **ret_text, size_t *ret_len)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *number = json_integer(version);
	char *out = NULL;

	if (json_is_object(root) && number && json_object_set(root, "Version", number) == 0)
		out = json_dumps(root, JSON_INDENT(2));
	bool is_object = json_is_object(root);
	json_decref(number);
	json_decref(root);
	if (!out)
		return is_object ? -ENOMEM : -EINVAL;
	*ret_text = out;
	*ret_len = strlen(out);
	return 0;
}
