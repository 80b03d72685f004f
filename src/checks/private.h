/* What the files of this room share. */
#pragma once

#include "checks/attempt.h"
#include "checks/checks.h"

enum checker_phase {
	PHASE_NONE,
	PHASE_READY,
	PHASE_UP, /* Healthy, if there is one */
};

/* What the one timer of a checker is for. */
enum checker_timer {
	TIMER_NEXT,    /* the next try, or a look whether it has said WATCHDOG=1 */
	TIMER_TIMEOUT, /* of the try under way */
	TIMER_ASSUME,  /* checker_assume_ready() */
	TIMER_LINGER,  /* the end of a connection that nobody needs any more */
};

enum checker_try {
	TRY_NONE,
	TRY_WAITS, /* for its turn */
	TRY_RUNS,
	TRY_KILLED, /* a command that has yet to end */
};

struct checker {
	struct checks *all;
	const struct check *ready, *healthy;
	const struct checker_events *events;
	void *userdata;
	enum checker_phase phase;
	enum checker_try try;
	enum checker_state state;
	enum checker_timer timer_is;
	sd_event_source *timer;
	struct attempt attempt;
	struct notify_socket *notify;
	uint64_t random;
	uint64_t pause;	 /* ns to the next try of Ready */
	unsigned failed; /* tries of Healthy in a row */
	struct check_address address;
	bool was_ready;
	bool rests;
	bool pinged;   /* WATCHDOG=1 since the last look */
	bool command;  /* one is at work */
	bool has_slot; /* is counted in all->n_busy */
	char reason[CHECKER_TEXT];
	char status[NOTIFY_STATUS_SIZE]; /* as the dyno says; "" = nothing */
	struct checker *before, *next;	 /* in the queue */
};

struct checks {
	sd_event *loop;
	sd_event_source *pump;
	struct checker *first, *last; /* that wait for their turn */
	unsigned n_busy;
};

/* ---- checks.c: turns ---- */
void checks_queue(struct checker *c); /* checker_try() follows, from the loop */
void checks_unqueue(struct checker *c);
void checks_done(struct checker *c); /* its try is over: another has its turn */

/* ---- listens.c ---- */
/* Whether somebody listens at the port, in the network of where->network_of: 1, -ECONNREFUSED, or
 * another negative errno. */
int listens(const struct check_address *where) HSUP_MUST_CHECK;

/* ---- try.c ---- */
const struct check *checker_check(const struct checker *c); /* that of the phase */
int checker_arm(struct checker *c, enum checker_timer what, uint64_t delay);
void checker_disarm(struct checker *c);
void checker_try(struct checker *c);
void checker_stop_try(struct checker *c);
int checker_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* ---- checker.c ---- */
/* A try is over. */
void checker_judge(struct checker *c, bool good, const char *text);
void checker_timer_due(struct checker *c);
uint64_t checker_jitter(struct checker *c, uint64_t delay);
