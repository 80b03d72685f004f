/* What an engine says of how a container is, and of how it has ended. Pure. */
#pragma once

#include "drivers/driver.h"

#include <jansson.h>

/* A set of exit codes: ExitCodes of a type. */
void codes_set(uint64_t codes[4], int code);
bool codes_has(const uint64_t codes[4], int code);
void codes_read(uint64_t codes[4], const char *text); /* "0,143" */

enum container_state {
	CONTAINER_CREATED, /* never started */
	CONTAINER_RUNS,
	CONTAINER_ENDED,
	CONTAINER_GOING, /* being removed */
};
enum container_state container_state(const char *text);

/* Of an inspect's "State". An engine says 128 + n of what a signal has ended, and so do shells and
 * the init in the container; a program may exit with that number, too. It is taken for the
 * signal's, unless the type names the number among its ExitCodes. */
struct driver_exit exit_read(const json_t *state, const uint64_t codes[4]);

/* "no such file or directory", "permission denied" in what a runtime says of a program: EXIT_STAGE
 * with stage and errno. */
struct driver_exit exit_refused(const struct err *err);

/* An engine's wall clock, as it is here: CLOCK_MONOTONIC ns, never later than now. 0 = none. */
uint64_t time_read(const char *text);

/* What is to become of a container of this owner that was found, or of an entry of the launcher's
 * without one. */
enum verdict {
	VERDICT_ADOPT,
	VERDICT_REMOVE, /* and the entry, if there is one */
	VERDICT_LEAVE,	/* it is somebody else's */
};
struct found {
	bool entry;	/* the launcher knows it */
	bool container; /* the engine does */
	bool run;	/* hsup.kind */
	bool orphan;	/* of a run: nobody answers for it any more */
	bool place;	/* it is written down how far its output has come */
	enum container_state state;
};
enum verdict found_judge(const struct found *f, bool lasts);
