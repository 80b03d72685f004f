/* What one supervisor carries on of another: lines of the log that it held when it was killed. Only
 * supervisors know what is in it; we keep it, and hand it to each (logs/ says what for). */
#pragma once

#include "base/err.h"

/* The supervisor finds the first of its descriptors here (a number, from the environment); the
 * others follow it. */
#define CARRY_FD_ENV "HSUP_CARRY_FD"
#define CARRY_FDS    3

struct carry {
	/* A file for memory of theirs, and two pipes, each open for reading and writing and not
	 * blocking. -1 = there is none. */
	int fds[CARRY_FDS];
};

/* table: the path of the table; the file lies beside it, so that it outlives us as well. NULL: it
 * does not. 0 or negative errno and err. */
int carry_open(const char *table, struct carry *ret_carry, struct err *err) HSUP_MUST_CHECK;
