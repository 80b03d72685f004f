/* What looks after one life: shared by the files that make it (guard.c, guard_found.c) and the one
 * that hears what it finds (checks.c). */
#pragma once

#include "checks/checks.h"
#include "supervisor/private.h"

struct guard {
	struct supervisor *owner;
	struct life *life;
	struct release *release;   /* a reference */
	struct driver_start order; /* as it was for this life; its strings are the others' */
	struct checker *checker;
	uint64_t command; /* that runs, 0 = none */
};

extern const struct checker_events guard_events;
void guard_ready(struct guard *g);

/* What is to be looked at of this life, from now on: l->guard, NULL when that is nothing. `order`
 * is as it was, or as it is to be. */
int guard_new(struct supervisor *s, struct life *l, const struct driver_start *order,
	struct err *err) HSUP_MUST_CHECK;
