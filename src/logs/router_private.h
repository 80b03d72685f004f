/* The router from inside: router.c is what others call, pump.c what moves the lines. */
#pragma once

#include "logs/carry.h"
#include "logs/dests.h"
#include "logs/notes.h"
#include "logs/tap.h"

#define LOOK_BYTES (128 << 10) /* of one pipe in one turn */
#define SPANS	   1024	       /* lines that pass together */

struct router {
	sd_event *loop;
	struct sink *sink;
	int epoll;
	int scratch[2];
	sd_event_source *io, *more, *timer, *beat;
	uint64_t watch_ns; /* until the timer: 0 = off */
	uint64_t beat_ns;  /* until the next look at what is hot */
	bool beating;	   /* that timer runs */
	struct tap_list taps;
	struct tap_list ready;	 /* may hold lines: an edge-triggered event is told once */
	struct tap_list watched; /* hold the beginning of a line; all else has left */
	struct tap_list hot;	 /* looked at by the clock */
	struct tap_list handed;	 /* the sink has their lines, not yet let go */
	unsigned n_handed;
	struct carry
		*carry; /* the sink's, while takes of an earlier supervisor wait for their taps */
	struct carry *book; /* for the files' lines: the sink's carry, or one of our own */
	struct log_files files;
	struct file_keeper *keeper; /* NULL = there were no files yet */
	struct extra extras[ROUTER_EXTRAS];
	unsigned n_extras;
	struct rings *rings; /* the caller's; NULL = none */
	const char *app;
	sd_event_source *tick;
	bool ticking;
	bool stirred;			/* a file got lines since the last tick */
	uint64_t lines, bytes, dropped; /* so far; dropped: for files that are gone */
	uint64_t lost, lost_since;	/* lines of types that drop, not told yet; wall clock */
	bool held;			/* nothing comes from the taps yet */
	bool pass_whole;
	bool stalled; /* waiting for the sink's `writable` */
	struct notes notes;
	struct log_span spans[SPANS];
	char data[LOOK_BYTES];
};

/* Marks a tap as worth a look. */
void router_queue(struct router *r, struct tap *t);

/* Comes back to a tap that holds an unfinished line, when epoll does not. */
int router_watch_start(struct router *r);
void router_watch(struct router *r, struct tap *t);
void router_watch_round(struct router *r);

/* Looks by the clock at pipes that are written to all the time (heat.c). `found`: bytes that a look
 * at this one found and the look before did not. */
int router_heat_start(struct router *r);
void router_heat(struct router *r, struct tap *t, size_t found);
void router_heat_all(struct router *r); /* looks at all that is hot now */
void router_beat(struct router *r);	/* there is a next look while anything is hot */

/* Lets go of a tap, and frees it; `over` tells its owner too. */
void router_forget(struct router *r, struct tap *t);
void router_over(struct router *r, struct tap *t);

/* Gives one line to the sink. False when it stalls. */
bool router_give(struct router *r, const struct log_line *line);

/* Gives the lines of one turn; how many of them, fewer when the sink stalls. t NULL = the
 * supervisor's own. */
size_t router_give_lines(struct router *r, struct tap *t, const struct log_lines *lines);

/* Gives the sink the whole lines that a pipe holds; bytes looked at. The second: all but the sink,
 * which stalls. */
size_t router_turn(struct router *r, struct tap *t);
void router_drop_turn(struct router *r, struct tap *t);

/* The sink has so much more of it. */
void router_hand(struct router *r, struct tap *t, size_t bytes);

/* Queues the taps that epoll tells of; how many. */
int router_collect(struct router *r);

/* A bounded round over all that is ready; the loop comes back for the rest. */
void router_pump(struct router *r);
void router_pump_later(struct router *r);
