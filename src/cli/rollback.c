/* `hsup rollback`: an earlier release becomes a new one; one that is rolled out is given up. */
#include "cli/operate.h"

#include "base/parse.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_NO_WAIT,
	OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

struct going_back {
	struct reach *reach;
	struct app *app;
	json_int_t version; /* the new one */
	bool progress;
};

static int parse_version(const char *text, json_int_t *ret)
{
	uint64_t number;
	char shown[60];

	if (parse_u64(*text == 'v' ? text + 1 : text, INT64_MAX, &number) < 0 || number == 0)
		return usage_error(&command_rollback,
			"'%s' is no release: a version as 'hsup releases' shows it, v3",
			str_printable(text, strlen(text), shown, sizeof shown));
	*ret = (json_int_t)number;
	return EXIT_OK;
}

static int changed(void *userdata)
{
	struct going_back *g = userdata;

	g->reach->quiet = true;
	(void)app_ask(g->reach, g->app, "GET", "/v1/app", false);
	g->reach->quiet = false;
	if (g->app->failed)
		return AWAIT_GO_ON;
	const char *status = member_text(g->app->answer, "status");
	if (member_int(g->app->answer, "version") == g->version && strcmp(status, "up") == 0) {
		progress_clear(&g->progress);
		(void)printf("v%lld runs\n", (long long)g->version);
		return EXIT_OK;
	}
	progress_show(&g->progress, "hsup rollback: %s, %lld of %lld dynos are ready ...", status,
		(long long)member_int(g->app->answer, "ready"),
		(long long)member_int(g->app->answer, "dynos"));
	return AWAIT_GO_ON;
}

static int on_event(void *userdata, struct app *app, const char *kind, const json_t *data)
{
	struct going_back *g = userdata;
	const char *text = member_text(data, "text");

	(void)app;
	if (member_int(data, "release") != g->version ||
		(strcmp(kind, "release.refused") != 0 && strcmp(kind, "release.rolled-back") != 0))
		return AWAIT_GO_ON;
	progress_clear(&g->progress);
	return ask_error(g->reach, EXIT_REFUSED, "v%lld: %s", (long long)g->version,
		*text ? text : "it does not come up, and was rolled back");
}

static int go_back(struct reach *r, struct app *app, const struct options *o, const char *version)
{
	struct operation op = {.reach = r, .options = o};
	struct going_back g = {.reach = r, .app = app};
	json_int_t wanted = 0;
	int code = version ? parse_version(version, &wanted) : EXIT_OK;

	if (code != EXIT_OK)
		return code;
	free(app->body);
	if (asprintf(&app->body, version ? "{\"version\": %lld}" : "{}", (long long)wanted) < 0)
		app->body = NULL;
	if (!app->body)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	code = operation_send(&op, "/v1/rollback");
	g.version = member_int(app->answer, "version");
	if (code == EXIT_OK && o->ask.no_wait)
		(void)printf("v%lld\n", (long long)g.version);
	if (code == EXIT_OK && !o->ask.no_wait) {
		struct await a = {
			.reach = r,
			.from = op.events,
			.timeout = patience_of(o),
			.changed = changed,
			.event = on_event,
			.userdata = &g,
		};
		code = await(&a);
		progress_clear(&g.progress);
		if (code == AWAIT_LATE)
			code = ask_error(r, EXIT_REFUSED,
				"v%lld does not run as wanted after %u s; it goes on",
				(long long)g.version, a.timeout);
	}
	operation_done(&op);
	return code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct app *app;
	const char *version = n > 0 ? operands[n - 1] : NULL;
	int code = n > 2 ? usage_error(&command_rollback, "takes one VERSION") : EXIT_OK;

	if (code == EXIT_OK)
		code = reach_open(&r, &command_rollback, o);
	if (code == EXIT_OK && r.daemon) {
		/* Of the daemon: APP, or APP VERSION. */
		version = n > 1 ? operands[1] : NULL;
		code = n == 0 ? usage_error(&command_rollback, "which app? give APP, or -a APP")
			      : reach_choose(&r, operands, 1);
	} else if (code == EXIT_OK) {
		code = n > 1 ? usage_error(&command_rollback, "takes one VERSION")
			     : reach_choose(&r, NULL, 0);
	}
	if (code == EXIT_OK)
		code = reach_one(&r, &app);
	if (code == EXIT_OK)
		code = go_back(&r, app, o, version);
	reach_done(&r);
	return code;
}

const struct command command_rollback = {
	.name = "rollback",
	.operands = "[APP] [VERSION]",
	.summary = "go back to an earlier release",
	.help = "The release that was in force before, or VERSION (v3), becomes a new release and "
		"is\n"
		"rolled out; waits until it runs (5 minutes, or --timeout), unless --no-wait is "
		"given.\n"
		"While a release is rolled out and no VERSION is given, that one is given up: its\n"
		"dynos go, those of the release before come back.\n"
		"\n"
		"Examples:\n"
		"  hsup rollback -C /srv/shop\n"
		"  hsup rollback -a shop v3\n"
		"  hsup rollback shop v3\n",
	.options = takes,
	.names = NAMES_RELEASES,
	.run = run,
};
