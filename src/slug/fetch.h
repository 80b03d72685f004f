/* A slug from a web server into an open file, by a child process of its own: what it may do, and
 * what libcurl costs in memory, ends with it. */
#pragma once

#include "base/err.h"
#include "slug/report.h"

#include <signal.h>
#include <stdint.h>

struct fetch {
	const char *url;
	int file; /* empty, readable and writable, the caller's */
	uint64_t max_bytes;
	unsigned tries;		    /* in all, at least 1 */
	unsigned low_speed_seconds; /* below 1 kB/s for so long is a time-out */
	struct report *report;
	const volatile sig_atomic_t *stop; /* not 0: give up */
};

/* Errors: -EREMOTEIO = the server said no, -ETIMEDOUT, -EFBIG, -ECANCELED, or what the network
 * said. No thread may exist. */
int fetch(const struct fetch *f, struct err *err) HSUP_MUST_CHECK;

/* In the child: http_load() finds libcurl, before the sandbox closes; http_fetch() does it. */
int http_load(struct err *err) HSUP_MUST_CHECK;
int http_fetch(const struct fetch *f, const char *certificates, struct err *err) HSUP_MUST_CHECK;
