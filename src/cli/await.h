/* Waiting for what becomes of the dynos: by the events of hsup, so without a delay and without
 * asking again and again. Where events cannot be had it asks once a second. */
#pragma once

#include "cli/reach.h"

struct await {
	struct reach *reach;
	const uint64_t *from; /* of each app (by its index): the first event that matters; NULL =
			       * from now on */
	unsigned timeout;     /* seconds; 0 = for ever */
	bool patient;	      /* goes on when nobody answers: it may still come, or come back */
	int gap_ms;	      /* changed() is not called more often; 0 = at every event */

	/* Something may have changed: look, say it, and return AWAIT_GO_ON, or the exit code. */
	int (*changed)(void *userdata);
	/* An event, as it is told; may be NULL. AWAIT_GO_ON, or the exit code. */
	int (*event)(void *userdata, struct app *app, const char *kind, const json_t *data);
	void *userdata;
};

#define AWAIT_GO_ON (-1)
#define AWAIT_LATE  (-2) /* the time-out: nothing was said */

/* The exit code that a callback returned, AWAIT_LATE, or EXIT_REFUSED after a line: lost. */
int await(struct await *a);
