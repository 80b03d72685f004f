#include "cli/private.h"

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_DRIVER, OPT_APP, OPT_USER,
	OPT_DYNO_USER, OPT_DYNO_IDS, OPT_ALLOW_ROOT_DYNOS, OPT_BIND, OPT_NETWORK, OPT_STATE_DIR,
	OPT_RUNTIME_DIR, OPT_CONTROL_SOCKET, OPT_COLOR, OPT_VERBOSE, 0};

static int run(struct options *o, int n_operands, char **operands)
{
	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_build, "takes no operands");
	return need_control_dir(&command_build, o);
}

const struct command command_build = {
	.name = "build",
	.operands = "",
	.summary = "make a release ready without running it",
	.help = "Checks the release that waits in the control directory (else the one in force),\n"
		"fetches, verifies and unpacks its slug, and makes it the release in force.\n"
		"\n"
		"Example:\n"
		"  hsup build -C /srv/shop\n",
	.options = takes,
	.launches = true,
	.mode = MODE_BUILD,
	.run = run,
};
