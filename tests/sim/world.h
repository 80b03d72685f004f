/* The world the engine lives in, as far as it can tell: a driver, processes, a source of releases,
 * an operator, and a supervisor that may be killed. Everything random comes from one seed. */
#pragma once

#include "base/clock.h"
#include "core/engine.h"
#include "core/plan.h"

#include <inttypes.h>
#include <stdio.h>

#define WORLD_TYPES	5 /* the last is the release phase */
#define WORLD_PHASE	(WORLD_TYPES - 1)
#define WORLD_RESTS	64
#define WORLD_RELEASES	64
#define WORLD_PROCESSES 128
#define WORLD_PENDING	16
#define WORLD_ENDED	256
#define NEVER		UINT64_MAX

enum process_next {
	NEXT_NOTHING, /* until it is told something */
	NEXT_START,
	NEXT_READY,
	NEXT_LEFT,
	NEXT_EXIT,
	NEXT_FAIL,
};

/* What a type's program is like: part of its fingerprint. */
enum character {
	GOOD, /* as long as nothing happens to it */
	GOOD_TOO,
	GOOD_AGAIN,
	CRASHES,    /* after it was up */
	FINISHES,   /* with code 0, after it was up */
	DIES_YOUNG, /* before StartSeconds are over */
	NO_PROGRAM, /* the start fails */
	HANGS,	    /* never gets as far as being started */
	CHARACTER_MAX,
};

struct task {
	uint64_t id;
	uint32_t generation;
	unsigned type, instance;
	uint64_t fingerprint;
	uint64_t start_time, start_timeout, grace; /* of this life */
	struct dyno_kept kept;			   /* its tag */
	struct dyno_kept last;			   /* as the engine had it when it was killed, */
	bool last_known;			   /* unless it was to go */
	bool phase, checked;
	bool started, leaderless;
	bool said_ready;
	bool condemned; /* unhealthy, or out of memory */
	uint64_t started_at, left_at;
	bool obeys;	      /* StopSignal */
	bool told, kill_told; /* by this engine */
	bool killed;
	bool listed;  /* its driver has seen it */
	bool adopted; /* by an engine that cannot know its policy */
	uint64_t told_at;
	enum process_next next;
	uint64_t at; /* of next; NEVER */
	struct dyno_exit exit;
};

/* The end of a life, which the launcher keeps until a later one has started or its dyno is
 * forgotten; and what the engine made of it. */
struct ended {
	struct task task;
	uint64_t at;
	bool judged;
	bool forgiven; /* the operator has started it since; it may be waiting for its turn */
	enum dyno_state state;
	uint64_t due;
	bool gave_up;
};

/* What a faulty supervisor does not carry over: a bit each. */
enum lost {
	LOST_BACKOFF = 1, /* ends of dynos that wait */
	LOST_REST = 2,	  /* ends of dynos at rest */
	LOST_TIME = 4,	  /* when it was */
	LOST_COUNTS = 8,
	LOST_WISH = 16, /* what changed after the start */
	LOST_SCALED = 32,
	LOST_RESTS = 64,
	LOST_PHASE = 128, /* how it ended */
};

/* What the engine gets wrong on purpose, see bugs.c. */
enum bug {
	BUG_NONE,
	BUG_NO_TURN,
	BUG_NO_LET_IN,
	BUG_STOP_AT_ONCE,
	BUG_ONE_STEP,
	BUG_NO_SETTLE,
	BUG_NO_ESSENTIAL,
	BUG_NO_PHASE,
	BUG_PHASE_STAYS,
	BUG_SCALED_STAYS,
	BUG_NO_REST,
	BUG_NO_ABORT,
	BUG_NOT_ALONE,
};
extern enum bug world_bug;

struct pending { /* an answer on its way to the engine */
	struct engine_event event;
	uint64_t at;
};

struct sim_release {
	struct formation *formation; /* with room for WORLD_TYPES */
	bool skip_phase, circle;
	bool ran;	/* its release phase, and was not told to end */
	bool succeeded; /* and well */
};

/* A quantity by the operator. */
struct sim_scale {
	bool set;
	unsigned quantity, base;
};

/* What an invariant needs to know of the step just made. */
struct step {
	struct engine_event event;
	bool operators; /* event of an operator, or of a release */
	bool rolled_back;
	bool protected; /* before the step: there is a release to go back to */
	bool was_rolling, was_stopping;
	unsigned stopped[WORLD_TYPES]; /* ready dynos that the engine told to stop by itself */
	unsigned stopped_old[WORLD_TYPES];
	unsigned min_up[WORLD_TYPES];  /* before the step */
	unsigned resting[WORLD_TYPES]; /* ready without a process, before the step */
	bool lost_ready[WORLD_TYPES];  /* the world took one */
	uint64_t release;	       /* in force before */
	bool no_memory;
};

struct world {
	uint64_t seed, random;
	const dyno_grid *grid;
	bool verbose;
	struct engine *engine;
	uint64_t now;
	unsigned steps;
	uint64_t starved; /* events refused for want of memory, in all histories */

