/* The log of one container, into the pipes of its life: every byte once, in its order within its
 * stream, over hiccups of the engine and kills of the supervisor (place.h). A pipe that is full
 * pauses the engine's stream; nobody else waits.
 *
 * logs?follow=1&timestamps=1&since=...: dockerd 20.10 drops an unterminated last line of a follow
 * that runs into the container's end, so after the end it is read once more from the last mark on,
 * and what is there already is skipped. */
#pragma once

#include "drivers/docker/engine.h"
#include "drivers/docker/place.h"

#include <stdbool.h>

struct follow;

struct follow_setup {
	struct engine *engine;
	sd_event *loop;
	struct place *place;   /* outlives it */
	const char *container; /* id; copied */
	int out, err;  /* write ends, non-blocking, the follow's, on failure too; err -1 = both
			* go to out (RedirectStderr) */
	bool recovers; /* an earlier supervisor followed it: the pipes may hold something */
	/* Its stream broke off: r < 0, or 0 = the engine says that was all, so the container has
	 * ended or is about to be found to have. It is not followed any more until follow_go(). */
	void (*broke)(void *userdata, int r, const struct err *err);
	/* After follow_finish(): all there is is in the pipes. lost: the engine could not be asked
	 * for the rest. The follow is still the owner's. */
	void (*over)(void *userdata, bool lost);
	void *userdata;
};

int follow_new(const struct follow_setup *setup, struct follow **ret_follow,
	struct err *err) HSUP_MUST_CHECK;
struct follow *follow_free(struct follow *f); /* closes the pipes; NULL allowed */

/* Follows, or goes on after a break. */
int follow_go(struct follow *f, struct err *err) HSUP_MUST_CHECK;
/* The container has ended: the rest, then `over`, from the loop. */
void follow_finish(struct follow *f);
