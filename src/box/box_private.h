/* What only main.c, report.c, order.c, birth.c, maker.c, warm.c, join.c, init.c, last.c and pty.c
 * share. */
#pragma once

#include "box/box.h"

#include <termios.h>

/* ---- report.c ---- */

/* Where box_fail() tells; set once, by main.c. */
void box_report_to(struct birth_failure *where);
/* What has to succeed: a negative errno ends the box, at this stage; else it is returned. */
int box_must(int r, enum wire_stage stage);
#define BOX_TOLD 127 /* the status of a process that has told why it ends */
/* The same of a system call: -1, and errno. */
void box_must_call(long r, enum wire_stage stage);
/* The dyno's own process has ended with this status; unless it has told why it failed. */
void box_report_end(int status);

/* ---- main.c ---- */

/* Gives the memory of settings and spec back: b->settings and b->spec are gone. */
void box_forget(struct box *b);
/* All above 2 but these; sorts them. -1 is none. */
void box_close_others(int *kept, size_t n);

/* ---- order.c ---- */

struct packet;
/* The body of one of this type; NULL: it is no such order. */
const struct birth_warm *order_check(const struct packet *p, enum wire_type type);
/* These fail the box. The text that the spec points into is the caller's to unmap. */
void order_read_spec(int fd, struct spec *ret_spec, void **ret_text, size_t *ret_size);
void order_set_mark(const struct birth_warm *w);
void order_connect(const int fds[3]);
/* Until there is an order: its slot. Without one there is no return. */
unsigned reserve_wait(struct packet *ret_order);
/* The spec is at BOX_FD_SPEC, as if we had been executed with it. */
void reserve_become(struct box *b, const struct packet *order);

/* ---- birth.c ---- */

/* So that the dyno may open /dev/stdout again. Fails the box. */
void box_give_output(const struct box *b);

/* ---- gate.c: where a process waits until it may go on ---- */

struct gate {
	int ours, theirs; /* close-on-exec */
};
/* Fails the box. */
void gate_make(struct gate *g);
/* Lets it go, with a terminal of its own (-1: none, it keeps 0, 1 and 2). */
void gate_open(struct gate *g, int terminal);
/* Waits until it is through: until its last descriptor of the gate is closed, which last_become()
 * does when it has become the user. Before that, who has become the user already could send it no
 * signal. Closes both ends. */
void gate_done(struct gate *g);
/* In the process that waits: the terminal, or -1. Its end stays open. */
int gate_wait(struct gate *g);
#define GATE_FDS 4
/* The same, with so many of them. */
void gate_pass(struct gate *g, const int *fds, unsigned n);
unsigned gate_take(struct gate *g, int ret_fds[GATE_FDS]);
/* How many they are; -EPIPE: who was to open it has died, of which the others die, too. */
int gate_try(struct gate *g, int ret_fds[GATE_FDS]);
/* The other way, from who will wait to who will open: a few bytes, which have to be all of it. */
void gate_tell(const struct gate *g, const void *what, size_t size);
void gate_hear(const struct gate *g, void *what, size_t size);

/* ---- maker.c: fails the box ---- */

struct maker {
	enum spec_box_network network;
	bool helps; /* it makes more than the network */
	pid_t pid;
	struct gate gate;
};
/* Before anything is known of b but its settings and spec: what costs most is the same for all. */
void maker_begin(struct box *b, struct maker *m);
/* Where the machine's network, folders and /proc are. Nothing is there yet, and all that is to be
 * is known. */
void maker_go(const struct box *b, struct maker *m);
/* Where the machine's folders and /proc are, and there is a cgroup: what it would have made, if
 * there is no maker. */
void maker_alone(const struct box *b, const struct maker *m);
/* Into the network, before it is complete. */
void maker_enter(struct maker *m);
/* The box's layer is made: box_root's layer_wait, of the struct maker. */
void maker_wait_layer(void *maker);
/* All is complete, and nobody is there any more who made it. */
void maker_end(const struct box *b, struct maker *m);

/* ---- pasta.c, slirp.c ---- */

/* The process that waits for the dyno's network namespace at this gate: it ends with 0 when what
 * passes the network on is in place, and stays. */
HSUP_NORETURN void pasta_run(const struct box *b, struct gate *gate);
HSUP_NORETURN void slirp_run(const struct box *b, struct gate *gate);
/* Of all that this process has open, what it executes has this as its input (-1: nothing). */
void pasta_hush(int in);

/* ---- pty.c ---- */

/* Bytes on their way: read, not yet written. */
struct flow {
	int from, to; /* -1: over */
	size_t at, len;
	char bytes[4096];
};

/* A terminal of the dyno's own, between the operator's (0 and 1) and its process. */
struct pty {
	int master, peer; /* -1: there is none. The peer is kept so that it never hangs up */
	bool raw;	  /* the operator's terminal is to be given back as `old` */
	struct termios old;
	struct flow in, out;
};

/* Where the machine's /proc is: what the operator's terminal is, if the spec wants one. Fails the
 * box. */
void pty_find(struct pty *p, const struct box *b);
/* In the dyno's root, as who may give it to the dyno: opens both ends, as large as 0. Fails the
 * box. */
void pty_open(struct pty *p, const struct box *b);
/* Begins: 0 becomes raw. Nothing of ours may fail from here on. */
void pty_begin(struct pty *p);
/* Relays until `signals` can be read. */
void pty_relay(struct pty *p, int signals);
void pty_resize(struct pty *p);
/* All other ends are closed: passes on what was written before, unless a signal says that it is
 * enough; the operator's terminal is what it was. */
void pty_end(struct pty *p, int signals);

/* ---- warm.c: a box that is parked; fails it ---- */

/* All is made: waits for the order, and lets the dyno's process go with what came. Ends the box
 * when the launcher does not want it any more. */
void warm_park(struct box *b, struct box_root *root, struct gate *gate, pid_t dyno);
/* In the dyno's process: waits, then becomes what was ordered. */
HSUP_NORETURN void warm_become(struct box *b, struct gate *gate);

/* ---- last.c ---- */

/* No capability can be had any more, by whatever uid or program; those we have stay. Fails the box.
 */
void last_bound(void);

/* ---- init.c ---- */

/* Becomes the dyno's user without any privilege, and forgets all but 1, 2, the locks, the terminals
 * and where the end is told. Settings and spec are gone. */
void init_drop(struct box *b, struct pty *p);
/* It waits to be reaped. */
bool init_ended(pid_t dyno);

/* Who passes on signals. */
struct watch {
	pid_t leader;	 /* our child: with its end we end, and tell it */
	pid_t to;	 /* kill()'s: who gets what we get */
	bool inside;	 /* we are in a pid namespace: only what comes from outside it counts */
	struct box *box; /* we are init of it: nobody is to be left when we end; NULL: of none */
	int until;	 /* this signal is our end, and of `to`; 0 = none is */
	struct pty *pty;
};
HSUP_NORETURN void watch_run(const struct watch *w);
