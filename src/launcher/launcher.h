/* The launcher's whole state, and which file does what to it:
 *
 *   requests.c  the supervisor's requests: check, act            (socket -> children)
 *   spawn.c     a birth
 *   warm.c      boxes that are parked, and become a child later
 *   reserve.c   the process of the next box
 *   filter.c    the machine's packet filter, when somebody removes ours
 *   kept.c      children that somebody else runs
 *   tell.c      what the supervisor is to be told                (children -> socket)
 *   reap.c      what the kernel says of children
 *   signals.c   signals to them
 *   watch.c     what tells an end before that, or where the kernel does not
 *   found.c     children whose launcher was killed before us
 *   upgrade.c   becoming a newer launcher
 *   start.c     start-up
 *   deadlines.c what is due at a time
 *   stop.c      the end of all
 *   main.c      the loop */
#pragma once

#include "launcher/carry.h"
#include "launcher/children.h"
#include "launcher/keeper.h"
#include "launcher/options.h"
#include "launcher/store.h"
#include "spawn/stages.h"
#include "wire/check.h"

#include <termios.h>

#define MAX_REFUSALS 16

enum due {
	DUE_HELLO = 1,
	DUE_SHUTDOWN = 2,
	DUE_PING = 4,
	DUE_RESTART = 8,
	DUE_LIST_END = 16, /* when entries_left has come to 0 */
};

/* The connection to the supervisor that runs. Nothing is queued: what is to be told follows from
 * these fields and the children's news, so a supervisor that reads slowly costs no memory. */
struct channel {
	int socket;   /* -1 = none */
	bool blocked; /* full: go on when it is writable */
	bool broken;  /* nobody reads there any more; what was sent is still to be read */
	uint32_t sequence;
	unsigned due; /* enum due, or-ed */
	unsigned entries_left;
	/* Spawns that never became a child. Full: requests are not read until some are told. */
	struct wire_failed refusals[MAX_REFUSALS];
	unsigned n_refusals;
};

/* A newer launcher that was asked whether it can take over. */
struct upgrade {
	pid_t pid; /* 0 = none */
	bool ended;
	int status;
	uint64_t deadline; /* of its answer; 0 = none */
	uint64_t begin_at; /* when it is to be asked; 0 = nobody wishes for it */
	char path[PATH_MAX];
};

/* Our end of a parked box's socket. Not in the table: with a launcher that is killed, or replaced,
 * its parked boxes end. */
struct parked {
	int fd;
	uint16_t slot;
};

/* With a launcher that is killed, or replaced, it ends. */
struct reserve {
	pid_t pid; /* 0 = there is none */
	int socket, end;
	uint64_t fork_begun, make_at; /* when it is to be made; 0 = not yet */
	uint32_t fork_took;
};

struct filter {
	int fd;		   /* where changes of the packet filter are told; -1 = nowhere */
	int rules;	   /* of ours, that the transaction has made which is being told */
	bool emptied;	   /* made less than removed: to be said */
	bool broken;	   /* our table was removed or emptied, and is not made again yet */
	bool again;	   /* once more since `pid` began */
	pid_t pid;	   /* who makes it again; 0 = nobody does */
	uint64_t deadline; /* of that */
};

struct launcher {
	struct options options;
	struct children *children;
	struct store store;
	struct carry carry;
	struct keeper keeper;
	struct channel channel;
	struct upgrade upgrade;
	const struct policy *policy; /* read-only memory */
	struct birth_failure
		*failures; /* shared with the forked; by slot, the last the supervisor's */
	int failures_fd;
	struct rlimit nofile; /* as we were started */
	sigset_t mask;	      /* as we were started */
	bool hup_ignored;     /* so we were */
	bool has_terminal;    /* standard input was one, with these settings */
	struct termios terminal;
	int null;	       /* /dev/null */
	int watch;	       /* epoll of what tells the ends of some children */
	uint64_t look_at;      /* when what is left of found groups is looked for; 0 = none is */
	uint64_t refill_at;    /* when spare pipes are to be made; 0 = none are missing */
	bool supervisor_ended; /* reap() has seen it, with this status */
	int supervisor_status;
	struct parked parked[LIMIT_WARM];
	unsigned n_parked;
	struct reserve reserve;
	struct filter filter;
	/* Dynos refused for their spec, by the policy, or as what is to be kept. */
	unsigned refused;
	uint64_t refused_said_at;
};

/* Makes everything, or takes over what an earlier launcher has left or hands over, and starts the
 * first supervisor if none runs. ret_signals: readable when one came. */
int start_up(struct launcher *l, int *ret_signals, struct err *err) HSUP_MUST_CHECK;
/* A copy in memory that nobody writes again; NULL = there is none. */
const struct policy *launcher_seal(const struct policy *policy);
/* How many children there may be, by our limit of descriptors. */
unsigned launcher_limit(const struct launcher *l);
int start_supervisor(struct launcher *l) HSUP_MUST_CHECK;

/* Serves what has come, some requests at most. False when nothing is left to read, or may be read
 * now. Drops the connection when it is malformed or at its end. */
bool requests_serve(struct launcher *l);

