/* One slug: fetch, verify, unpack, put into place. */
#pragma once

#include "slug/report.h"
#include "slug/sandbox.h"
#include "slug/writer.h"

#include <signal.h>

struct job {
	const char *source;   /* as written; a relative path is relative to the working directory */
	const char *checksum; /* "SHA256:<hex>", NULL or "" = none */
	int target;	      /* directory; O_PATH will do; the caller's */
	struct writer_limits limits;
	uint64_t max_download; /* packed bytes, also of a local file */
	unsigned tries;
	unsigned low_speed_seconds;
	uint32_t uid, gid; /* SANDBOX_STAY */
	bool dies_with_parent;
	struct report *report;
	const volatile sig_atomic_t *stop;
};

/* Makes <target>/<digest>. It is whole or absent; on failure nothing is left in target. The process
 * is sandboxed when this returns, for good: one job per process. Errors as in wire/job.h. */
int job_run(const struct job *j, struct job_done *ret_done, struct err *err) HSUP_MUST_CHECK;

/* Removes every ".trash-*" in target, as low in priority as can be. */
int job_remove_trash(int target, uint32_t uid, uint32_t gid, struct err *err) HSUP_MUST_CHECK;
