/* The engine's inside: shared by engine*.c, heap.c and table.c only.
 *
 * What is prepared before an event is handled, and can fail: room for the actions that the event
 * itself causes. What the plan adds (new dynos, retirements) is done step by step; a step without
 * memory stays undone and is tried again a second later, so no event is ever half handled. */
#pragma once

#include "core/backoff.h"
#include "core/engine.h"
#include "core/plan.h"

/* A release that was prepared at least: shared by the engine and the dynos that live by it. */
struct era {
	unsigned refs;
	uint64_t handle; /* the supervisor's */
	uint64_t seq;	 /* the engine's own count */
	struct formation *formation;
};

struct group;

/* What a group counts of its dynos; of one of them each is 0 or 1. */
struct tally {
	size_t live;	/* has a process */
	size_t held;	/* has one, or a place to have one again: what engine_max_live() bounds */
	size_t ready;	/* ready, not retiring */
	size_t arrived; /* of them those of the wanted fingerprint */
	size_t waited;	/* of the wanted fingerprint, new since a release settled, not ready: the
			 * rollout waits for it */
	size_t excused; /* the same, but it was there when a release settled: no rollout's matter */
};

struct slot {
	struct dyno dyno; /* first: actions point here */
	struct group *group;
	struct era *era;		   /* NULL: adopted, and of no release known here */
	const struct formation_type *type; /* the policy it lives by: of its era, or the default */
	uint64_t born;			   /* the rollout that made it */
	bool current;			   /* of the wanted fingerprint */
	struct tally counted;		   /* as it stands in its group's tally */
	size_t index, group_index;	   /* in engine.slots, group.slots */
	struct slot *next;		   /* of its hash bucket, or of the gone */
};

/* All dynos of one type, old and new, and what is wanted of it. */
struct group {
	char name[LIMIT_TYPE_NAME + 1];
	const struct formation_type *wanted; /* NULL: not in the wanted formation */
	unsigned order;			     /* in that formation */
	unsigned quantity;
	struct slot **slots;
	size_t n, cap;

	struct tally tally; /* of all its slots */
	size_t ceiling;	    /* see engine_max_live() */

	bool busy;  /* not of the wanted shape yet: every change of one of its dynos is planned for
		     */
	bool dirty; /* to be planned in this call */
	bool last;  /* goes only when the rest of the release is up: a roll back may want it */

	size_t best;	   /* most current ones ready so far in this rollout */
	uint64_t progress; /* when this type last made some */
};

struct heap {
	struct slot **at; /* [1..n], by deadline */
	size_t n, cap;
};

struct engine {
	uint64_t next_id, seq;
	bool oneshot;
	unsigned start_number;
	const dyno_grid *grid;
	const char *(*stage_text)(unsigned stage);

	struct quantity_override *overrides;
	size_t n_overrides, overrides_cap;
	bool only_named; /* types without override do not run */

	/* Releases. */
	uint64_t preparing,
		waiting; /* handles; waiting: to be prepared after the commit's answer */
	struct era *committing;
	struct era *wanted;  /* in force */
	struct era *settled; /* the last of which all ran: the one to roll back to */
	bool rolling;
	uint64_t rollout;	  /* count of rollouts */
	uint64_t settled_rollout; /* the last of them that settled */
	char trouble[240];	  /* why this one is to be rolled back; "" = no reason */
	bool holding, caught_up;  /* holding: ENGINE_CAUGHT_UP is still to come */
	bool stopping, left;
	int code; /* largest so far, of lives that ended by themselves */

	/* Dynos. */
	struct slot **slots;
	size_t n, cap;
	struct slot **buckets;
	size_t n_buckets;
	struct slot *gone; /* freed at the next call */
	struct heap heap;

	struct group **groups; /* by priority, then document order; those no longer wanted last */
	size_t n_groups, groups_cap;
	struct plan_dyno *plan_dynos;
	struct plan_step *plan_steps;
	struct slot **plan_slots;
	size_t plan_dynos_cap, plan_steps_cap, plan_slots_cap;
	uint64_t
		retry; /* when to try again what memory or LIMIT_DYNOS did not allow; 0 = nothing */

	struct engine_action *actions;
	size_t n_actions, actions_cap;
	uint64_t wrong, stale;
	struct engine_counts counts;
};

/* heap.c: slots by dyno.deadline; dyno.heap_slot is the place, 0 = not in it. */
int heap_reserve(struct heap *h, size_t n) HSUP_MUST_CHECK;
void heap_sync(struct heap *h, struct slot *s); /* after its deadline changed; room is reserved */
void heap_remove(struct heap *h, struct slot *s);
struct slot *heap_first(const struct heap *h); /* NULL = empty */

