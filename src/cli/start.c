#include "cli/held.h"
#include "cli/operate.h"

#include <errno.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_NO_WAIT, OPT_TIMEOUT, OPT_DIR,
	OPT_DRIVER, OPT_APP, OPT_ONESHOT, OPT_EXIT_WHEN_DONE, OPT_START_NUMBER, OPT_WATCHDOG,
	OPT_WARM, OPT_NETWORK, OPT_DIE_WITH_LAUNCHER, OPT_USER, OPT_DYNO_USER, OPT_DYNO_IDS,
	OPT_ALLOW_ROOT_DYNOS, OPT_BIND, OPT_STATE_DIR, OPT_RUNTIME_DIR, OPT_LOG_APP, OPT_LOG,
	OPT_LOG_FORMAT, OPT_LOG_MAX_BYTES, OPT_LOG_MAX_AGE, OPT_LOG_KEEP, OPT_LOG_COMPRESS,
	OPT_LOG_MODE, OPT_LOG_OWNER, OPT_CONTROL_SOCKET, OPT_LISTEN, OPT_TOKEN_FILE,
	OPT_OPERATE_UID, OPT_OPERATE_GID, OPT_WATCH_UID, OPT_WATCH_GID, OPT_SOCKET_MODE,
	OPT_SOCKET_OWNER, OPT_COLOR, OPT_VERBOSE, 0};

static int add_override(struct options *o, const char *text)
{
	struct quantity_override *q = &o->overrides[o->n_overrides];
	struct err err;

	if (quantity_parse(text, q, &err) < 0)
		return usage_error(&command_start, "%s", err.text);
	for (size_t i = 0; i < o->n_overrides; i++)
		if (strcmp(o->overrides[i].type, q->type) == 0)
			return usage_error(
				&command_start, "process type \"%s\" is given twice", q->type);
	o->n_overrides++;
	return EXIT_OK;
}

static int check_sum(const struct options *o)
{
	unsigned sum = 0;

	/* At most LIMIT_TYPES times LIMIT_QUANTITY: no overflow. */
	for (size_t i = 0; i < o->n_overrides; i++)
		sum += o->overrides[i].quantity;
	if (sum > LIMIT_QUANTITY)
		return usage_error(&command_start, "%u dynos in all; at most %d are possible", sum,
			LIMIT_QUANTITY);
	return EXIT_OK;
}

static bool is_supervisor;

void cli_set_supervisor(void)
{
	is_supervisor = true;
}

bool start_asks(struct options *o, int n_operands)
{
	const char *dir = getenv("HSUP_CONTROL_DIR");
	struct err err;
	pid_t pid;

	if (is_supervisor || n_operands == 0)
		return false;
	if (!o->control_dir && dir && *dir && options_path(&o->control_dir, dir, &err) < 0)
		return false;
	return !o->control_dir || control_dir_holder(o->control_dir, &pid);
}

int start_ask(struct options *o, int n, char **operands)
{
	for (int i = 0; i < n; i++)
		if (strchr(operands[i], '='))
			return usage_error(&command_start, "hsup runs there already: how many of a "
							   "type is said by 'hsup scale'");
	return dynos_change(&command_start, o, n, operands, "/v1/dynos/start", AWAITED_UP);
}

static int run(struct options *o, int n_operands, char **operands)
{
	int r = need_control_dir(&command_start, o);

	if (r == EXIT_OK && !is_supervisor && (o->ask.no_wait || o->timeout != OPTIONS_NO_TIMEOUT))
		return usage_error(&command_start,
			"'--no-wait' and '--timeout' are for dynos of an hsup that runs already");

	if (r != EXIT_OK)
		return r;
	if (n_operands > LIMIT_TYPES)
		return usage_error(&command_start, "more than %d process types", LIMIT_TYPES);
	if (n_operands == 0)
		return EXIT_OK;
	o->overrides = calloc((size_t)n_operands, sizeof *o->overrides);
	if (!o->overrides)
		return command_error(&command_start, "out of memory");
	for (int i = 0; i < n_operands && r == EXIT_OK; i++)
		r = add_override(o, operands[i]);
	return r == EXIT_OK ? check_sum(o) : r;
}

const struct command command_start = {
	.name = "start",
	.operands = "[TYPE[=N]]...",
	.summary = "keep the processes of a release running",
	.help = "Runs the release in force of the control directory, and every release that is\n"
		"written to the file `new` there. With operands only the types named run: N dynos\n"
		"of each, one when no number is given. INT or TERM stops all in order, a second\n"
		"one at once.\n"
		"\n"
		"When hsup runs already for the control directory, or none is given, the operands\n"
		"are NAMEs of dynos (web.1, web, 'web.*'; of the daemon shop/web.1, shop) that it "
		"is\n"
		"to start: those that were stopped, gave up, wait for their next try, or do not "
		"start\n"
		"by themselves. Waits until they are up, as 'hsup restart' does.\n"
		"\n"
		"Examples:\n"
		"  hsup start -C /srv/shop\n"
		"  hsup start -C /srv/shop web=2 worker\n"
		"  hsup start -C /srv/shop --oneshot migrate\n"
		"  hsup start -C /srv/shop worker.1\n",
	.options = takes,
	.launches = true,
	.mode = MODE_START,
	.names = NAMES_DYNOS,
	.run = run,
};
