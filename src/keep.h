/* How the launcher is to keep what it starts: its options, from ours. */
#pragma once

#include "model/options.h"

#include <limits.h>

#define KEEP_ARGS 6

struct keep {
	const char *args[KEEP_ARGS];
	unsigned n_args;
	char watchdog[32], table[PATH_MAX + 16], versions[PATH_MAX + 16];
};

/* `beside`: the launcher lies beside this program, as in a build tree or a folder of one version.
 * Makes the runtime directory; when that cannot be, says so and goes on without a table. */
void keep_options(const struct options *o, bool beside, struct keep *ret_keep);
