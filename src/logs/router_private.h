/* The router from inside: router.c is what others call, pump.c what moves the lines. */
#pragma once

#include "logs/carry.h"
#include "logs/notes.h"
#include "logs/tap.h"

#define LOOK_BYTES 65536 /* of one pipe in one turn */

struct router {
	sd_event *loop;
	struct sink *sink;
	int epoll;
	int scratch[2];
	sd_event_source *io, *more, *timer;
	uint64_t watch_ns; /* until the timer: 0 = off */
	struct tap_list taps;
	struct tap_list ready;	 /* may hold lines: an edge-triggered event is told once */
	struct tap_list watched; /* hold the beginning of a line; all else has left */
	struct tap_list handed;	 /* the sink has their lines, not yet let go */
	struct carry
		*carry; /* the sink's, while takes of an earlier supervisor wait for their taps */
	bool pass_whole;
	bool stalled; /* waiting for the sink's `writable` */
	struct notes notes;
	char data[LOOK_BYTES];
};

/* Marks a tap as worth a look. */
void router_queue(struct router *r, struct tap *t);

/* Comes back to a tap that holds an unfinished line, when epoll does not. */
int router_watch_start(struct router *r);
void router_watch(struct router *r, struct tap *t);
void router_watch_round(struct router *r);

/* Lets go of a tap, and frees it; `over` tells its owner too. */
void router_forget(struct router *r, struct tap *t);
void router_over(struct router *r, struct tap *t);

/* Gives one line to the sink. False when it stalls. */
bool router_give(struct router *r, const struct log_line *line);

/* Queues the taps that epoll tells of; how many. */
int router_collect(struct router *r);

/* A bounded round over all that is ready; the loop comes back for the rest. */
void router_pump(struct router *r);
void router_pump_later(struct router *r);
