/* An error that a human will read: the caller owns it, no allocation.
 *
 * Functions return negative errno. Where the text matters they also take a `struct err *` (may be
 * NULL), fill it at the point of failure, and callers add context on the way up:
 *
 *     loaded: cannot write: No space left on device */
#pragma once

#include "base/mem.h"

struct err {
	int code;	/* negative errno, 0 = nothing went wrong */
	char text[500]; /* one line, no newline */
};

/* Sets e and returns code, so that `return err_set(e, -EINVAL, "...")` works. */
int err_set(struct err *e, int code, const char *fmt, ...) HSUP_PRINTF(3, 4);

/* The same with ": <strerror>" appended. */
int err_errno(struct err *e, int code, const char *fmt, ...) HSUP_PRINTF(3, 4);

/* Puts "context: " in front of the text; returns e's code (or -EIO when e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) HSUP_PRINTF(2, 3);

/* strerror for a positive or negative errno; the text lives in static storage. */
const char *err_name(int code);