/* table.c */
struct slot *table_find(const struct engine *e, uint64_t id);
/* A new dyno in its group, stopped, with the heap's room for it. 0, -ENOMEM, -E2BIG. */
int table_add(struct engine *e, struct group *g, uint64_t id, unsigned instance,
	struct slot **ret_slot) HSUP_MUST_CHECK;
void table_remove(struct engine *e, struct slot *s); /* to the gone */
void table_free_gone(struct engine *e);
struct group *group_find(const struct engine *e, const char *name);
int group_add(struct engine *e, const char *name, struct group **ret_group) HSUP_MUST_CHECK;
void groups_drop_empty(struct engine *e);
void groups_done(struct engine *e);

/* engine.c */
int actions_reserve(struct engine *e, size_t more) HSUP_MUST_CHECK;
struct engine_action *action_add(struct engine *e, enum engine_action_type type);
struct engine_action *action_dyno(
	struct engine *e, enum engine_action_type type, const struct slot *s);

/* engine_dyno.c: the life of one dyno. slot_apply() and slot_retire() need room for
 * ACTIONS_PER_STEP actions. */
#define ACTIONS_PER_STEP 6
extern const struct formation_type unknown_type; /* the policy of one nobody knows */
/* Binds s to a type of an era (both may be NULL: unknown). */
void slot_bind(struct slot *s, struct era *era, const struct formation_type *type);
void slot_count(struct engine *e, struct slot *s, uint64_t now); /* after any change of it */
void slot_apply(struct engine *e, struct slot *s, enum dyno_event event, uint64_t now);
/* The same, of a life that ended at `at`. */
void slot_end(struct engine *e, struct slot *s, enum dyno_event event, uint64_t at, uint64_t now);
void slot_retire(struct engine *e, struct slot *s, enum dyno_event how, uint64_t now);
void slot_unhealthy(struct engine *e, struct slot *s, const char *how); /* says so */
void slot_retag(struct engine *e, const struct slot *s, const struct dyno_kept *before);
bool timers_run(struct engine *e, uint64_t now); /* false: some are left, for want of memory */
bool timers_due(const struct engine *e, uint64_t now);

/* One that a settled release left as it is: whatever state it is in, nobody waits for it. */
static inline bool slot_kept(const struct engine *e, const struct slot *s)
{
	return s->current && s->born <= e->settled_rollout;
}

/* engine_end.c */
/* What becomes of s, whose life ended at `at`; the effects of what it goes on with. */
unsigned slot_decide(struct engine *e, struct slot *s, uint64_t at, uint64_t now);
/* Counts the start of the life that ends or is to end, once. */
void dyno_count_start(struct dyno *d);

/* engine_event.c: what the driver and the operator say. */
int handle_adopted(struct engine *e, const struct engine_adopted *a, uint64_t now) HSUP_MUST_CHECK;
void handle_process(struct engine *e, const struct engine_event *event, uint64_t now);
void handle_operator(struct engine *e, const struct engine_event *event, uint64_t now);
int handle_shutdown(struct engine *e, int urgency, uint64_t now) HSUP_MUST_CHECK;

/* engine_plan.c: the dynos of a type against what is wanted of it. */
void plans_run(struct engine *e, uint64_t now);
void plan_later(struct engine *e, uint64_t now); /* something was left undone */
void plan_retry(struct engine *e, uint64_t now); /* wakes what was left undone, when it is due */
unsigned wanted_quantity(const struct engine *e, const struct formation_type *t);
void group_want(struct group *g, unsigned quantity); /* and plan for it */
size_t group_limit(const struct group *g);	     /* live ones at most */
int handle_scale(struct engine *e, const struct engine_event *event) HSUP_MUST_CHECK;
bool quantities_fit(const struct engine *e, const struct formation *f);

/* engine_release.c: from a submission to the release in force. */
struct era *era_ref(struct era *era);
struct era *era_unref(struct era *era);
int handle_release(
	struct engine *e, const struct engine_event *event, uint64_t now) HSUP_MUST_CHECK;
void releases_drop(struct engine *e); /* those not committed yet */

/* engine_rollout.c */
/* Makes era (a reference is taken) the wanted one. -ENOMEM: nothing has changed. */
int rollout_begin(struct engine *e, struct era *era, uint64_t now) HSUP_MUST_CHECK;
void rollout_watch(struct engine *e, const struct slot *s); /* after a life of s has failed */
void rollout_check_failed(struct engine *e, uint64_t now);
bool rollout_check_done(struct engine *e, uint64_t now); /* true: there is more to plan */
uint64_t rollout_deadline(const struct engine *e);	 /* UINT64_MAX = none */
/* s was made by an earlier engine, under the release in force or an older one. */
void rollout_adopt(struct engine *e, struct slot *s);
