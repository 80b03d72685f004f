/* What was unpacked, as a tar stream again. */
#pragma once

#include "base/err.h"
#include "wire/job.h"

#include <signal.h>

#define PACK_PREFIX "app" /* every entry is below it, the slug's root is it */

struct pack {
	int folder; /* the unpacked slug; O_PATH will do; the caller's */
	int out;    /* closed when the whole tar is written, and on failure */
	struct job_pack order;
	const volatile sig_atomic_t *stop;
};

/* Writes the tar in the format of GNU tar: owner as ordered, by number; modes, times (whole
 * seconds), symbolic and hard links as they are. Anything that cannot be read, is no file,
 * directory or link, or changes meanwhile ends it: who reads sees no end of the archive then. The
 * process is sandboxed when this returns, for good. Errors: -EIO and others of reading, -EBADMSG
 * (something that cannot be in a slug), -EFBIG, -EPIPE (nobody reads any more), -ECANCELED. */
int pack_run(const struct pack *p, struct job_done *ret_done, struct err *err) HSUP_MUST_CHECK;
