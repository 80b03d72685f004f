/* One slug that is being made ready by a helper process: its attempts and its time.
 *
 * What the helper tells is final, good or bad. One that ends without an answer (a crash, a kill,
 * something malformed, silence) is tried again, LIMIT_HELPER_TRIES times in all, a little later
 * each time: it may have been the machine's fault, and it concerns nobody but this job. */
#pragma once

#include "supervisor/slug_store.h"
#include "supervisor/slugs.h"
#include "wire/job.h"

#include <sys/queue.h>

struct slug_job {
	TAILQ_ENTRY(slug_job) link; /* the owner's, in the order they came */
	struct slugs *owner;
	const struct slug_store *store;
	const struct slug_patience *patience;
	void (*over)(struct slug_job *j); /* from the loop; error, text, result are set */

	char *source; /* absolute */
	char *checksum;
	bool progress_bar;
	slug_done_fn *done;
	void *userdata;
	uint64_t begun;

	struct worker *worker;
	sd_event_source *again, *end;
	unsigned attempts; /* 0: waits for its turn */
	bool answered;
	int error;
	char text[500];
	struct job_done result;
};

/* The first attempt. An error: nothing was begun, nothing follows. */
int slug_job_begin(struct slug_job *j, struct err *err) HSUP_MUST_CHECK;

/* Stops what was begun; no callback follows. NULL allowed; returns NULL. */
struct slug_job *slug_job_free(struct slug_job *j);

/* `over` comes from the loop, without a helper. */
int slug_job_answer_later(struct slug_job *j) HSUP_MUST_CHECK;
void slug_job_fail(struct slug_job *j, int error, const char *text, size_t len);
