/* `hsup wait`: until all are up. */
#include "cli/dyno_row.h"
#include "cli/operate.h"

#include <errno.h>
#include <stdio.h>

#define PATIENCE 60 /* seconds, unless told otherwise */

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_TIMEOUT,
	OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

struct waiter {
	struct reach *reach;
	bool progress;
	bool named;
	char missing[200]; /* one that is not up, and why */
};

/* Whoever is not meant to run is not waited for. */
static bool meant(const struct waiter *w, const json_t *dyno)
{
	return w->named || strcmp(member_text(dyno, "desired"), "run") == 0;
}

static void look_at_app(struct waiter *w, struct app *app, size_t *up, size_t *n)
{
	json_t *dyno;
	size_t i;

	if (app->failed) {
		(*n)++;
		(void)snprintf(w->missing, sizeof w->missing, "%s%s%.150s",
			app->name ? app->name : "", app->name ? ": " : "", app->err.text);
	}
	json_array_foreach(app->answer, i, dyno)
	{
		if (!meant(w, dyno))
			continue;
		(*n)++;
		if (dyno_is_up(dyno)) {
			(*up)++;
			continue;
		}
		_cleanup_strbuf_ struct strbuf note = STRBUF(2000);
		dyno_note(dyno, &note);
		(void)snprintf(w->missing, sizeof w->missing, "%.80s is %s%s%.80s",
			app_label(app, member_text(dyno, "name")), dyno_state(dyno),
			note.len ? ": " : "", note.len ? note.data : "");
	}
}

/* A release that is being rolled out is not up yet, whatever runs meanwhile. */
static bool settled(struct waiter *w)
{
	bool all = true;

	for_each_app(w->reach, app)
	{
		if (app_ask(w->reach, app, "GET", "/v1/app", false) < 0)
			all = false;
		else if (strcmp(member_text(app->answer, "status"), "up") != 0) {
			all = false;
			(void)snprintf(w->missing, sizeof w->missing, "the release is: %s",
				member_text(app->answer, "status"));
		}
	}
	return all;
}

static int changed(void *userdata)
{
	struct waiter *w = userdata;
	size_t up = 0, n = 0;

	w->missing[0] = '\0';
	w->reach->quiet = true;
	for_each_app(w->reach, app)
	{
		(void)app_ask(w->reach, app, "GET", "/v1/dynos", true);
		look_at_app(w, app, &up, &n);
	}
	bool all = up == n && (w->named || settled(w));
	w->reach->quiet = false;
	for_each_app(w->reach, app)
	{
		/* A right that is missing does not come by waiting. */
		if (app->failed == -EACCES || app->failed == -EPERM || app->failed == -EPROTO ||
			(app->failed == -ESRCH && w->named && !app->wild)) {
			progress_clear(&w->progress);
			return app_failure(w->reach, app);
		}
	}
	if (all) {
		progress_clear(&w->progress);
		(void)printf("%zu dyno%s up\n", up, up == 1 ? " is" : "s are");
		return EXIT_OK;
	}
	progress_show(&w->progress, "hsup wait: %zu of %zu up, %s ...", up, n, w->missing);
	return AWAIT_GO_ON;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct waiter w = {.reach = &r, .named = n > 0};
	struct await a = {
		.reach = &r,
		.timeout = o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : o->timeout,
		.patient = true,
		.changed = changed,
		.userdata = &w,
	};
	int code = reach_open(&r, &command_wait, o);

	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n);
	if (code == EXIT_OK)
		code = await(&a);
	progress_clear(&w.progress);
	if (code == AWAIT_LATE)
		code = ask_error(&r, EXIT_NOT_RUNNING, "not all are up after %u s: %s", a.timeout,
			w.missing[0] ? w.missing : "nothing is known of them");
	reach_done(&r);
	return code;
}

const struct command command_wait = {
	.name = "wait",
	.operands = "[NAME]...",
	.summary = "wait until dynos are up",
	.help = "Waits until all dynos that are named are up, or without NAME until the release "
		"in\n"
		"force is rolled out and all that is meant to run does; for 60 s, or --timeout.\n"
		"It waits for an hsup of a control directory that is only just starting, too.\n"
		"Exit codes: 0: they are up; 3: not in time; 4: a name is unknown.\n"
		"\n"
		"Examples:\n"
		"  hsup wait -C /srv/shop --timeout 30 web\n"
		"  hsup wait -a shop && run-the-tests\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run,
};
