/* `hsup releases`: the history. */
#include "cli/reach.h"
#include "cli/table.h"

#include "model/options.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_JSON,
	OPT_COLOR, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

static void add_row(struct table *t, const struct app *app, const json_t *release)
{
	const char *when = member_text(release, "created_at"), *slug = member_text(release, "slug");
	bool in_force = member_true(release, "in_force"), settled = member_true(release, "settled");
	char version[32];

	(void)snprintf(version, sizeof version, "v%lld", (long long)member_int(release, "version"));
	table_cell(t, TONE_NONE, app_label(app, version));
	table_cellf(t, TONE_NONE, "%.10s %.8s", when, strlen(when) > 11 ? when + 11 : "");
	table_cell(t,
		in_force && settled ? TONE_GOOD
		: in_force	    ? TONE_BUSY
				    : TONE_NONE,
		in_force && settled ? "in force"
		: in_force	    ? "being rolled out"
				    : "");
	table_cell(t, TONE_NONE, *slug ? slug : "-");
	table_cell(t, TONE_NONE, member_text(release, "note"));
}

static int show(struct reach *r, const struct options *o)
{
	struct table t = {
		.columns = 5, .titles = {"RELEASE", "WHEN (UTC)", "STATE", "SLUG", "NOTE"}};
	json_t *release;
	size_t i;
	int code = reach_ask(r, "GET", "/v1/releases", false);

	for_each_app(r, app)
	{
		json_array_foreach(app->answer, i, release)
		{
			add_row(&t, app, release);
		}
	}
	if (table_print(&t, stdout, color_wanted((int)o->color, 1)) < 0)
		code = ask_error(r, EXIT_REFUSED, "out of memory");
	table_done(&t);
	return code;
}

static int show_json(struct reach *r)
{
	_cleanup_json_ json_t *all = json_array();
	json_t *release;
	size_t i;
	int code = reach_ask(r, "GET", "/v1/releases", false);

	for_each_app(r, app)
	{
		json_array_foreach(app->answer, i, release)
		{
			if (app->name)
				(void)json_object_set_new(release, "app", json_string(app->name));
			(void)json_array_append(all, release);
		}
	}
	if (json_dumpf(all, stdout, JSON_INDENT(2)) < 0)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	(void)putchar('\n');
	return code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	int code = reach_open(&r, &command_releases, o);

	if (code == EXIT_OK && n > 0 && !r.daemon)
		code = usage_error(&command_releases, "takes an APP of the daemon only");
	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n);
	if (code == EXIT_OK)
		code = o->ask.json ? show_json(&r) : show(&r, o);
	reach_done(&r);
	return code;
}

const struct command command_releases = {
	.name = "releases",
	.operands = "[APP]...",
	.summary = "show the history of releases, newest first",
	.help = "The last 20 releases, with the one in force and what it was made of.\n"
		"\n"
		"Examples:\n"
		"  hsup releases -C /srv/shop\n"
		"  hsup releases shop billing\n",
	.options = takes,
	.names = NAMES_APPS,
	.run = run,
};
