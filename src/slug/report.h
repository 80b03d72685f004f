/* Tells how far a job is: as packets to who ordered it, as a bar on a terminal, or not at all. */
#pragma once

#include "wire/job.h"

#include <stdbool.h>
#include <stdint.h>

struct report {
	int socket;    /* -1: none; not ours */
	bool terminal; /* a bar on standard error */
	enum job_phase phase;
	uint64_t begun, last; /* ns */
	bool drawn;
	bool gone; /* nobody listens any more: the job is in vain */
};

/* At most ten times a second; total 0 = unknown. */
void report_progress(struct report *r, enum job_phase phase, uint64_t done, uint64_t total);
/* Wipes the bar. */
void report_end(struct report *r);
