/* What `hsup scale` is told. */
#include "cli/scale.h"

#include "base/parse.h"
#include "base/str.h"
#include "model/validate.h"

#include <ctype.h>
#include <stdio.h>

static int bad(const char *text, const char *what)
{
	char shown[80];

	str_printable(text, strlen(text), shown, sizeof shown);
	return usage_error(&command_scale, "'%s': %s", shown, what);
}

/* "web=3", "worker+1", "db-1": a name may have a '-' of its own, so the last sign counts. */
static int parse_one(char *text, json_t *body)
{
	char *at = text + strlen(text), amount[16];
	unsigned number;

	while (at > text && isdigit((unsigned char)at[-1]))
		at--;
	char sign = at > text ? at[-1] : '\0';
	if (!*at || !strchr("=+-", sign ? sign : 'x') || !sign)
		return bad(text, "must be TYPE=N, TYPE+N or TYPE-N");
	if (at - text >= 2 && sign == '-' && at[-2] == '=')
		return bad(text, "a quantity cannot be negative");
	if (parse_uint(at, LIMIT_QUANTITY, &number) < 0)
		return bad(text, "a quantity is a whole number from 0 to 4096");
	_Static_assert(LIMIT_QUANTITY == 4096, "the text above says so");
	if (at - text >= 2 && sign == '+' && at[-2] == '=')
		at[-2] = '\0';
	at[-1] = '\0';
	const char *wrong = rule_type(text);
	if (wrong) {
		char what[200];

		(void)snprintf(what, sizeof what, "the name of a process type %s", wrong);
		return bad(text, what);
	}
	if (json_object_get(body, text))
		return bad(text, "is given twice");
	(void)snprintf(amount, sizeof amount, "%c%u", sign, number);
	(void)json_object_set_new(
		body, text, sign == '=' ? json_integer((json_int_t)number) : json_string(amount));
	return EXIT_OK;
}

static struct app *app_named(struct reach *r, const char *name)
{
	for (size_t i = 0; i < r->n_apps; i++)
		if (!name || strcmp(r->apps[i].name, name) == 0)
			return &r->apps[i];
	return NULL;
}

int scale_operand(struct reach *r, char *operand)
{
	char *slash = strchr(operand, '/'), *text = slash ? slash + 1 : operand;

	if (r->daemon && !slash)
		return bad(operand, "of which app? APP/TYPE=N");
	if (slash && !r->daemon)
		return bad(operand, "there is one app only here: TYPE=N");
	if (slash)
		*slash = '\0';
	struct app *app = app_named(r, slash ? operand : NULL);
	if (!app)
		return reach_choose(r, &operand, 1); /* says which it may be */
	_cleanup_json_ json_t *body = app->body ? json_loads(app->body, 0, NULL) : json_object();
	int code = parse_one(text, body);
	if (code != EXIT_OK)
		return code;
	app->chosen = true;
	free(app->body);
	app->body = json_dumps(body, JSON_COMPACT);
	return app->body ? EXIT_OK : ask_error(r, EXIT_REFUSED, "out of memory");
}
