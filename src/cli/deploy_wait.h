/* What becomes of a release that was loaded, until it is rolled out. */
#pragma once

#include "cli/cli.h"

#include <stdint.h>

/* control_dir: of the app. begin: wall clock from before the submission. seconds: 0 = for ever.
 * EXIT_OK also when that hsup answers nobody. */
int deploy_wait(struct options *o, const char *control_dir, const char *app, uint64_t begin,
	unsigned seconds);
