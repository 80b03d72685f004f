/* Boxes that are parked: made before, for whoever comes. Of the native driver's files only, by way
 * of private.h. */
#pragma once

#include "base/limits.h"
#include "drivers/driver.h"
#include "wire/spec.h"

struct native;
struct native_life;

/* What boxes are parked for: all whose container would be the same, whatever runs in it. */
struct native_kind {
	struct native_kind *next;
	void *text; /* of a parked one's spec, but for its name */
	size_t len;
	char *notify; /* driver_start.notify_socket; NULL = none */
	uint64_t id;
	unsigned n_lives; /* of it, that have not ended */
	bool idle;	  /* there was none at the last look, nor since */
};

struct native_parked {
	struct native_parked *next;
	const struct native_kind *kind; /* NULL: it is being ended */
	struct native_life *taker;	/* who has ordered it, until that is answered */
	struct launch_child child;
	char box[SPEC_BOX_NAME_MAX + 1];
};

/* That a life is to begin in a parked box, until it is known whether it has: all that is needed to
 * start it without. */
struct native_wish {
	struct native_parked *parked; /* NULL: it has ended */
	int spec, in;
	bool merged;
	uint64_t signals; /* 1 << (signo - 1): that it was sent meanwhile */
	unsigned char tag[LIMIT_TAG];
	size_t tag_len;
	char name[LIMIT_NAME + 1];
	char box[SPEC_BOX_NAME_MAX + 1];
};

struct native_warm {
	struct native_kind *kinds;
	struct native_parked *parked;
	unsigned n_parked, failures; /* that ended by themselves, in a row */
	uint64_t n_ordered, n_kinds;
	sd_event_source *timer;
	sd_event_source *looking; /* while a kind has no lives; NULL = none has none */
	bool armed, off;
};

/* ---- warm.c ---- */

/* One that fits is ordered to become this life. 0; -ENOENT: there is none; or negative errno: it is
 * to be started without, and nothing has happened. */
int native_warm_start(struct native *n, const struct driver_start *start, struct native_life *life,
	int spec, const struct launch_stdio *stdio) HSUP_MUST_CHECK;
/* It has begun. */
void native_warm_began(struct native *n, struct native_life *life);
/* It has not: true when it was ordered without, and nothing is to be told. */
bool native_warm_refused(struct native *n, struct native_life *life, unsigned stage);
/* The life's wish, if it has any, is over. */
void native_wish_end(struct native_life *life);
/* A parked one has ended, of this supervisor's or of an earlier one's. */
void native_warm_ended(struct native *n, struct launch_child c);
/* An earlier supervisor's: it is ended. */
void native_warm_found(struct native *n, struct launch_child c, const char *box);
void native_warm_end(struct native *n, struct native_parked *p);

/* ---- pool.c: how many ---- */

/* After a start: some of its kind are to be parked, soon. */
void native_warm_want(struct native *n, const struct driver_start *start, struct native_life *life);
/* A parked one is away, in whatever way. */
void native_warm_refill(struct native *n);
/* One more is started without: the parked ones must not have the last uids. */
void native_warm_yield(struct native *n);
/* None any more. */
void native_warm_stop(struct native *n);
void native_warm_done(struct native *n);

/* ---- kinds.c: for whom ---- */

/* NULL: nothing is parked for such a start. */
const struct native_kind *native_kind_of(struct native *n, const struct driver_start *start);
/* This life is of that kind, until it leaves it; 0 or negative errno. */
int native_kind_join(struct native *n, const struct driver_start *start,
	struct native_life *life) HSUP_MUST_CHECK;
void native_kind_leave(struct native *n, struct native_life *life);
void native_keep(void *state, const struct release *current);
void native_kinds_done(struct native *n);
