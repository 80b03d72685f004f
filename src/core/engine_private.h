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
	unsigned live;	  /* has a process */
	unsigned held;	  /* has one, or a place to have one again: what engine_max_live() bounds */
	unsigned ready;	  /* ready, not retiring */
	unsigned arrived; /* of them those of the wanted fingerprint */
	unsigned waited;  /* of the wanted fingerprint, new since a release settled, not ready: the
			   * rollout waits for it */
	unsigned excused; /* the same, but it was there when a release settled: no rollout's matter
			   */
	unsigned waiting; /* not started yet, as it is not its turn: see engine_order.c */
	unsigned proving; /* arrived, but not up for SettleSeconds yet */

	/* Of the wanted fingerprint, for those whose turn comes after. */
	unsigned begun;	    /* have a process, or need none any more */
	unsigned succeeded; /* have ended, and well */
	unsigned failing;   /* not ready, and have failed already */
	unsigned coming;    /* not ready, and nothing is known against it */
};

struct slot {
	struct dyno dyno; /* first: actions point here */
	struct group *group;
	struct era *era;		   /* NULL: adopted, and of no release known here */
	const struct formation_type *type; /* the policy it lives by: of its era, or the default */
	uint64_t born;			   /* the rollout that made it */
	bool current;			   /* of the wanted fingerprint, and not outdated */
	bool waiting;			   /* stopped, to be started when it is its turn */
	bool proven;			   /* has been up for SettleSeconds */
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

	/* Its turn (engine_order.c). */
	struct group *after[LIMIT_AFTER]; /* as wanted->after; NULL = nothing to wait for */
	bool gated;			  /* others can come before it */
	bool held;   /* they have not yet in this rollout: nothing of it is replaced */
	bool passed; /* said that those behind it go on without it */

	size_t best;	   /* most current ones ready so far in this rollout */
	uint64_t progress; /* when this type last made some */
	uint64_t proof;	   /* when the next of the proving may be proven, or before; UINT64_MAX */
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

	struct quantity_override *named; /* of the command line */
	struct quantity_override
		*scaled; /* the operator's; some may be void, see wanted_quantity() */
	size_t n_named, named_cap, n_scaled, scaled_cap;
	struct engine_rest *rests; /* sorted */
	size_t n_rests, rests_cap;
	bool tell_scaled, tell_rests; /* they have changed */

	/* Releases. */
	uint64_t preparing,
		waiting;     /* handles; waiting: to be prepared after the commit's answer */
	struct era *phasing; /* its release phase has its turn, or runs */
	struct era *committing;
	struct era *wanted;  /* in force */
	struct era *settled; /* the last of which all ran: the one to roll back to */
	bool clearing;	     /* some may be there that must be gone before anything of it starts */
	bool rolling;
	bool renewing;		  /* ... only because the operator wants a type to be */
	uint64_t rollout;	  /* count of rollouts */
	uint64_t settled_rollout; /* the last of them that settled */
	char trouble[240];	  /* why this one is to be rolled back; "" = no reason */
	bool holding, caught_up;  /* holding: ENGINE_CAUGHT_UP is still to come */
	bool stopping, left;
	int stop_step; /* Priority of those that stop now; those above it have gone */
	bool exit_when_done;
	bool essential_gone; /* and code is its */
	int code;	     /* largest so far, of lives that ended by themselves */

	/* Dynos. */
	struct slot **slots;
	size_t n, cap;
	struct slot **buckets;
	size_t n_buckets;
	struct slot *gone; /* freed at the next call */
	struct heap heap;

