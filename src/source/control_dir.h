/* A control directory as a source: DESIGN 4, hsup-control(5). */
#pragma once

#include "source/source.h"

enum control_dir_flags {
	CONTROL_DIR_HOLD = 1 << 0, /* take the lock; -EBUSY and the holder's pid in err when held */
	CONTROL_DIR_TRY =
		1 << 1, /* take the lock if it is free; else read `loaded` only (run, build) */
	CONTROL_DIR_CREATE = 1 << 2,
};

/* Opens it; *ret_state is for control_dir_ops. */
int control_dir_open(
	const char *path, unsigned flags, void **ret_state, struct err *err) HSUP_MUST_CHECK;
extern const struct source_ops control_dir_ops;

bool control_dir_held_by_us(void *state);
const char *control_dir_path(void *state); /* absolute, of the time it was opened */
