/* `hsup diag` and `hsup shutdown`. */
#include "cli/operate.h"

#include "base/clock.h"

#include <errno.h>

#include <stdio.h>
#include <unistd.h>

static const enum option_id diag_takes[] = {
	OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};
static const enum option_id shutdown_takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET,
	OPT_NOW, OPT_NO_WAIT, OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

static int on_bytes(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	return fwrite(data, 1, len, stdout) == len ? 0 : -1;
}

static int show(struct reach *r, struct app *app)
{
	struct http_call call = {
		.socket = app->socket, .method = "GET", .path = "/v1/diag", .data = on_bytes};

	if (!app->socket)
		return ask_error(r, EXIT_UNREACHED, "%s: it does not run", app->name);
	app->failed = http_do(r->http, &call, &app->err);
	http_end(r->http, &call);
	return app_failure(r, app);
}

static int run_diag(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct app *app;
	int code = reach_open(&r, &command_diag, o);

	if (code == EXIT_OK && n > 0 && !r.daemon)
		code = usage_error(&command_diag, "takes no operands, but of the daemon an APP");
	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n);
	if (code == EXIT_OK)
		code = reach_one(&r, &app);
	if (code == EXIT_OK)
		code = show(&r, app);
	reach_done(&r);
	return code;
}

/* Whoever has ended answers no more: that is what is waited for. */
static int wait_end(struct reach *r, struct app *app, unsigned timeout)
{
	uint64_t end = timeout ? clock_now() + timeout * NSEC_PER_SEC : UINT64_MAX;
	bool progress = false;

	while (clock_now() < end) {
		app->failed = app_ask(r, app, "GET", "/v1/app", false);
		if (app->failed == -ENOENT || app->failed == -ECONNREFUSED) {
			progress_clear(&progress);
			(void)puts("hsup has ended");
			return EXIT_OK;
		}
		progress_show(&progress, "hsup shutdown: %s ...",
			app->failed ? "it ends" : member_text(app->answer, "status"));
		(void)http_step(r->http, -1, 50);
	}
	progress_clear(&progress);
	return ask_error(
		r, EXIT_REFUSED, "it has not ended after %u s; --now kills its dynos", timeout);
}

static int end(struct reach *r, struct app *app, const struct options *o)
{
	app->body = strdup(o->ask.now ? "{\"now\": true}" : "{\"now\": false}");
	if (!app->body)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	if (app_ask(r, app, "POST", "/v1/stop", false) < 0)
		return app_failure(r, app);
	free(TAKE_PTR(app->body));
	return o->ask.no_wait ? EXIT_OK : wait_end(r, app, patience_of(o));
}

static int run_shutdown(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct app *app;
	int code = n > 0 ? usage_error(&command_shutdown, "takes no operands") : EXIT_OK;

	(void)operands;
	if (code == EXIT_OK)
		code = reach_open(&r, &command_shutdown, o);
	if (code == EXIT_OK && r.daemon)
		code = usage_error(&command_shutdown, "the daemon is stopped by 'hsup down'; for "
						      "one app of it: 'hsup stop APP'");
	if (code == EXIT_OK)
		code = reach_choose(&r, NULL, 0);
	if (code == EXIT_OK)
		code = reach_one(&r, &app);
	if (code == EXIT_OK)
		code = end(&r, app, o);
	reach_done(&r);
	return code;
}

const struct command command_diag = {
	.name = "diag",
	.operands = "[APP]",
	.summary = "show what hsup lately saw and decided",
	.help = "The flight recorder: events, actions, states, oldest first.\n"
		"\n"
		"Examples:\n"
		"  hsup diag -C /srv/shop\n",
	.options = diag_takes,
	.names = NAMES_APPS,
	.run = run_diag,
};

const struct command command_shutdown = {
	.name = "shutdown",
	.operands = "",
	.summary = "stop all dynos of an app in order, and end its hsup",
	.help = "As INT and TERM do to 'hsup start'; with --now the dynos are killed. Waits until\n"
		"hsup has ended (5 minutes, or --timeout), unless --no-wait is given.\n"
		"\n"
		"Examples:\n"
		"  hsup shutdown -C /srv/shop\n",
	.options = shutdown_takes,
	.run = run_shutdown,
};
