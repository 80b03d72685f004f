#include "cli/private.h"

#include <stdio.h>

static const enum option_id takes[] = {
	OPT_DIR, OPT_CONFIG, OPT_LOG, OPT_STATE_DIR, OPT_RUNTIME_DIR, 0};

static int run(struct options *o, int n_operands, char **operands)
{
	const char *why[PATH_KINDS];
	struct err err;

	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_paths, "takes no operands");
	int r = options_complete_paths(o, why, &err);
	if (r < 0)
		return options_error(&command_paths, r, &err);

	const char *const paths[PATH_KINDS] = {
		[PATH_STATE] = o->state_dir,
		[PATH_RUNTIME] = o->runtime_dir,
		[PATH_APPS] = o->apps_dir,
		[PATH_LOG] = o->log_file,
		[PATH_CONFIG] = o->config,
	};
	for (int i = 0; i < PATH_KINDS; i++)
		(void)printf("%-8s %s (%s)\n", path_names[i], paths[i], why[i]);
	return EXIT_OK;
}

const struct command command_paths = {
	.name = "paths",
	.operands = "",
	.summary = "show which files and folders are used, and why",
	.help = "One line each: its name, its path, and what says so: an option, a variable, or "
		"the\n"
		"default of root or of a user's XDG folders.\n",
	.options = takes,
	.run = run,
};
