#include "cli/private.h"

#include <stdio.h>

#define ROW "%-8s %s (%s)\n"

static const enum option_id takes[] = {
	OPT_DIR, OPT_CONFIG, OPT_LOG, OPT_STATE_DIR, OPT_RUNTIME_DIR, 0};

/* Of native dynos; also where there are none, or no folder yet. */
static int show_boxes(const struct options *o)
{
	char path[PATH_MAX];
	const char *why;
	struct err err;

	for (int i = 0; i < BOX_PLACES; i++) {
		int r = cli_box_place(o, (enum box_place)i, path, &why, &err);
		if (r < 0)
			return options_error(&command_paths, r, &err);
		(void)printf(ROW, cli_box_places[i].name, path, why);
	}
	return EXIT_OK;
}

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
		(void)printf(ROW, path_names[i], paths[i], why[i]);
	return show_boxes(o);
}

const struct command command_paths = {
	.name = "paths",
	.operands = "",
	.summary = "show which files and folders are used, and why",
	.help = "One line each: its name, its path, and what says so: an option, a variable, or "
		"the\n"
		"default of root or of a user's XDG folders. native, stacks and locks are of "
		"native "
		"dynos.\n",
	.options = takes,
	.run = run,
};
