/* `hsup ps`: what runs, and why not. */
#include "cli/ps.h"
#include "cli/dyno_row.h"
#include "model/options.h"

#include <stdio.h>
#include <unistd.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_JSON,
	OPT_WATCH, OPT_COLOR, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

/* Of an app that runs and of which no dyno was named, or that does not run. */
static bool shows_app(const struct app *app)
{
	return app->name && json_array_size(app->answer) == 0 && app->failed != -ESRCH;
}

int ps_code(struct reach *r)
{
	int code = EXIT_OK;
	json_t *dyno;
	size_t i;

	for_each_app(r, app)
	{
		json_array_foreach(app->answer, i, dyno)
		{
			if (!dyno_is_up(dyno))
				code = EXIT_NOT_RUNNING;
		}
		if (!app->socket)
			code = EXIT_NOT_RUNNING;
	}
	return code;
}

int ps_table(struct reach *r, struct table *t)
{
	json_t *dyno;
	size_t i;

	*t = dyno_columns;
	for_each_app(r, app)
	{
		json_array_foreach(app->answer, i, dyno)
		{
			dyno_row(t, app, dyno);
		}
		if (shows_app(app))
			dyno_row_of_app(t, app);
	}
	return t->failed ? -ENOMEM : 0;
}

static void add_missing(json_t *all, const json_t *of_app)
{
	json_t *text, *known;
	size_t i, j;

	json_array_foreach(of_app, i, text)
	{
		bool is_new = json_is_string(text);

		json_array_foreach(all, j, known)
		{
			is_new = is_new && !json_equal(text, known);
		}
		if (is_new)
			(void)json_array_append(all, text);
	}
}

json_t *ps_missing(struct reach *r)
{
	json_t *all = NULL;

	for_each_app(r, app)
	{
		if (app->answer && !all)
			all = json_array();
		if (app->answer && app_ask(r, app, "GET", "/v1/app", false) == 0)
			add_missing(all, json_object_get(app->answer, "missing"));
	}
	return all;
}

void ps_print_missing(const json_t *missing, FILE *out)
{
	json_t *text;
	size_t i;

	json_array_foreach(missing, i, text)
	{
		(void)fprintf(out, "%snote: %s\n", i ? "" : "\n", json_string_value(text));
	}
}

static int print_json(struct reach *r)
{
	_cleanup_json_ json_t *all = json_array();
	json_t *dyno;
	size_t i;

	for_each_app(r, app)
	{
		json_array_foreach(app->answer, i, dyno)
		{
			if (app->name)
				(void)json_object_set_new(dyno, "app", json_string(app->name));
			(void)json_array_append(all, dyno);
		}
	}
	if (json_dumpf(all, stdout, JSON_INDENT(2)) < 0)
		return command_error(&command_ps, "out of memory");
	(void)putchar('\n');
	return EXIT_OK;
}

static int once(struct reach *r, const struct options *o, bool named)
{
	struct table t;
	int failed = reach_ask(r, "GET", "/v1/dynos", true), code = EXIT_OK;

	if (o->ask.json) {
		code = print_json(r);
	} else {
		if (ps_table(r, &t) < 0 ||
			table_print(&t, stdout, color_wanted((int)o->color, 1)) < 0)
			code = command_error(&command_ps, "out of memory");
		table_done(&t);
	}
	if (code == EXIT_OK)
		code = failed;
	if (code == EXIT_OK && named)
		code = ps_code(r);
	if (!o->ask.json) {
		_cleanup_json_ json_t *missing = ps_missing(r);

		ps_print_missing(missing, stdout);
	}
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct reach r = {0};
	int code = reach_open(&r, &command_ps, o);

	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n_operands);
	if (code == EXIT_OK)
		code = o->ask.watch ? ps_watch(&r, o) : once(&r, o, n_operands > 0);
	reach_done(&r);
	return code;
}

const struct command command_ps = {
	.name = "ps",
	.operands = "[NAME]...",
	.summary = "show the dynos: state, since when, and why",
	.help = "NAME is a dyno (web.1), a type (web), or a pattern ('web.*'); of the daemon\n"
		"APP/NAME, or APP for all of it. Without any: all. --watch shows every change as "
		"it\n"
		"happens, on a terminal by drawing anew, else as one line for each change.\n"
		"\n"
		"Exit codes: 0: all dynos that were named are up; 3: some are not; 4: a name is\n"
		"unknown, or no hsup answers. Without NAME it is 0 when hsup answers.\n"
		"\n"
		"Examples:\n"
		"  hsup ps -C /srv/shop\n"
		"  hsup ps -a shop --watch\n"
		"  hsup ps 'shop/web.*' || echo down\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run,
};
