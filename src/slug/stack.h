/* The root of a stack out of whatever the operator has, and whether it is still what it was. */
#pragma once

#include "base/err.h"
#include "slug/report.h"

#include <signal.h>

struct stack_job {
	int source; /* of JOB_STACK: a file or a folder; the caller's */
	int folder; /* where rootfs/ and tree.txt, or root.img, are made, or lie; the caller's */
	int out;    /* of JOB_VERIFY: for the lines; the caller's */
	struct job_stack order;
	struct job_verify verify;
	struct report *report;
	const volatile sig_atomic_t *stop;
};

/* What FROM is, is seen from its content. On failure something may be left in the folder, which is
 * then for who made it to remove. The process is sandboxed when this returns, for good. Errors as
 * in wire/job.h. */
int stack_make(const struct stack_job *j, struct job_stack_done *ret_done,
	struct err *err) HSUP_MUST_CHECK;
/* Differences are no error: they are counted. */
int stack_verify(const struct stack_job *j, struct job_stack_done *ret_done,
	struct err *err) HSUP_MUST_CHECK;
