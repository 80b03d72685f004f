/* What the files of this room share. */
#pragma once

#include "core/engine.h"
#include "logs/ring.h"
#include "logs/router.h"
#include "supervisor/answer.h"
#include "supervisor/operate.h"
#include "supervisor/slugs.h"
#include "supervisor/supervisor.h"

#include <sys/un.h>

/* One release that is known: in force, the one before, or on its way in. */
struct known_release {
	uint64_t handle;
	struct release *release;
	struct submission *submission; /* until it was committed, rejected or dropped */
	struct formation *formation;   /* once it is prepared */
	struct slug_job *slug;	       /* being fetched; perhaps before its turn to be prepared */
	bool fetched;		       /* before its turn */
	bool going_back;	       /* it was in force before, and the operator wants it again */
	struct supervisor *owner;
	struct known_release *next;
};

/* One life of a dyno, from its order until the driver may forget it. That is not when its output is
 * out, but when its dyno lives again or is no more: until then what the launcher keeps of it is how
 * a later supervisor knows that the dyno waits in back-off, has given up or has done its job. */
struct life {
	uint64_t id;
	uint32_t generation;
	int pid;
	unsigned color;
	bool left, ended;
	bool started;  /* the launcher has an entry of it, and keeps it until it is released */
	bool notifies; /* was given a notify socket */
	bool drained;  /* ended, and its output is out */
	bool output_follows; /* not all of it is in its pipes yet */
	bool told_over;	     /* its end is known to all; its output need not be out */
	bool superseded;   /* a later life has started, or its dyno is forgotten: nobody will ask */
	unsigned draining; /* taps that still empty their pipes */
	struct tap *out, *err;
	struct release *release; /* that it was started for; NULL = not known; a reference */
	struct dyno_exit exit;
	uint64_t started_at; /* CLOCK_MONOTONIC ns */
	uint64_t ended_at;   /* 0 = not known */
	uint64_t killed_at;  /* it was told to be, CLOCK_MONOTONIC ns; 0 = it was not */
	struct supervisor *owner;
	struct dyno_usage used;
	uint64_t memory_limit, limit_said_at; /* 0 = none; never */
	bool over_memory;		      /* killed for it, by us */
	struct guard *guard;		      /* checks.c; NULL = nothing of it is looked at */
	struct life *next;		      /* in its bucket */
	char name[LIMIT_NAME + 1];
};

/* A command that runs for a check. */
struct check_command {
	uint64_t command;
	uint64_t id; /* of the dyno */
	uint32_t generation;
};

/* An event that waits, with a copy of the text that it came with: without memory it may wait for
 * longer than that is there. */
struct queued {
	struct engine_event event;
	char text[200];
};

#define LIFE_BUCKETS 1024
#define OVER_MAX     64
#define OWNER_SIZE   33 /* hex, terminated */

struct supervisor {
	const struct supervisor_setup *setup;
	const struct options *options;
	sd_event *loop;
	sd_event_source *timer, *retry, *progress, *linger;
	struct router *router;
	struct slugs *slugs;
	struct launch *launch;
	struct driver_context driver_context;
	char *stdin_dir;	/* of the driver; NULL = none */
	char owner[OWNER_SIZE]; /* of what the driver makes */
	void *driver_state;
	void *source_state; /* NULL until what runs is known */
	bool holds_source;

	struct engine *engine;
	bool listed; /* the driver has told of all that runs */
	bool caught_up;
	bool handling; /* engine_handle() is on the stack: events wait in the queue */
	struct queued *queue;
	size_t n_queue, cap_queue;

	struct known_release *releases;
	uint64_t last_handle;
	uint64_t preparing; /* handle, 0 = nothing */
	uint64_t restoring; /* handle of the release in force at start */
	uint64_t fallback;  /* the one before it, when that one had not settled */
	bool had_settled;   /* `restoring` */
	bool source_begun;
	sd_event_source *restore_again;
	uint64_t restore_wait;	       /* ns */
	uint64_t in_force;	       /* handle */
	char *previous_digest;	       /* slug of the release before it */
	bool going_back;	       /* what is submitted now was in force before */
	struct known_release *one_off; /* of `run` and `build`: what was found so far */
	sd_event_source *one_off_idle;

	struct life *lives[LIFE_BUCKETS];
	size_t n_lives;			    /* not drained */
	size_t n_starting;		    /* ordered; neither started nor failed yet */
	struct launch_child over[OVER_MAX]; /* to be acknowledged */
	size_t n_over;
	sd_event_source *acknowledge;
	struct engine_adopted *adopted; /* found, until the engine knows of them */
	size_t n_adopted, cap_adopted, n_found_running;

	struct recorder *recorder;
	struct rings *rings; /* NULL = none are kept */
	struct operate_counts counts;
	void *control; /* of setup->control; NULL = it is not served */
	uint64_t begun;
	const struct dyno **sorted; /* of operate_dynos() */
	size_t n_sorted, cap_sorted;
	struct quantity_override wished[LIMIT_TYPES]; /* the last scale: the event points here */

