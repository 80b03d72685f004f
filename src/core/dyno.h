/* One dyno: a pure table, state x event -> next state + effects.
 *
 *     stopped -> starting -> up -> stopping -> stopped       desired: run | rest | retire
 *                   |         |       \-> killing -/         last exit: code | signal | unknown |
 *                   \-> backoff <-/                                     (stage, errno)
 *
 * A dyno is one slot of the formation ("web.1") of one release. It lives many lives: each start is
 * a new generation. Its id is unique in time: during a rollout an old and a new "web.1" overlap.
 *
 * Nothing here acts. dyno_step() looks up the cell, changes the state in its one writer, arms and
 * drops the state's timers, and hands the effects to the engine. Time is CLOCK_MONOTONIC in ns,
 * given by the caller. */
#pragma once

#include "model/exit.h"
#include "model/formation.h"

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, "text") */
#define DYNO_STATES(X)                                                                             \
	X(STOPPED, "stopped")	/* no process */                                                   \
	X(STARTING, "starting") /* ordered, or running but not yet ready */                        \
	X(UP, "up")		/* ready */                                                        \
	X(STOPPING, "stopping") /* StopSignal sent, StopTimeout runs */                            \
	X(KILLING, "killing")	/* KILL sent */                                                    \
	X(BACKOFF, "backoff")	/* no process; will be started again at its deadline */

enum dyno_state {
#define X(name, text) DYNO_##name,
	DYNO_STATES(X)
#undef X
		DYNO_STATE_MAX,
};

/* X(NAME, "why, for the log") */
#define DYNO_EVENTS(X)                                                                             \
	X(WANTED, "wanted")		    /* the plan wants it to run */                         \
	X(UNWANTED, "no longer wanted")	    /* the plan, the operator or shutdown wants it down */ \
	X(KILL_NOW, "killed by request")    /* no grace */                                         \
	X(STARTED, "process started")	    /* the driver has made the process */                  \
	X(READY, "ready")		    /* the check says so; without one, its age does */     \
	X(LEFT, "main process ended")	    /* the leader is gone, others of its group live */     \
	X(EXITED, "process exited")	    /* nothing of it is left; last_exit says how */        \
	X(FAILED, "could not start")	    /* it never became the program; last_exit: stage */    \
	X(CRASHED, "to be restarted")	    /* the engine's decision on an end: backoff_delay */   \
	X(UNHEALTHY, "unhealthy")	    /* its Healthy check fails for good */                 \
	X(OOM, "out of memory")		    /* far above its limit: Heroku's R15 */                \
	X(START_TIMEOUT, "start timed out") /* timer: not up within StartTimeout (R10) */          \
	X(GRACE_OVER, "exit timed out")	    /* timer: still there after StopTimeout (R12) */       \
	X(RETRY, "retrying")		    /* timer: the back-off is over */                      \
	X(STABLE, "stable")		    /* timer: up long enough to forget earlier failures */

enum dyno_event {
#define X(name, text) DYNO_EV_##name,
	DYNO_EVENTS(X)
#undef X
		DYNO_EVENT_MAX,
};

enum dyno_desired {
	DESIRED_RUN,  /* keep it running */
	DESIRED_REST, /* its job is done, it gave up, or it is not to start by itself: stay down */
	DESIRED_RETIRE, /* stop it, then forget it */
};

/* What is written down of a life beside its age and its end, for a supervisor that comes after this
 * one: the rest follows from these. */
struct dyno_kept {
	unsigned restarts, failures, bad_starts;
	bool resting; /* stopped by the operator */
	bool asked, was_up, bad, condemned;
	bool phase;	 /* of a release phase, of the release with this */
	int64_t version; /* else 0 */
};

struct dyno {
	uint64_t id;	     /* unique in time, never 0 */
	uint32_t generation; /* of the current or last life; 0 = never started */
	unsigned instance;   /* the 1 of web.1 */
	char type[LIMIT_TYPE_NAME + 1];
	uint64_t release_seq; /* which release (engine's own count) it was made of */
	uint64_t fingerprint; /* of its type in that release */
	bool phase;	      /* not of the formation: its release phase */
	int64_t version;      /* phase: of its release */
	bool outdated;	      /* the operator wants a new one like it in its place */

