#include "cli/private.h"

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_DRIVER, OPT_APP, OPT_ONESHOT,
	OPT_START_NUMBER, OPT_WATCHDOG, OPT_USER, OPT_DYNO_USER, OPT_DYNO_IDS, OPT_ALLOW_ROOT_DYNOS,
	OPT_BIND, OPT_NETWORK, OPT_STATE_DIR, OPT_RUNTIME_DIR, OPT_CONTROL_SOCKET, OPT_COLOR,
	OPT_VERBOSE, 0};

static int run(struct options *o, int n_operands, char **operands)
{
	if (n_operands == 0)
		return usage_error(&command_run, "no COMMAND given");
	if (n_operands > LIMIT_ARGS)
		return usage_error(&command_run, "COMMAND has more than %d words", LIMIT_ARGS);
	o->command = operands;
	o->n_command = (size_t)n_operands;
	return need_control_dir(&command_run, o);
}

const struct command command_run = {
	.name = "run",
	.operands = "[--] COMMAND...",
	.summary = "run one command as a dyno of the app",
	.help = "Runs COMMAND with the environment and the slug of the release, on this terminal.\n"
		"One word is a line for the shell; several are a program and its arguments, taken\n"
		"as they are. Options end at the first word of COMMAND. The exit code is the\n"
		"command's, or 128 and the number of the signal that ended it.\n"
		"\n"
		"Examples:\n"
		"  hsup run -C /srv/shop printenv PATH\n"
		"  hsup run -C /srv/shop ls -l\n"
		"  hsup run -C /srv/shop 'echo \"$DATABASE_URL\" | wc -c'\n"
		"  hsup -d simple -C /srv/shop run -- ./manage migrate --yes\n",
	.options = takes,
	.stop_at_operand = true,
	.launches = true,
	.mode = MODE_RUN,
	.run = run,
};