	struct usage *usage;   /* usage.c; NULL until it is wanted */
	struct checks *checks; /* NULL until a dyno has any */
	struct check_command *commands;
	size_t n_commands, cap_commands;
	uint64_t last_command;
	int notify_dir; /* of the notify sockets; <= 0: not open */
	char notify_path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* of the last one */

	struct answer *answer;
	sd_event_source *tell;
	char told[60]; /* how we are, as told last; "" = not ready yet */

	unsigned stopping; /* urgency, 0 = no */
	uint64_t stop_begun;
	bool leaving, finishing, finished; /* the last two: the driver lets go of all */
	int leave_code;
	int run_code;  /* of `run`: the command's own, also when it was told to end */
	int exit_code; /* SUPERVISOR_EXIT_* */
};

/* ---- feed.c: events into the engine, actions out of it ---- */

/* Hands an event over, now or after the one at hand. Formation, adopted and overrides must outlive
 * the call only when nothing is being handled; all callers from the loop are fine. */
void feed(struct supervisor *s, const struct engine_event *event);
int feed_start_engine(struct supervisor *s, struct err *err);

/* ---- actions.c ---- */
void act(struct supervisor *s, const struct engine_action *action);
void name_dyno(const struct dyno *d, char ret_name[LIMIT_NAME + 1]);

/* ---- operate.c ---- */
/* One line on why it is as it is; "" = nothing to say. */
void say_why(struct supervisor *s, const struct dyno *d, char *ret, size_t size);

/* ---- operate_do.c: what all that an operator does begins with ---- */
int operate_may_change(const struct supervisor *s, struct err *err) HSUP_MUST_CHECK;
void operate_note(
	struct supervisor *s, const char *name, const struct asker *asker, const char *what);
int operate_no_such_name(struct supervisor *s, const char *pattern, struct err *err);

/* ---- record.c ---- */
void record_text(struct supervisor *s, enum record_kind kind, const char *name, int64_t version,
	const char *fmt, ...) HSUP_PRINTF(5, 6);
void record_changed(struct supervisor *s, const struct engine_action *a);
void record_report(struct supervisor *s, const struct engine_action *a);
void record_exit(struct supervisor *s, const struct life *l);

/* ---- diag.c ---- */
int diag_begin(struct supervisor *s) HSUP_MUST_CHECK;
void diag_end(void);

/* ---- turn.c ---- */
int loop_run(struct supervisor *s); /* until it is told to end */

/* ---- wishes.c ---- */
void wishes_scaled(struct supervisor *s, const struct engine_action *a);
void wishes_resting(struct supervisor *s, const struct engine_action *a);
size_t wishes_recall_scaled(struct supervisor *s, struct quantity_override ret[LIMIT_TYPES]);
size_t wishes_recall_resting(struct supervisor *s, struct engine_rest **ret); /* the caller's */

/* ---- owner.c ---- */

/* The mark of this app on what a driver makes elsewhere: the same for every supervisor of it. */
int owner_find(
	const char *control_dir, char ret_owner[OWNER_SIZE], struct err *err) HSUP_MUST_CHECK;

/* ---- logs.c ---- */
int logs_open(struct supervisor *s, struct err *err) HSUP_MUST_CHECK;
void logs_open_rings(struct supervisor *s);
void logs_close_rings(struct supervisor *s);
/* Where the output of this life goes, by its release. */
void logs_route(struct supervisor *s, struct life *l);
/* The same for all that run, by the release that is in force now. */
void logs_changed(struct supervisor *s, struct release *r);
/* The same for all that were found running. */
void logs_adopted(struct supervisor *s);

/* ---- lives.c ---- */
struct life *life_new(struct supervisor *s, const char *name, unsigned color, uint64_t id,
	uint32_t generation); /* NULL = out of memory */
/* Since when all that have not ended are told to be killed; 0 = not all of them. */
uint64_t lives_killed_at(struct supervisor *s);
struct life *life_find(struct supervisor *s, uint64_t id, uint32_t generation);
void life_drop(struct supervisor *s, struct life *l); /* never started: forget it */
void lives_free(struct supervisor *s);
void lives_names(struct supervisor *s, char *ret_text, size_t size); /* "web.1 web.2 and 7 more" */
/* Those lives of the dyno before this generation are of no use any more. */
void lives_supersede(struct supervisor *s, uint64_t id, uint32_t generation);
void lives_tell_engine(struct supervisor *s); /* ADOPTED each, with the ends since; CAUGHT_UP */

/* ---- events.c ---- */
extern const struct driver_events supervisor_driver_events;
extern const struct launch_events supervisor_launch_events;
int events_begin(struct supervisor *s) HSUP_MUST_CHECK;
void life_over(struct supervisor *s, struct life *l); /* tells the engine, drains */
void life_found_over(struct supervisor *s, struct life *l);
void life_release(struct supervisor *s, struct life *l); /* it is freed */
void lives_let_go(struct supervisor *s); /* at the end of all: what has ended is released */

/* ---- checks.c, guard.c, guard_found.c: Ready and Healthy ---- */
/* For a life that is about to be ordered: adds to the order what the dyno must be told. */
int checks_prepare(struct supervisor *s, struct life *l, struct driver_start *order,
	struct err *err) HSUP_MUST_CHECK;