	struct group **groups; /* by priority, then document order; those no longer wanted last */
	size_t n_groups, groups_cap;
	bool ordered;	    /* some of them are gated */
	struct group phase; /* of dynos of release phases; none of the groups */
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
void group_done(struct group *g);
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

static inline bool slot_is_wanted(const struct slot *s)
{
	const struct formation_type *t = s->group->wanted;

	return t && t->fingerprint == s->dyno.fingerprint && !s->dyno.outdated;
}

/* engine_end.c */
/* What becomes of s, whose life ended at `at`; the effects of what it goes on with. */
unsigned slot_decide(struct engine *e, struct slot *s, uint64_t at, uint64_t now);
/* Counts the start of the life that ends or is to end, once. */
void dyno_count_start(struct dyno *d);

/* engine_event.c: what the driver and the operator say. */
void handle_process(struct engine *e, const struct engine_event *event, uint64_t now);
int handle_operator(
	struct engine *e, const struct engine_event *event, uint64_t now) HSUP_MUST_CHECK;
bool slot_has_twin(const struct slot *s); /* another of its number stays, and is not stopped */
uint64_t ended_at(uint64_t at, uint64_t now);
void note_exit(struct dyno *d, const struct dyno_exit *exit);

/* engine_adopt.c: what was there before this engine. */
int handle_adopted(struct engine *e, const struct engine_adopted *a, uint64_t now) HSUP_MUST_CHECK;

/* engine_leave.c: the end. */
int handle_shutdown(struct engine *e, int urgency, uint64_t now) HSUP_MUST_CHECK;
void stops_run(struct engine *e, uint64_t now); /* the next step, when the one before has gone */
/* s has ended for good, by itself or because it gave up. */
void essential_watch(struct engine *e, const struct slot *s);
void check_essential(struct engine *e, uint64_t now);
void check_leave(struct engine *e, uint64_t now);

/* engine_order.c: who starts after whom. */
void order_begin(struct engine *e); /* the wanted formation is another */
bool order_open(const struct engine *e, const struct group *g); /* is it its turn? */
bool order_run(struct engine *e, uint64_t now); /* lets those in whose turn it is; true: some */

/* engine_phase.c: the release phase. */
const struct formation_type *phase_type(const struct formation *f); /* NULL = it has none */
void phase_run(struct engine *e, uint64_t now);
void phase_drop(struct engine *e, uint64_t now); /* of a release that is overtaken */
void phase_refuse(struct engine *e, const char *why, uint64_t now);
void phase_over(struct engine *e, uint64_t now); /* nobody asks for its end any more */
void phase_caught_up(struct engine *e, uint64_t now);

/* engine_scale.c: quantities. */
int overrides_take(struct engine *e, const struct engine_options *o) HSUP_MUST_CHECK;
unsigned wanted_quantity(const struct engine *e, const struct formation_type *t);
bool quantities_fit(const struct engine *e, const struct formation *f);
/* What the operator wanted is forgotten when f, which is in force, could not be with it: somebody
 * has changed what was written down. */
void overrides_fit(struct engine *e, const struct formation *f);
int handle_scale(struct engine *e, const struct engine_event *event) HSUP_MUST_CHECK;
int handle_start_type(struct engine *e, const char *type) HSUP_MUST_CHECK;
void overrides_settle(struct engine *e); /* forgets those that are void for good */
void overrides_tell(struct engine *e, uint64_t now);

/* engine_rest.c: what the operator has stopped. */
int rests_take(struct engine *e, const struct engine_options *o) HSUP_MUST_CHECK;
bool rest_has(const struct engine *e, const char *type, unsigned instance);
int rest_add(struct engine *e, const char *type, unsigned instance) HSUP_MUST_CHECK;
void rest_remove(struct engine *e, const char *type, unsigned instance);
void rests_settle(struct engine *e); /* forgets numbers that are not wanted any more */
void rest_forget(struct engine *e, const struct slot *s); /* s is gone: perhaps its number too */
int rests_caught_up(struct engine *e, uint64_t now) HSUP_MUST_CHECK;
void rests_tell(struct engine *e, uint64_t now);

/* engine_plan.c: the dynos of a type against what is wanted of it. */
void plans_run(struct engine *e, uint64_t now);
void plan_later(struct engine *e, uint64_t now); /* something was left undone */
void plan_retry(struct engine *e, uint64_t now); /* wakes what was left undone, when it is due */
void group_want(struct group *g, unsigned quantity); /* and plan for it */
size_t group_limit(const struct group *g);	     /* live ones at most */

/* engine_release.c: from a submission to the release in force. */
struct era *era_ref(struct era *era);
struct era *era_unref(struct era *era);
int handle_release(
	struct engine *e, const struct engine_event *event, uint64_t now) HSUP_MUST_CHECK;
void releases_drop(struct engine *e, uint64_t now); /* those not committed yet */

/* engine_alone.c: formations whose dynos live beside none of another. */
/* Retires those that are in the way of the wanted one. False: none of them lives any more. */
bool alone_clear(struct engine *e, uint64_t now);
/* Is one in the way of f? */
bool alone_barred(const struct engine *e, const struct formation *f);

/* engine_rollout.c */
/* Makes era (a reference is taken) the wanted one. -ENOMEM: nothing has changed. */
int rollout_begin(struct engine *e, struct era *era, uint64_t now) HSUP_MUST_CHECK;
void rollout_watch(struct engine *e, const struct slot *s); /* after a life of s has failed */
void rollout_check_failed(struct engine *e, uint64_t now);
bool rollout_check_done(struct engine *e, uint64_t now); /* true: there is more to plan */
uint64_t rollout_deadline(const struct engine *e);	 /* UINT64_MAX = none */

/* engine_renew.c */
void handle_abort(struct engine *e, uint64_t now);
void handle_roll_type(struct engine *e, const char *type, uint64_t now);

/* engine_settle.c: new dynos that must stay up for a while. */
bool settle_needed(const struct engine *e, const struct slot *s);
/* When s, which is up, will have been so for long enough; 0 = it has, or need not. */
uint64_t settle_proof(const struct engine *e, struct slot *s, uint64_t now);
void settle_run(struct engine *e, uint64_t now);
uint64_t settle_deadline(const struct engine *e); /* UINT64_MAX = none */

/* Is there a good release to go back to from the one in force? */
static inline bool rollout_protected(const struct engine *e)
{
	return e->rolling && e->settled && e->settled != e->wanted;
}

/* s was made by an earlier engine, under the release in force or an older one. */
void rollout_adopt(struct engine *e, struct slot *s);
