/* `hsup start NAME`, `stop`, `restart`, `signal`. */
#include "cli/operate.h"

#include "base/parse.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_NO_WAIT,
	OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};
static const enum option_id restart_takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET,
	OPT_ROLLING, OPT_NO_WAIT, OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};
static const enum option_id signal_takes[] = {
	OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

/* {"names": [...]} of each app, and a signal when there is one. */
static int make_bodies(struct reach *r, const char *signo)
{
	for_each_app(r, app)
	{
		_cleanup_json_ json_t *body = json_object();
		json_t *names = json_array();

		for (size_t i = 0; i < app->n_names; i++)
			(void)json_array_append_new(names, json_string(app->names[i]));
		(void)json_object_set_new(body, "names", names);
		if (signo)
			(void)json_object_set_new(body, "signal", json_string(signo));
		free(app->body);
		app->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
		if (!app->body)
			return ask_error(r, EXIT_REFUSED, "out of memory");
	}
	return EXIT_OK;
}

/* All of the daemon's apps is not what somebody means who names none. */
static int need_names(const struct command *c, int n)
{
	if (n > 0)
		return EXIT_OK;
	return usage_error(c, "no NAME given: a dyno (web.1), a type (web), a pattern, or all");
}

static int do_it(struct operation *op, const char *path, bool wait)
{
	int code = make_bodies(op->reach, NULL);

	if (code == EXIT_OK)
		code = operation_before(op);
	if (code == EXIT_OK)
		code = operation_send(op, path);
	if (code != EXIT_OK)
		return code;
	if (wait)
		return operation_wait(op);
	(void)printf("%zu dyno%s\n", op->n, op->n == 1 ? "" : "s");
	return op->code;
}

int dynos_change(const struct command *c, struct options *o, int n_operands, char **operands,
	const char *path, enum awaited awaited)
{
	struct reach r = {0};
	struct operation op = {.reach = &r, .options = o, .awaited = awaited};
	int code = need_names(c, n_operands);

	if (code != EXIT_OK)
		return code;
	code = reach_open(&r, c, o);
	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n_operands);
	if (code == EXIT_OK)
		code = do_it(&op, path, !o->ask.no_wait);
	operation_done(&op);
	reach_done(&r);
	return code;
}

static int run_stop(struct options *o, int n, char **operands)
{
	return dynos_change(&command_stop, o, n, operands, "/v1/dynos/stop", AWAITED_STOPPED);
}

static int run_restart(struct options *o, int n, char **operands)
{
	return dynos_change(&command_restart, o, n, operands,
		o->ask.rolling ? "/v1/dynos/roll" : "/v1/dynos/restart", AWAITED_NEW);
}

static int run_signal(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct operation op = {.reach = &r, .options = o};
	char shown[40];

	if (n < 1)
		return usage_error(&command_signal, "no SIGNAL given: HUP, USR1, 15 ...");
	if (parse_signal(operands[0]) < 0)
		return usage_error(&command_signal, "'%s' is no signal: a name as HUP, or a number",
			str_printable(operands[0], strlen(operands[0]), shown, sizeof shown));
	int code = need_names(&command_signal, n - 1);
	if (code != EXIT_OK)
		return code;
	code = reach_open(&r, &command_signal, o);
	if (code == EXIT_OK)
		code = reach_choose(&r, operands + 1, (size_t)n - 1);
	if (code == EXIT_OK)
		code = make_bodies(&r, operands[0]);
	if (code == EXIT_OK)
		code = operation_send(&op, "/v1/dynos/signal");
	for (size_t i = 0; code == EXIT_OK && i < op.n; i++)
		(void)printf("%s: signalled\n", app_label(op.targets[i].app, op.targets[i].name));
	if (code == EXIT_OK)
		code = op.code;
	operation_done(&op);
	reach_done(&r);
	return code;
}

const struct command command_stop = {
	.name = "stop",
	.operands = "NAME...",
	.summary = "stop dynos, until they are started again",
	.help = "Each gets its StopSignal, and KILL after its StopTimeout. It stays stopped, also\n"
		"when hsup is started anew, until it is started again ('hsup start NAME').\n"
		"Waits until all have ended (5 minutes, or --timeout), unless --no-wait is given.\n"
		"\n"
		"Examples:\n"
		"  hsup stop -C /srv/shop worker.2\n"
		"  hsup stop -a shop all\n"
		"  hsup stop 'shop/web.*' billing\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run_stop,
};

const struct command command_restart = {
	.name = "restart",
	.operands = "NAME...",
	.summary = "stop dynos and start them anew",
	.help = "All at once, or with --rolling in the way a release is rolled out: none is "
		"stopped\n"
		"before its successor is ready. Waits until all are up again (5 minutes, or\n"
		"--timeout), unless --no-wait is given; the exit code is 1 when one does not come "
		"up.\n"
		"\n"
		"Examples:\n"
		"  hsup restart -C /srv/shop web.1\n"
		"  hsup restart -a shop --rolling web\n",
	.options = restart_takes,
	.names = NAMES_DYNOS,
	.run = run_restart,
};

const struct command command_signal = {
	.name = "signal",
	.operands = "SIGNAL NAME...",
	.summary = "send a signal to all processes of dynos",
	.help = "SIGNAL is a name (HUP) or a number.\n"
		"\n"
		"Examples:\n"
		"  hsup signal -C /srv/shop HUP web\n"
		"  hsup signal USR1 'shop/worker.*'\n",
	.options = signal_takes,
	.names = NAMES_SIGNAL,
	.run = run_signal,
};