	enum dyno_state state; /* written by dyno_step() and dyno_adopt() only */
	enum dyno_desired desired;
	struct dyno_exit last_exit;
	unsigned failures;	/* failed starts and crashes in a row, see backoff.h */
	unsigned bad_starts;	/* failed starts in a row, as of the last end: StartRetries */
	unsigned restarts;	/* lives after the first, in all */
	bool asked;		/* this life's end was asked for: not a crash */
	bool gave_up;		/* desired is REST because StartRetries was reached, or because the
				 * start failed and the policy allows no other */
	bool started;		/* this life: the driver has made the process */
	bool was_up;		/* this life: it came up */
	bool bad;		/* this life: counted in bad_starts already */
	bool condemned;		/* this life: unhealthy; whatever it ends with is a crash */
	uint64_t backoff_delay; /* ns; set by the engine before CRASHED */
	uint64_t since;		/* when the state was entered */

	/* The one timer of the state: which event it will be, and when. deadline 0 = none. */
	enum dyno_event timer;
	uint64_t deadline;
	size_t heap_slot; /* engine's; 0 = not in the heap */
};

/* Effects, a bit each, in the order the engine carries them out. */
enum dyno_effect {
	FX_START = 1 << 0,	/* order the driver to start a new generation */
	FX_SIGNAL = 1 << 1,	/* StopSignal to every process of the dyno */
	FX_KILL = 1 << 2,	/* KILL to every process of the dyno */
	FX_DECIDE = 1 << 3,	/* it has ended: crash, done, or asked for? (engine, backoff.h) */
	FX_BAD_START = 1 << 4,	/* counts as a failed start */
	FX_FORGIVE = 1 << 5,	/* failures back to 0 */
	FX_REPORT_R10 = 1 << 6, /* "Error R10 (Boot timeout)" */
	FX_REPORT_R12 = 1 << 7, /* "Error R12 (Exit timeout)" */
	FX_IGNORE = 1 << 8,	/* possible, and rightly without effect */
	FX_WRONG = 1 << 9,	/* cannot happen: an invariant is broken; counted, never acted on */
	FX_ARM = 1 << 10,	/* the state stays, its timer runs anew (done by dyno_step()) */
	FX_CONDEMN = 1 << 11,	/* its end is a crash, with whatever code */
	FX_REPORT_R15 = 1 << 12,
};

struct dyno_cell {
	enum dyno_state next;
	unsigned effects;
};

/* The real table. A mutated copy can be given to dyno_step() by tests. */
typedef struct dyno_cell dyno_grid[DYNO_STATE_MAX][DYNO_EVENT_MAX];
extern const dyno_grid dyno_table;

/* Which timer each state arms on entry, and how long it runs for a dyno of this type; event
 * DYNO_EVENT_MAX = the state has none. */
struct dyno_timer {
	enum dyno_event event;
	uint64_t delay; /* ns */
};
struct dyno_timer dyno_state_timer(
	enum dyno_state state, const struct dyno *d, const struct formation_type *type);

/* Applies one event. Returns the effects; *d is in its new state with that state's timer. A timer's
 * own event drops it; an event that leaves the state as it is leaves the timer alone. FX_START
 * begins a new life: generation, restarts and the flags of a life are set here. */
unsigned dyno_step(const dyno_grid *grid, struct dyno *d, const struct formation_type *type,
	enum dyno_event event, uint64_t now);

/* Puts a new *d into the state of a process that has run from `started` (0: nobody knows, surely
 * for long) until now: up when it has lived for StartSeconds without being asked to end and needs
 * no check, or is known to have been up (was_up), else starting; also when it never was the program
 * (last_exit) or was a bad start. */
void dyno_adopt(struct dyno *d, const struct formation_type *type, uint64_t started, uint64_t now);

struct dyno_kept dyno_kept(const struct dyno *d);

/* Has a process, or has ordered one: starting, up, stopping, killing. */
static inline bool dyno_live(const struct dyno *d)
{
	return d->state != DYNO_STOPPED && d->state != DYNO_BACKOFF;
}

/* Up, or at rest with its job done or by the operator's wish: nobody need wait for it. */
static inline bool dyno_ready(const struct dyno *d)
{
	return d->state == DYNO_UP ||
	       (d->state == DYNO_STOPPED && d->desired == DESIRED_REST && !d->gave_up);
}

static inline bool dyno_stopped_by_operator(const struct dyno *d)
{
	return d->desired == DESIRED_REST && d->asked && !d->gave_up;
}

const char *dyno_state_text(enum dyno_state s);
const char *dyno_event_text(enum dyno_event e);
