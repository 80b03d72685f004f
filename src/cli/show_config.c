/* `hsup config`: the environment that dynos get. */
#include "cli/reach.h"

#include "base/str.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_JSON,
	OPT_SECRETS, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

/* For a shell to read, and one line whatever is in it. */
static void print_variable(const char *name, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./:@%+,=-*";

	(void)printf("%s=", name);
	if (value[strspn(value, plain)] == '\0') {
		(void)puts(value);
		return;
	}
	(void)fputs("$'", stdout);
	for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
		if (*at == '\'' || *at == '\\')
			(void)printf("\\%c", *at);
		else if (*at == '\n')
			(void)fputs("\\n", stdout);
		else if (*at < ' ' || *at == 127)
			(void)printf("\\x%02x", *at);
		else
			(void)putchar(*at);
	}
	(void)puts("'");
}

static int show(struct reach *r, struct app *app, const struct options *o, const char *type)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF(4096);
	const char *name;
	json_t *value;

	(void)strbuf_printf(&path, "/v1/config?secrets=%d", o->ask.secrets);
	if (type) {
		(void)strbuf_puts(&path, "&type=");
		strbuf_escape(&path, type);
	}
	if (path.error)
		return ask_error(r, EXIT_UNREACHED, "no process type has such a long name");
	if (app_ask(r, app, "GET", path.data, false) < 0)
		return app_failure(r, app);
	json_t *env = json_object_get(app->answer, "env");
	if (o->ask.json) {
		(void)json_dumpf(env, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		(void)putchar('\n');
		return EXIT_OK;
	}
	json_object_foreach(env, name, value)
	{
		print_variable(name, json_is_string(value) ? json_string_value(value) : "");
	}
	return EXIT_OK;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct app *app;
	char *type = n > 0 ? operands[0] : NULL;
	int code = n > 1 ? usage_error(&command_config, "takes one TYPE") : EXIT_OK;

	if (code == EXIT_OK)
		code = reach_open(&r, &command_config, o);
	if (code == EXIT_OK && r.daemon) {
		/* APP, or APP/TYPE. */
		char *slash = type ? strchr(type, '/') : NULL;

		if (slash)
			*slash = '\0';
		code = type ? reach_choose(&r, operands, 1)
			    : usage_error(&command_config, "which app? give APP/TYPE, or -a APP");
		type = slash && slash[1] ? slash + 1 : NULL;
	} else if (code == EXIT_OK) {
		code = reach_choose(&r, NULL, 0);
	}
	if (code == EXIT_OK)
		code = reach_one(&r, &app);
	if (code == EXIT_OK)
		code = show(&r, app, o, type);
	reach_done(&r);
	return code;
}

const struct command command_config = {
	.name = "config",
	.operands = "[TYPE]",
	.summary = "show the environment of the dynos",
	.help = "The variables of the release in force, or those that dynos of TYPE get, one a "
		"line\n"
		"as a shell reads them. Values are shown as ******** unless --secrets is given, "
		"which\n"
		"takes the right to operate.\n"
		"\n"
		"Examples:\n"
		"  hsup config -C /srv/shop\n"
		"  hsup config -a shop --secrets web\n",
	.options = takes,
	.names = NAMES_TYPES,
	.run = run,
};