void checks_begin(struct life *l); /* it has a process */
void checks_known(struct life *l); /* and its pid, its address are known now */
void checks_changed(struct supervisor *s, const struct engine_action *a);
void checks_end(struct life *l); /* it has ended, or we go */
void checks_adopt(struct supervisor *s, struct life *l, const struct engine_adopted *a);
void checks_redefine(struct supervisor *s); /* dynos may be of another release by now */
void checks_command_done(struct supervisor *s, uint64_t command, const struct dyno_exit *exit);
/* Why it was not ready when last looked at; "" = nothing is known. */
const char *checks_start_reason(struct supervisor *s, uint64_t id, uint32_t generation);
/* *ret_text: one line, "" = nothing to say. False (and HEALTH_NONE): nothing is looked at. */
bool supervisor_checks_state(struct supervisor *s, uint64_t id, uint32_t generation,
	enum health *ret_health, const char **ret_text);

/* ---- notify_dir.c ---- */
/* s->notify_path: of the socket of this life; its folder is there, and open. */
int checks_notify_path(struct supervisor *s, const struct life *l, struct err *err) HSUP_MUST_CHECK;
void checks_forget_notify(struct supervisor *s, const struct life *l);
void checks_sweep(struct supervisor *s); /* what is left of lives that are no more */
void checks_close(struct supervisor *s);

/* ---- usage.c: memory and processor time of dynos ---- */
void usage_want(struct supervisor *s); /* somebody asks: known in a moment, and for a while */
void usage_limit(struct supervisor *s, struct life *l, uint64_t limit); /* bytes; 0 = none */
void usage_get(
	struct supervisor *s, uint64_t id, uint32_t generation, struct dyno_usage *ret_usage);
/* What the driver says it uses. */
void usage_told(void *userdata, uint64_t id, uint32_t generation, const struct dyno_usage *usage);
void usage_free(struct supervisor *s);

/* ---- tag.c: what a later supervisor must know of a dyno ---- */
size_t tag_write(
	const struct dyno *d, const struct dyno_kept *kept, unsigned char ret_tag[LIMIT_TAG]);
int tag_read(const unsigned char *tag, size_t len, struct engine_adopted *ret) HSUP_MUST_CHECK;

/* ---- releases.c ---- */
extern const struct source_events supervisor_source_events;
void release_restored(
	struct supervisor *s, struct known_release *k); /* prepared, before all began */
void release_restore_later(struct supervisor *s);
int release_restore(struct supervisor *s, struct err *err); /* 1 = there is one; prepares it */
struct known_release *release_known(struct supervisor *s, uint64_t handle);
struct known_release *release_learn(struct supervisor *s, struct release *release,
	struct submission *submission); /* takes both; NULL = out of memory (both are released) */
void release_forget(struct supervisor *s, struct known_release *k);
void release_refused(struct supervisor *s);
void release_committed(struct supervisor *s, const struct known_release *k);
void release_settled(struct supervisor *s, uint64_t handle);
void release_rolled_back(struct supervisor *s, uint64_t failed, uint64_t previous);
void release_end_submission(struct supervisor *s, struct known_release *k, const char *reason);

/* ---- prepare.c: answers by events of the engine, supervisor_restored() or one_off_ready() ---- */
void release_prepare(struct supervisor *s, struct known_release *k);
void release_driver_prepared(struct supervisor *s, uint64_t handle, int r, const struct err *err);
/* Only the slug, beside what is being prepared: release_prepare() will find it there. */
void release_fetch(struct supervisor *s, struct known_release *k);
void release_prepare_stop(struct supervisor *s, uint64_t handle);
void release_fetch_stop(struct known_release *k);

/* ---- one_off.c: `run` and `build` ---- */
int one_off_begin(struct supervisor *s, struct err *err);
void one_off_ready(struct supervisor *s, struct known_release *k);
void one_off_failed(struct supervisor *s, const char *why);

/* ---- supervisor.c ---- */
void supervisor_adopted(struct supervisor *s, int r);
void supervisor_stop_found(struct supervisor *s);   /* told to stop while it catches up */
void supervisor_begin_source(struct supervisor *s); /* once */
void supervisor_restored(struct supervisor *s, struct known_release *k); /* NULL: there is none */

/* ---- tell.c: how we are, to who started us and to who asks ---- */
int tell_begin(struct supervisor *s) HSUP_MUST_CHECK;
void tell_ready(struct supervisor *s);	 /* all is under control: what runs is known */
void tell_changed(struct supervisor *s); /* a dyno has */

/* ---- leave.c ---- */
void supervisor_leave(struct supervisor *s, int code); /* when the last output is out */
void supervisor_maybe_leave(struct supervisor *s);
void supervisor_finished(struct supervisor *s); /* the driver has let go of all */
void supervisor_shutdown(struct supervisor *s, unsigned urgency);
void supervisor_exit(struct supervisor *s, int exit_code);
const char *supervisor_app(const struct supervisor *s, const struct release *r);
