/* The mind: events in, actions out. Pure: no system call, no clock, no I/O; time is an argument
 * (CLOCK_MONOTONIC, ns), the jitter of a back-off follows from the dyno's id and generation. Memory
 * is bounded by limits.h.
 *
 * One engine runs one app (one control directory). The supervisor turns what happens into events,
 * calls engine_handle(), carries out the actions in their order, and arms one timer for
 * engine_deadline(). A call never re-enters; actions that fail come back as events. */
#pragma once

#include "core/dyno.h"

struct engine;

/* A dyno that the operator has stopped: a successor of its number does not start by itself. */
struct engine_rest {
	char type[LIMIT_TYPE_NAME + 1];
	unsigned instance;
};

struct engine_options {
	uint64_t first_id; /* ids of new dynos count up from here (never 0); after a restart of the
			    * supervisor it must be above every id still alive */
	bool oneshot;	   /* no restarts; when all have ended: ACTION_LEAVE */
	bool exit_when_done;   /* ACTION_LEAVE when nothing runs and nothing will */
	unsigned start_number; /* instance of the first dyno of a type, usually 1 */
	const struct quantity_override *overrides; /* of the command line, and those that
						    * ACTION_SCALED last had; copied */
	size_t n_overrides;
	const struct engine_rest *rests; /* as ACTION_RESTING last had them; copied */
	size_t n_rests;
	const dyno_grid *grid;			   /* NULL = dyno_table */
	const char *(*stage_text)(unsigned stage); /* for texts, see model/exit.h; NULL: numbers */
};

/* ---- events ---- */

enum engine_event_type {
	/* Releases. `release` is the supervisor's handle of one submission, unique in time. The
	 * newest wins: a submission that is being prepared is dropped by a later one. */
	ENGINE_SUBMITTED,      /* .release: valid, to be prepared */
	ENGINE_PREPARED,       /* .release, .formation (copied): slug is there; to be committed,
				* after its release phase (if it has one, and not .skip_phase) */
	ENGINE_PREPARE_FAILED, /* .release */
	ENGINE_COMMITTED,      /* .release: durable; roll it out */
	ENGINE_COMMIT_FAILED,  /* .release: stay with what runs */
	ENGINE_RESTORED,       /* .release, .formation (copied): the release in force at start,
				* committed already. .settled, .settled_formation (copied; NULL = none):
				* the one to roll back to, when it had not settled yet; .settled ==
				* .release: it had */

	/* What was there before this supervisor: once per dyno, after ENGINE_RESTORED and before
	 * ENGINE_CAUGHT_UP. */
	ENGINE_ADOPTED,	  /* .adopted: its last life */
	ENGINE_CAUGHT_UP, /* all was adopted: now act on differences. Until then no timer runs
			   * and nothing is planned; must follow ENGINE_RESTORED */

	/* From the driver. Stale (id, generation) pairs are ignored, and counted. */
	ENGINE_STARTED,	  /* .id .generation */
	ENGINE_READY,	  /* .id .generation: a readiness check holds */
	ENGINE_LEFT,	  /* .id .generation */
	ENGINE_EXITED,	  /* .id .generation .exit .at */
	ENGINE_FAILED,	  /* .id .generation .exit (EXIT_STAGE) .at */
	ENGINE_UNHEALTHY, /* .id .generation .text (how, may be NULL): its Healthy check fails for
			   * good: stopped and started again, as after a crash */
	ENGINE_OOM,	  /* .id .generation: far above its memory: killed, else the same (R15) */

	/* From the operator. */
	ENGINE_SCALE,	     /* .overrides (type and quantity): types named get theirs until a
			      * release says another quantity, the others stay */
	ENGINE_START_TYPE,   /* .text: a type that does not run gets the quantity it has in the
			      * release, as if scaled */
	ENGINE_ROLL_TYPE,    /* .text: a type whose dynos are replaced in the way of a rollout */
	ENGINE_ABORT,	     /* the release phase or the rollout under way is given up */
	ENGINE_STOP_DYNO,    /* .id: operator's stop: rests until started again, and so does its
			      * successor */
	ENGINE_START_DYNO,   /* .id: also ends a back-off and forgives */
	ENGINE_RESTART_DYNO, /* .id: stop, then start, not counted as a crash */
	ENGINE_SHUTDOWN,     /* .urgency 1: stop all in order; 2: kill all; then ACTION_LEAVE */

	ENGINE_TIMER, /* engine_deadline() has come */
	ENGINE_EVENT_MAX,
};

struct engine_adopted {
	uint64_t id;
	uint32_t generation;
	char type[LIMIT_TYPE_NAME + 1];
	unsigned instance;
	uint64_t fingerprint;
	struct dyno_kept kept; /* as ACTION_START or the last ACTION_RETAG of this life had it */
	uint64_t started;      /* CLOCK_MONOTONIC ns of this life's spawn */
	bool left;	       /* its leader is gone */
	bool ended;	       /* nothing of it is left: exit, at as in ENGINE_EXITED */
	struct dyno_exit exit;
	uint64_t at;
};

struct engine_event {
	enum engine_event_type type;
	uint64_t release;
	const struct formation *formation;
	bool skip_phase;
	uint64_t settled;
	const struct formation *settled_formation;
	uint64_t id;
	uint32_t generation;
	struct dyno_exit exit;
	uint64_t at; /* when it ended; 0 = now */
	const struct engine_adopted *adopted;
	const struct quantity_override *overrides;
	size_t n_overrides;
	const char *text;
	int urgency;
};