/* The child of a WIRE_SPAWN, WIRE_SPAWN_BOX or WIRE_PARK, or a refusal to be told. */
void spawn(struct launcher *l, struct packet *p, const struct wire_request *r);
/* What is to be its 0, 1 and 2: as given, or new pipes, whose ends are in *pair. False: refused. */
bool spawn_stdio(struct launcher *l, const struct packet *p, const struct wire_request *r,
	struct pipes *pair, int ret_stdio[3]);
void spawn_close_pair(int fds[2]);
/* What is the same for every child. */
struct birth spawn_birth(const struct launcher *l);
/* A fork whose child is the first of a pid namespace, and how long one took. */
pid_t spawn_fork_init(void);
uint32_t spawn_took(uint64_t begun);

/* A pair of sockets: ours[0], and the box's. 0; -EAGAIN: as many are parked as may be; or negative
 * errno. */
int warm_pair(const struct launcher *l, int ret_pair[2]) HSUP_MUST_CHECK;
/* The child has been parked; takes fd. */
void warm_keep(struct launcher *l, const struct child *c, int fd);
/* It has ended, or is not parked any more. */
void warm_forget(struct launcher *l, const struct child *c);
/* The child of a WIRE_SPAWN_WARM, or a refusal to be told. */
void spawn_warm(struct launcher *l, struct packet *p, const struct wire_request *r);

/* There are boxes: one is to be made soon. */
void reserve_want(struct launcher *l);
void reserve_make(struct launcher *l);
/* It is this child's from now on: its pid; 0 = there is none. */
pid_t reserve_lend(struct launcher *l, struct child *c);
/* The child is in the table with that pid: now it may begin. Negative errno: it will not. */
int reserve_order(struct launcher *l, const struct birth *b) HSUP_MUST_CHECK;
/* Whether that one was it. */
bool reserve_reaped(struct launcher *l, pid_t pid);
void reserve_drop(struct launcher *l);

/* Where there may be boxes with networks of their own. */
void filter_open(struct launcher *l);
/* Reads what has come, and has the table made again if it was removed. True: there may be more. */
bool filter_serve(struct launcher *l);
/* The table that boxes were made behind was there all the time, or is again. */
bool filter_stands(struct launcher *l);
/* With boxes that were there before us: what nobody has heard meanwhile may be missing. */
void filter_resume(struct launcher *l);
/* It is not made in time: who makes it is killed. */
void filter_late(struct launcher *l);
/* Whether that one was making it. */
bool filter_reaped(struct launcher *l, pid_t pid, int status);
/* At our end, when no driver came to be: it is the driver that takes away what `hsup-box --setup`
 * has made before us. */
void filter_undo(const struct launcher *l);

/* The child of a WIRE_KEEP, or a line in the log why not. Takes the descriptors it keeps. */
void kept_enter(struct launcher *l, struct packet *p, const struct wire_request *r);

/* A new supervisor at the other end of `socket` (taken). */
void tell_connect(struct launcher *l, int socket);
void tell_disconnect(struct launcher *l);
/* Sends what is due until nothing is, or the socket is full. */
void tell_flush(struct launcher *l);
void tell_list(struct launcher *l);
void tell_refused(
	struct launcher *l, const struct wire_child *child, enum wire_stage stage, int error);
/* The child's slot is about to be given back. */
void tell_forget(struct launcher *l, struct child *c);

/* Reaps what has ended, the supervisor too (supervisor_ended). True when more may be waiting.
 * first: a child that is known to have changed, 0 = none: told before the others are looked for. */
bool reap(struct launcher *l, pid_t first);
/* The init of this child says that it has ended, and is still to be reaped. False: that is no end.
 */
bool reap_told(struct launcher *l, struct child *c, const struct box_end *end);
/* Of one whose leader is gone: does anything live? Else it has ended, from now on. */
bool reap_left(struct launcher *l, struct child *c);
/* What is left of found children's groups: nobody tells us when it ends. */
void reap_look(struct launcher *l);
/* One more was refused. True when that may be said: a hostile supervisor may be refused as often as
 * it likes, a line a second shows it. */
bool reap_refused(struct launcher *l);
/* The settings of the terminal as they were, when the supervisor that may have changed them is gone
 * and no child has it. */
void reap_terminal(const struct launcher *l);
/* A pipe by which the init of this child, which is about to be forked, is to tell its end: where it
 * writes, or -1: then the reap tells. */
int watch_open(struct launcher *l, struct child *c);
/* The same with a pipe that is there already: takes our end of it. */
void watch_take(struct launcher *l, struct child *c, int end);
/* One that was found: its pidfd. False: it has ended. */
bool watch_found(struct launcher *l, struct child *c);
/* After an upgrade: all that are to be watched. */
void watch_resume(struct launcher *l);
void watch_drop(struct launcher *l, struct child *c);
/* l->watch is readable: some have ended. */
void watch_serve(struct launcher *l);

/* To every process of the child's group. */
void signals_send(struct launcher *l, struct child *c, int signo);
void signals_send_all(struct launcher *l, int signo);

/* All children are told to end. */
void stop_begin(struct launcher *l);
/* By a signal. */
void stop_asked(struct launcher *l, int signo);
/* There is nothing left to do, or it has taken too long. */
bool stop_finished(const struct launcher *l);

/* What is due now. */
void deadlines_serve(struct launcher *l);
/* When there is something due again: CLOCK_MONOTONIC, ns; UINT64_MAX: never. */
uint64_t deadlines_next(const struct launcher *l);