	bool faults;	/* processes die, starts fail ... */
	bool disturbed; /* this rollout, by the operator or the clock: all may have come up */
	bool scarce;	/* allocations fail */
	bool adopting;	/* a new engine is being told what runs */
	bool oneshot;
	unsigned start_number;
	bool exit_when_done;
	struct quantity_override named[WORLD_TYPES];
	size_t n_named;
	struct sim_scale scaled[WORLD_TYPES];
	struct engine_rest rests[WORLD_RESTS]; /* as the engine told them */
	size_t n_rests;

	struct sim_release releases[WORLD_RELEASES];
	unsigned n_releases;	  /* handle h is releases[h - 1] */
	uint64_t loaded, settled; /* handles, 0 = none */
	uint64_t submitted;	  /* on its way in; 0 = none */
	bool renewing;		  /* the operator wants a type of the settled release to be */
	bool essential_codes[256];
	bool essential_gone;
	uint64_t settled_below; /* dynos with ids below it were there when one settled */
	uint64_t fingerprints, next_id;
	bool alone; /* its driver has room for dynos of one number */
	uint64_t numbers[WORLD_RELEASES * WORLD_TYPES]; /* of fingerprints */
	struct pending pending[WORLD_PENDING];
	size_t n_pending;
	struct task processes[WORLD_PROCESSES];
	size_t n_processes;
	struct ended ended[WORLD_ENDED];
	size_t n_ended;
	unsigned lost;		  /* enum lost */
	uint64_t restarted_below; /* dynos with ids below it were there when an engine was new */
	struct engine_event history[8]; /* to be said again */
	unsigned n_history;

	unsigned urgency; /* shutdown was ordered */
	int code;	  /* largest of the lives that ended by themselves */
	bool left;
	struct step step;

	const char *broken; /* the invariant's name; NULL = none */
	char why[200];
};

extern const char *const world_types[WORLD_TYPES];

/* An allocation within the next engine_handle() fails once the count is down; 0 = never. */
extern unsigned world_alloc_fails;

uint64_t world_random(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
void world_broken(struct world *w, const char *invariant, const char *fmt, ...) HSUP_PRINTF(3, 4);

void world_init(struct world *w); /* once; world_begin() for every history */
void world_done(struct world *w);
void world_begin(struct world *w, uint64_t seed, const dyno_grid *grid);
void world_end(struct world *w);
struct engine *world_engine(struct world *w);

/* Hands one event to the engine, carries out its actions, checks the invariants. */
void world_handle(struct world *w, struct engine_event event);
uint64_t world_next(const struct world *w); /* when something happens by itself; NEVER */
void world_advance(struct world *w);	    /* to world_next(), and lets it happen */

void world_note_code(struct world *w, const struct dyno_exit *exit); /* of an essential one */
struct task *world_process(struct world *w, uint64_t id, uint32_t generation);
unsigned world_type(const char *name);
unsigned world_quantity(const struct world *w, const struct formation_type *t);
unsigned world_plain_quantity(const struct world *w, const struct formation_type *t);
struct engine *world_engine_after(struct world *w); /* with what was written down */
const struct formation_type *world_wanted(const struct world *w, unsigned type);

/* show.c */
void world_show_event(const struct world *w, const struct engine_event *event);
void world_show_action(const struct engine_action *a);

/* process.c */
void process_start(struct world *w, const struct engine_action *a);
void process_signal(struct world *w, const struct engine_action *a);
void process_kill(struct world *w, const struct engine_action *a);
void process_retag(struct world *w, const struct engine_action *a);
void process_forget(struct world *w, uint64_t id, uint32_t before);   /* generations */
struct engine_event process_happens(struct world *w, struct task *p); /* p may be gone then */
void process_recheck(struct world *w, struct task *p);
void process_calm(struct world *w); /* all that run behave from now on */

/* operator.c: something random that nobody could foresee. */
void operator_acts(struct world *w);
void operator_restarts_supervisor(struct world *w);
/* release.c: what a release says. */
void release_fill(struct world *w, struct sim_release *r, const struct formation *before);
bool policy_checked(uint64_t fingerprint);
uint64_t release_alone(const struct world *w, uint64_t fingerprint); /* of which number it is */

/* promises.c: order, release phase, what the operator wants, when to leave. */
void promises_action(struct world *w, const struct engine_action *a);
void promises_check(struct world *w);
void promises_converged(struct world *w);
bool promises_waits(const struct world *w, const struct formation_type *t); /* by its After */
bool world_unproven(const struct world *w, const struct dyno *d);
bool world_was_settled(const struct world *w, const struct dyno *d);
bool world_rests(const struct world *w, const char *type, unsigned instance);

/* invariants.c */
void invariants_action(struct world *w, const struct engine_action *a);
void invariants_check(struct world *w);
void invariants_restored(struct world *w); /* all was adopted */
void invariants_converged(struct world *w);
