/* The supervisor: wires the engine to a driver, a source, logs; owns the loop. main.c gives it the
 * concrete driver and source. */
#pragma once

#include "drivers/driver.h"
#include "model/options.h"
#include "source/source.h"

struct supervisor;

/* Who serves the control API (src/control): main.c names it, as it does the source. */
struct control_ops {
	/* Begins to answer on the loop; NULL state and 0 when nothing is to be served. An error is
	 * said, and the supervisor goes on without. */
	int (*open)(struct supervisor *s, sd_event *loop, const struct options *options,
		void **ret_state, struct err *err);
	void (*close)(void *state);
};

struct supervisor_setup {
	const struct options *options;
	const struct driver *driver;
	const struct source_ops *source;
	/* Opens the source; *ret_holds = false: another supervisor holds it, it is only read. */
	int (*open_source)(
		const struct options *options, void **ret_state, bool *ret_holds, struct err *err);
	const char *software;		   /* "hsup 0.1.0" */
	const char *slug_helper;	   /* path of hsup-slug */
	const struct control_ops *control; /* NULL = nothing is served */
	int launcher_fd;		   /* taken */
};

/* Runs until all is done. Returns the exit code of the process (SUPERVISOR_EXIT_*, or 1: start me
 * again): the code that the user will see has been told to the launcher. */
int supervisor_run(const struct supervisor_setup *setup);
