#include "cli/private.h"

#include <stdio.h>

static int run(struct options *o, int n_operands, char **operands)
{
	(void)o;
	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_version, "takes no operands");
	(void)puts("hsup " HSUP_VERSION);
	return EXIT_OK;
}

const struct command command_version = {
	.name = "version",
	.operands = "",
	.summary = "show the version",
	.run = run,
};
