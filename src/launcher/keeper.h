/* Keeping the supervisor: what its end means, when it starts again, when patience ends.
 *
 * The judgement is pure (time is an argument, monotonic nanoseconds; a deadline of 0 is none) and
 * touches nothing but struct keeper; keeper_start() and keeper_kill() act. */
#pragma once

#include "base/clock.h"
#include "launcher/carry.h"
#include "launcher/versions.h"
#include "spawn/confine.h"
#include "spawn/stages.h"

#include <signal.h>

#define KEEPER_LIVED	  (10 * NSEC_PER_SEC) /* lived so long: the next crash is a first one */
#define KEEPER_DELAY_MIN  (100 * NSEC_PER_MSEC)
#define KEEPER_DELAY_MAX  (30 * NSEC_PER_SEC)
#define KEEPER_FAREWELL	  (5 * NSEC_PER_SEC)  /* to leave in after its connection is gone */
#define KEEPER_HURRY	  (10 * NSEC_PER_SEC) /* with a silent supervisor while shutting down */
#define KEEPER_STOP_GRACE (10 * NSEC_PER_SEC) /* from TERM to KILL of what it left running */
#define KEEPER_STOP_END	  (15 * NSEC_PER_SEC) /* from TERM to our leaving whatever happens */

/* Where the supervisor finds its socket. */
#define KEEPER_SOCKET	   3
#define KEEPER_SOCKET_TEXT "3"
/* And what it carries on. */
#define KEEPER_CARRY	  4
#define KEEPER_CARRY_TEXT "4"

#define KEEPER_TRIES 3 /* of a version that never says hello, before it is passed over */

struct keeper {
	char **command;
	char program[PATH_MAX];	       /* what is started in place of command[0] */
	char version[VERSION_MAX];     /* of the program; "" = it is none of the versioned */
	char passed_over[VERSION_MAX]; /* "" = none */
	unsigned mute;		       /* times in a row that this version said no hello */
	pid_t pid;		       /* 0 = none runs */
	bool greeted;		       /* this one has said hello */
	bool ever_greeted;	       /* any one has */
	int leave_code;		       /* of WIRE_LEAVE, -1 = none came */
	int signo;		       /* the first signal that told us to end; 0 = none */
	unsigned urgency;	       /* how many did */
	bool stopping;		       /* no supervisor any more: we stop the children and leave */
	int exit_code;		       /* then */
	uint64_t patience;	       /* with a silent supervisor; 0 = for ever */
	uint64_t started_at, delay, heard_at, asked_at;
	uint64_t start_at, kill_at, ping_at, stop_kill_at, stop_end_at; /* deadlines */
	uint64_t upgraded_at;
	struct confinement confinement;
};

enum keeper_verdict {
	KEEPER_RESTART, /* start_at is set */
	KEEPER_STOP,	/* exit_code is set */
};

/* The supervisor has ended with `status` (of waitpid); unrunnable: it never was our program. */
enum keeper_verdict keeper_judge(struct keeper *k, int status, bool unrunnable, uint64_t now);

/* We were told to end. KEEPER_STOP when nobody is there to do it in an orderly way. */
enum keeper_verdict keeper_told_to_end(struct keeper *k, int signo, uint64_t now);

/* ping_at is due, twice in the time of our patience. Sets the next one. */
enum keeper_watch {
	KEEPER_FINE, /* it has said something lately, or has yet to say hello */
	KEEPER_ASK,  /* for a sign of life */
	KEEPER_HUNG, /* it has not given one: to be killed; also one that never says hello */
};
enum keeper_watch keeper_watch(struct keeper *k, uint64_t now);

/* Another supervisor is to take over. False: there is none that could be told; a new one starts, or
 * is about to. */
bool keeper_restart(struct keeper *k, uint64_t now);

/* The earliest deadline, or UINT64_MAX. */
uint64_t keeper_deadline(const struct keeper *k);

/* Forks and executes the supervisor with `socket` as KEEPER_SOCKET and `carry` from KEEPER_CARRY on
 * (its environment says so already) and the signals that a terminal sends ignored: only the
 * launcher acts on them. failure: as in struct birth. 0 or negative errno. */
int keeper_start(struct keeper *k, int socket, const struct carry *carry, const sigset_t *mask,
	struct birth_failure *failure, uint64_t now) HSUP_MUST_CHECK;
void keeper_kill(struct keeper *k);
