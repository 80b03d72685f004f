#include "control/view.h"

#include "model/json_text.h"
#include "model/validate.h"

#include <errno.h>
#include <jansson.h>

static json_t *load(const char *text, size_t len, struct err *err)
{
	json_error_t error;
	size_t values, at;
	char shown[160];

	if (len == 0 || strspn(text, " \t\r\n") >= len) {
		json_t *empty = json_object();

		if (!empty)
			(void)err_errno(err, -ENOMEM, "body");
		return empty;
	}
	/* Before the library builds anything of it. */
	if (json_text_measure(text, len, &values, &at) < 0) {
		(void)err_set(err, -EINVAL, "the body is nested too deep");
		return NULL;
	}
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		(void)err_set(err, -EINVAL, "the body is not JSON: line %d, column %d: %s",
			error.line, error.column,
			str_printable(error.text, strlen(error.text), shown, sizeof shown));
		return NULL;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		(void)err_set(err, -EINVAL, "the body must be a JSON object: {...}");
		return NULL;
	}
	return root;
}

static void decrefp(json_t **j)
{
	json_decref(*j);
}

#define _cleanup_json_ HSUP_CLEANUP(decrefp)

void view_list_done(struct view_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
	*l = (struct view_list){0};
}

static int take_texts(struct view_list *to, json_t *value, const char *name, struct err *err)
{
	size_t n = json_is_array(value) ? json_array_size(value) : 1;

	if (n > LIMIT_CONTROL_NAMES)
		return err_set(err, -EINVAL, "\"%s\" has more than %d elements", name,
			LIMIT_CONTROL_NAMES);
	char **list = calloc(n + 1, sizeof *list);
	if (!list)
		return err_errno(err, -ENOMEM, "body");
	to->list = list;
	for (size_t i = 0; i < n; i++) {
		json_t *one = json_is_array(value) ? json_array_get(value, i) : value;

		if (!json_is_string(one))
			return err_set(
				err, -EINVAL, "\"%s\" must be a list of texts: [\"web.*\"]", name);
		list[i] = strdup(json_string_value(one));
		if (!list[i])
			return err_errno(err, -ENOMEM, "body");
		to->n++;
	}
	return 0;
}

static int take(const struct view_field *f, json_t *value, struct err *err)
{
	switch (f->kind) {
	case VIEW_TEXT:
		if (!json_is_string(value))
			return err_set(err, -EINVAL, "\"%s\" must be a text", f->name);
		*(char **)f->to = strdup(json_string_value(value));
		return *(char **)f->to ? 0 : err_errno(err, -ENOMEM, "body");
	case VIEW_TEXTS:
		return take_texts(f->to, value, f->name, err);
	case VIEW_INT:
		if (!json_is_integer(value))
			return err_set(err, -EINVAL, "\"%s\" must be a whole number", f->name);
		*(int64_t *)f->to = json_integer_value(value);
		return 0;
	case VIEW_BOOL:
		if (!json_is_boolean(value))
			return err_set(err, -EINVAL, "\"%s\" must be true or false", f->name);
		*(bool *)f->to = json_is_true(value);
		return 0;
	}
	return 0;
}

static int unknown_member(
	const char *key, const struct view_field *fields, size_t n, struct err *err)
{
	const char *names[16];
	char shown[80];

	for (size_t i = 0; i < n && i < ARRAY_SIZE(names); i++)
		names[i] = fields[i].name;
	const char *near = nearest_name(key, names, n < ARRAY_SIZE(names) ? n : 0);
	str_printable(key, strlen(key), shown, sizeof shown);
	if (near)
		return err_set(err, -EINVAL, "the body has no member \"%s\"; did you mean \"%s\"?",
			shown, near);
	return err_set(err, -EINVAL, "the body has no member \"%s\"", shown);
}

int view_read(
	const char *text, size_t len, const struct view_field *fields, size_t n, struct err *err)
{
	_cleanup_json_ json_t *root = load(text, len, err);
	const char *key;
	json_t *value;

	if (!root)
		return err->code;
	json_object_foreach(root, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(fields[i].name, key) != 0)
			i++;
		int r = i < n ? take(&fields[i], value, err) : unknown_member(key, fields, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A number, or a text: "3", "+1", "-2". */
static int take_amount(const char *type, json_t *value, struct scale *to, struct err *err)
{
	const char *text = json_string_value(value);
	char *end = NULL, shown[80];
	long long amount;

	if (json_is_integer(value)) {
		amount = json_integer_value(value);
	} else {
		errno = 0;
		amount = text ? strtoll(text, &end, 10) : 0;
		if (!text || !*text || *end || errno || strchr(" \t\n\v\f\r", *text))
			return err_set(err, -EINVAL,
				"\"%s\": a quantity is a number (3) or a difference (\"+1\")",
				str_printable(type, strlen(type), shown, sizeof shown));
		to->relative = *text == '+' || *text == '-';
	}
	if (amount > LIMIT_QUANTITY || amount < (to->relative ? -LIMIT_QUANTITY : 0))
		return err_set(err, -ERANGE, "\"%s\": a quantity is from 0 to %d, not %lld",
			str_printable(type, strlen(type), shown, sizeof shown), LIMIT_QUANTITY,
			amount);
	to->amount = (int)amount;
	return 0;
}

int view_read_scale(
	const char *text, size_t len, struct scale **ret_list, size_t *ret_n, struct err *err)
{
	_cleanup_json_ json_t *root = load(text, len, err);
	const char *key;
	json_t *value;
	size_t n = 0;
	char shown[80];

	if (!root)
		return err->code;
	if (json_object_size(root) == 0)
		return err_set(err, -EINVAL, "the body names no process type: {\"web\": 3, ...}");
	if (json_object_size(root) > LIMIT_TYPES)
		return err_set(err, -EINVAL, "the body names more than %d types", LIMIT_TYPES);
	_cleanup_free_ struct scale *list = calloc(json_object_size(root), sizeof *list);
	if (!list)
		return err_errno(err, -ENOMEM, "body");
	json_object_foreach(root, key, value)
	{
		if (strlen(key) > LIMIT_TYPE_NAME)
			return err_set(err, -ENOENT, "no process type \"%s\"",
				str_printable(key, strlen(key), shown, sizeof shown));
		memcpy(list[n].type, key, strlen(key) + 1);
		int r = take_amount(key, value, &list[n], err);
		if (r < 0)
			return r;
		n++;
	}
	*ret_list = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}