/* ---- actions ---- */

enum engine_action_type {
	ACTION_PREPARE, /* .release: fetch and unpack, then PREPARED or PREPARE_FAILED */
	ACTION_DROP,	/* .release: overtaken by a newer one or refused; stop preparing it */
	ACTION_COMMIT,	/* .release: make it the release in force, durably */
	ACTION_REFUSE,	/* .release .text: its release phase says no; as ACTION_DROP, but it is to
			 * be rejected */
	ACTION_START,	/* .dyno (state already `starting`), .release: of which release, .kept */
	ACTION_RETAG,	/* .dyno .generation .kept: what a later supervisor is to be told of
			 * this life, alive or the last one, is another than it was */
	ACTION_SIGNAL,	/* .dyno .generation .signo: to every process of it */
	ACTION_KILL,	/* .dyno .generation: KILL to every process of it */
	ACTION_FORGET,	/* .id: a retired dyno is gone (its struct is about to be) */
	ACTION_CHANGED, /* .dyno .from .to .event: a state changed; for log and status (the
			 * dyno itself may be in a later state already) */
	ACTION_REPORT,	/* .dyno .text: R10, R12, gave up ... one line under hsup[dyno] */
	ACTION_ROLLOUT_BEGUN, /* .release */
	ACTION_SETTLED,	      /* .release: all of it runs as wanted; the previous may be removed */
	ACTION_ROLL_BACK,     /* .release failed, .previous is in force again, .text says why:
			       * restore `loaded`, keep the failed one as `rejected` */
	ACTION_SCALED,	/* .overrides: the operator's, all of them, after one has changed: to be
			 * written down for engine_options. One whose base is not what the
			 * release in force says is kept for a roll back only */
	ACTION_RESTING, /* .rests: all that the operator has stopped, likewise */
	ACTION_LEAVE,	/* .code: nothing runs and nothing will: exit with this code */
	ACTION_MAX,
};

struct engine_action {
	enum engine_action_type type;
	uint64_t release, previous;
	const struct dyno *dyno; /* valid until the next engine_handle() */
	uint64_t id;
	uint32_t generation;
	int signo;
	enum dyno_state from, to;
	enum dyno_event event;
	int code;
	struct dyno_kept kept;
	const struct quantity_override *overrides; /* valid until the next engine_handle() */
	size_t n_overrides;
	const struct engine_rest *rests; /* the same */
	size_t n_rests;
	char text[240]; /* last: the rest of it is not set */
};

/* NULL = out of memory, or a wrong option. */
struct engine *engine_new(const struct engine_options *options);
struct engine *engine_free(struct engine *e);

/* Handles one event at `now` and returns the actions it causes: *ret_actions points into the engine
 * and is valid until the next call. 0, or -ENOMEM/-E2BIG: the event was not handled at all, try it
 * again (the engine is as it was). */
int engine_handle(struct engine *e, const struct engine_event *event, uint64_t now,
	const struct engine_action **ret_actions, size_t *ret_n) HSUP_MUST_CHECK;

/* When ENGINE_TIMER is due: absolute ns, UINT64_MAX = never. */
uint64_t engine_deadline(const struct engine *e);

/* For status and tests. */
size_t engine_dynos(const struct engine *e);
const struct dyno *engine_dyno(const struct engine *e, size_t index); /* any order */
const struct dyno *engine_find(const struct engine *e, uint64_t id);  /* NULL = unknown */
const struct formation *engine_formation(const struct engine *e);     /* in force; may be NULL */
uint64_t engine_release(const struct engine *e);		      /* in force; 0 = none */
/* Of which release a dyno was made, 0 = of none known here. */
uint64_t engine_dyno_release(const struct engine *e, const struct dyno *d);
bool engine_rolling(const struct engine *e);
bool engine_abortable(const struct engine *e); /* ENGINE_ABORT would give something up */
bool engine_stopping(const struct engine *e);
/* What a dyno waits for that was not started yet: "db to be ready"; NULL = it does not wait. */
const char *engine_waits_for(const struct engine *e, const struct dyno *d, char *buf, size_t size);
/* What is wanted of a type now; 0 when it is not of the release in force. */
unsigned engine_quantity(const struct engine *e, const char *type);

struct engine_counts {
	uint64_t starts, restarts; /* lives ordered, and of them those after the first */
	uint64_t start_timeouts, stop_timeouts, unhealthy, oom;
	uint64_t rollouts, rollbacks, refused; /* refused: by a release phase */
};
const struct engine_counts *engine_counts(const struct engine *e);
uint64_t engine_wrong(const struct engine *e); /* FX_WRONG cells met: must stay 0 */
uint64_t engine_stale(const struct engine *e); /* events of lives long gone */

/* The limits for a type: what the invariants of tests/sim hold the engine to. Live dynos are never
 * more than engine_max_live(): quantity + surge, or those there were when less was wanted, until
 * they have gone. The engine's own doing never leaves fewer ready than engine_min_up(): those that
 * are ready now, at most the quantity (less those that a settled release left unready; recreate:
 * less its batch; none, when it does not run beside what is there). What a new release, a scale or
 * the operator asks for counts from then on. */
unsigned engine_max_live(const struct engine *e, const char *type);
unsigned engine_min_up(const struct engine *e, const char *type);
