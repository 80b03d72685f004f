/* One try of a Listen or HTTP check: a connection to the dyno, never waited for. */
#pragma once

#include "base/err.h"
#include "checks/answer.h"
#include "checks/checks.h"
#include "model/release.h"

#include <systemd/sd-event.h>

/* Zero-initialise with fd = -1. */
struct attempt {
	int fd;
	sd_event *loop;
	sd_event_source *io;
	const struct check *check;
	struct check_address where;
	bool second;	/* at ::1, for those who listen only there */
	bool connected; /* and the request is out */
	bool judged;	/* done was called: what else comes is read and thrown away */
	size_t drained;
	struct http_answer answer;
	/* From the loop: good, or text says why not. */
	void (*done)(void *userdata, bool good, const char *text);
	void *userdata;
};

/* Begins: 0, and `done` follows unless the caller ends it before (the time-out is his). > 0: good
 * already. Negative errno: failed already, and err says why. check must outlive it. */
int attempt_begin(struct attempt *a, sd_event *loop, const struct check *check,
	const struct check_address *where, struct err *err) HSUP_MUST_CHECK;

/* What it waits for: "no answer", "not accepted". */
const char *attempt_waits(const struct attempt *a);

/* Closes; nothing follows. Any number of times. After `done` an HTTP connection is kept until the
 * other side has closed it: one that is cut off in the middle of an answer is an error there. */
void attempt_end(struct attempt *a);
