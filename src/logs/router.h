/* From the dynos' pipes to the sink, losing nothing.
 *
 * A tap looks at what a pipe holds without taking it (tee(2) into a scratch pipe) and hands whole
 * lines to the sink; an unfinished line stays in the pipe, for the next supervisor too. Where the
 * launcher keeps a carry for us (logs/carry.h) the bytes are taken once it holds the lines, and a
 * kill at any instant loses no line and repeats none. Without one, and for the system's log, they
 * are taken when the sink has let the lines go: then a kill loses none either, but what fell
 * between that and the taking comes twice. A sink that stalls leaves the pipes full (the dyno
 * waits): nothing is dropped here.
 *
 * Hot pipes are registered edge-triggered behind one epoll descriptor that is a single sd-event
 * source; each tap reads a bounded amount per turn, then the others have theirs. Who has left the
 * beginning of a line in the pipe is not told of all that comes: watch.c looks itself. */
#pragma once

#include "base/err.h"
#include "logs/sink.h"
#include "model/release.h"

struct router;
struct rings;
struct tap;

/* Takes the sink, on failure too. NULL and err on failure. */
struct router *router_new(sd_event *loop, struct sink *sink, struct err *err);
struct router *router_free(struct router *r);

/* Further places for all lines, which make no dyno wait: what they cannot take is dropped, counted
 * and told there ("Error L10 (output buffer overflow): N messages dropped since ..."). A sink is
 * taken, on failure too; a file is opened when it can be, now or later, and rotated as o says
 * (path: absolute). */
int router_add_sink(struct router *r, struct sink *sink);
int router_add_file(struct router *r, const char *path, const struct log_options *o,
	struct err *err) HSUP_MUST_CHECK;

/* The app that lines in files name; the caller's. Before the first file. */
void router_set_app(struct router *r, const char *app);

/* Every line is kept there too. They outlive the router. */
void router_set_rings(struct router *r, struct rings *rings);

/* Opens the files anew: they were moved away. */
void router_reopen(struct router *r);

struct router_counts {
	uint64_t lines, bytes; /* taken from dynos */
	uint64_t dropped;      /* lines, by any of the places they go to */
};
void router_counts(const struct router *r, struct router_counts *ret_counts);

/* What is followed writes lines like ours: those that begin with a stamp and an origin go out as
 * they are, the others get a prefix as ever. */
void router_pass_whole(struct router *r);

/* Follows one pipe (takes fd, on failure too). name is copied. */
int router_tap(struct router *r, const char *name, unsigned color, enum log_stream stream, int fd,
	struct tap **ret_tap) HSUP_MUST_CHECK;

/* What the Log of its type says; folder: of a path that is not absolute. On failure (there is no
 * such owner) its lines go where all go. */
int router_route(struct router *r, struct tap *t, const struct log_options *o, const char *folder,
	struct err *err);

/* Nothing new comes from the taps until router_adopted(): it is not known yet where it goes. */
void router_hold(struct router *r);

/* All that an earlier supervisor followed is followed again (or is gone for good): only now does
 * anything new come from the taps. */
void router_adopted(struct router *r);

/* The dyno has ended: what the pipe holds at this moment goes out, an unterminated last line too,
 * even when someone else still has the pipe open and writes on; then the pipe is closed, the tap
 * freed, and done called (from the loop or from inside this call; it may call the router). */
void router_finish(struct router *r, struct tap *t, void (*done)(void *userdata), void *userdata);

/* From now on no `done` is called: whom it would tell is about to go. */
void router_disown(struct router *r);

/* A line of the supervisor's own: "hsup[web.1]: text" (procid NULL = "hsup[supervisor]: text").
 * Held in memory while the sink stalls, up to 256 KiB, then dropped and counted; the count is told
 * when there is room again. */
void router_note(struct router *r, const char *procid, const char *fmt, ...) HSUP_PRINTF(3, 4);

/* Pushes all that can go; with wait_ns, for at most so long (at the end of the program). */
void router_flush(struct router *r, uint64_t wait_ns);

uint64_t router_dropped(const struct router *r); /* own lines dropped so far */
