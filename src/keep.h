/* How the launcher is to keep what it starts: its options, from ours. */
#pragma once

#include "model/options.h"

#include <limits.h>
#include <sys/types.h>

#define KEEP_ARGS 6

struct keep {
	const char *args[KEEP_ARGS];
	unsigned n_args;
	char watchdog[32], table[PATH_MAX + 16], versions[PATH_MAX + 16];
};

/* uid, gid: of the supervisor. `beside`: the launcher lies beside this program, as in a build tree
 * or a folder of one version. Makes the runtime directory; when that cannot be, says so and goes on
 * without a table. */
void keep_options(
	const struct options *o, uid_t uid, gid_t gid, bool beside, struct keep *ret_keep);
