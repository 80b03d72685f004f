/* The supervisor: wires the engine to a driver, a source, logs; owns the loop. main.c gives it the
 * concrete driver and source. */
#pragma once

#include "drivers/driver.h"
#include "model/options.h"
#include "source/source.h"

struct supervisor_setup {
	const struct options *options;
	const struct driver *driver;
	const struct source_ops *source;
	/* Opens the source; *ret_holds = false: another supervisor holds it, it is only read. */
	int (*open_source)(
		const struct options *options, void **ret_state, bool *ret_holds, struct err *err);
	const char *slug_helper; /* path of hsup-slug */
	int launcher_fd;	 /* taken */
};

/* Runs until all is done. Returns the exit code of the process (SUPERVISOR_EXIT_*, or 1: start me
 * again): the code that the user will see has been told to the launcher. */
int supervisor_run(const struct supervisor_setup *setup);
