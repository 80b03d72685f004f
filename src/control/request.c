#include "control/request.h"

#include "base/str.h"

#include <errno.h>

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* In place; text ends behind what was decoded. */
static int decode(char *text, bool plus_is_blank, struct err *err)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char c = *from;

		if (c == '%') {
			int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);

			if (low < 0)
				return err_set(err, -EINVAL,
					"the path or query has a '%%' that two hex digits do not "
					"follow");
			c = (char)(high << 4 | low);
			from += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		/* No name, pattern or time has any; and who reads the log is not to be misled. */
		if ((unsigned char)c < ' ' || c == 0x7f)
			return err_set(err, -EINVAL,
				"the path or query has a control character (0x%02x)",
				(unsigned char)c);
		*to++ = c;
	}
	*to = '\0';
	size_t len = (size_t)(to - text);
	if (utf8_valid_prefix(text, len) < len)
		return err_set(err, -EINVAL, "the path or query is not UTF-8");
	return 0;
}

static int parse_path(struct request *r, char *path, struct err *err)
{
	if (*path != '/')
		return err_set(err, -EINVAL, "the path does not begin with '/'");
	for (char *at = path + 1, *next; at; at = next) {
		next = strchr(at, '/');
		if (next)
			*next++ = '\0';
		if (r->n_segments == REQUEST_SEGMENTS)
			return err_set(err, -ENOENT, "no such path");
		int d = decode(at, false, err);
		if (d < 0)
			return d;
		r->segments[r->n_segments++] = at;
	}
	return 0;
}

static int parse_query(struct request *r, char *query, struct err *err)
{
	for (char *at = query, *next; at; at = next) {
		next = strchr(at, '&');
		if (next)
			*next++ = '\0';
		if (!*at)
			continue;
		if (r->n_params == LIMIT_CONTROL_PARAMS)
			return err_set(err, -E2BIG, "the query has more than %d parameters",
				LIMIT_CONTROL_PARAMS);
		char *value = strchr(at, '=');
		if (value)
			*value++ = '\0';
		int d = decode(at, true, err);
		if (d == 0 && value)
			d = decode(value, true, err);
		if (d < 0)
			return d;
		r->params[r->n_params++] = (struct param){at, value ? value : ""};
	}
	return 0;
}

int request_parse(struct request *r, const char *target, struct err *err)
{
	if (strlen(target) > LIMIT_CONTROL_URI)
		return err_set(err, -E2BIG, "the path with its query has more than %d bytes",
			LIMIT_CONTROL_URI);
	r->text_size = strlen(target) + 1;
	r->text = strdup(target);
	if (!r->text)
		return err_errno(err, -ENOMEM, "request");
	char *query = strchr(r->text, '?');
	if (query)
		*query++ = '\0';
	int p = parse_path(r, r->text, err);
	return p < 0 || !query ? p : parse_query(r, query, err);
}

void request_done(struct request *r)
{
	free(r->text);
	*r = (struct request){0};
}

const char *request_param(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->n_params; i++)
		if (strcmp(r->params[i].name, name) == 0)
			return r->params[i].value;
	return NULL;
}

int request_copy(const struct request *r, struct request *ret, struct err *err)
{
	struct request copy = {.n_params = r->n_params, .text_size = r->text_size};

	copy.text = malloc(r->text_size);
	if (!copy.text)
		return err_errno(err, -ENOMEM, "request");
	memcpy(copy.text, r->text, r->text_size);
	for (size_t i = 0; i < r->n_params; i++)
		copy.params[i] = (struct param){
			copy.text + (r->params[i].name - r->text),
			/* "" of one without "=" is not in the text. */
			*r->params[i].value ? copy.text + (r->params[i].value - r->text) : "",
		};
	*ret = copy;
	return 0;
}
