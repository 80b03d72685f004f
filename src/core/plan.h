/* The plan: (what runs, what is wanted) -> which dynos to make, to want, and to retire.
 *
 * Pure and total: called after every event, it returns what may be done *now* without breaking the
 * strategy's promise; when something more becomes possible (a dyno came up, one has gone) it is
 * called again. It never undoes a step, so calling it twice changes nothing.
 *
 * A dyno of the wanted fingerprint keeps its place, one per wanted instance; all others go: old
 * ones, those above the quantity (a smaller quantity takes the highest numbers, at once), doubles.
 *
 * rolling:  a dyno is made only while all that have a process, or will have one again, are fewer
 *           than quantity + surge; one that goes and is up is retired only while more than the
 *           quantity are up, so that one of the new has come up for it. `batch` new ones at a time.
 * recreate: those that go are retired first, so many that at most `batch` are not up; a new one is
 *           made when nothing has its number any more. Never more than the quantity. */
#pragma once

#include "core/dyno.h"

/* What the plan sees of one dyno of the type. */
struct plan_dyno {
	unsigned instance;
	bool current; /* of the wanted fingerprint */
	bool live;    /* has, or has ordered, a process: not stopped, not backoff */
	bool up;      /* nobody has to wait for it (any more) */
	bool proving; /* up, but not for as long as a new one must be before it counts */
	bool retiring;
};

enum plan_step_type {
	PLAN_MAKE,   /* a new dyno of the wanted release, .instance */
	PLAN_RETIRE, /* dynos[.index] */
};

struct plan_step {
	enum plan_step_type type;
	unsigned instance;
	size_t index;
};

static inline bool plan_counts(const struct plan_dyno *d)
{
	return d->up && !d->proving;
}

/* The effective numbers of a rollout for a quantity. */
unsigned plan_surge(const struct rollout *r, unsigned quantity);
unsigned plan_batch(const struct rollout *r, unsigned quantity);

/* Steps possible now for one type; instances run from first_instance. ret must hold
 * quantity + n entries. Returns how many were written, those to retire first. A dyno without
 * process that is retired is gone: its number is free at the next call. *ret_done: with these steps
 * the type has the wanted shape (all that stay are made, all that go are retiring), so there will
 * be no others. */
size_t plan_type(const struct rollout *rollout, unsigned quantity, unsigned first_instance,
	const struct plan_dyno *dynos, size_t n, struct plan_step *ret, bool *ret_done);

/* The same while the type waits for its turn: nothing is replaced. What is missing is made (and not
 * started), what is above the quantity goes. */
size_t plan_held(const struct rollout *rollout, unsigned quantity, unsigned first_instance,
	const struct plan_dyno *dynos, size_t n, struct plan_step *ret);
