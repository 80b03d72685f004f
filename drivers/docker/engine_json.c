/* What an engine says, and how it is asked. */
#include "drivers/docker/engine_private.h"

#include <errno.h>
#include <stdio.h>

const char *json_text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

int64_t json_number_of(const json_t *o, const char *name, int64_t other)
{
	const json_t *value = json_object_get(o, name);

	return json_is_integer(value) ? json_integer_value(value) : other;
}

bool json_true_of(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

bool json_is_list(const json_t *o)
{
	const json_t *member;
	size_t i;

	json_array_foreach(
		(json_t *)(uintptr_t)o, i, member) if (!*json_text_of(member, "Id")) return false;
	return json_is_array(o);
}

/* dockerd: {"message"}, podman: {"cause", "message", "response"}; a proxy in between: anything.
 * Returns ret_text. */
static char *said(const char *body, size_t len, char *ret_text, size_t size)
{
	const char *begin = len ? memchr(body, '{', len) : NULL;
	json_t *o = begin ? json_loadb(begin, len - (size_t)(begin - body), JSON_DISABLE_EOF_CHECK,
				    NULL)
			  : NULL;
	const char *text = json_text_of(o, "message");

	if (!*text)
		text = json_text_of(o, "cause");
	size_t n = strlen(text);
	if (n == 0) {
		const char *newline = len ? memchr(body, '\n', len) : NULL;

		text = body;
		n = newline ? (size_t)(newline - body) : len;
	}
	while (n > 0 && strchr("\r\n ", text[n - 1]))
		n--;
	str_printable(n ? text : "", n, ret_text, size);
	json_decref(o);
	return ret_text;
}

static int code_of(unsigned status)
{
	switch (status) {
	case 400:
		return -EINVAL;
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return -EEXIST;
	default:
		return -EIO;
	}
}

int engine_refused(
	const struct engine *e, unsigned status, const char *body, size_t len, struct err *err)
{
	const char *kind = e->podman ? "podman" : "docker";
	char text[400];

	if (*said(body, len, text, sizeof text))
		return err_set(err, code_of(status), "%s: %s", kind, text);
	return err_set(err, code_of(status), "%s: status %u, and not a word why", kind, status);
}
