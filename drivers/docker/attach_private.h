/* What the files of attach share. */
#pragma once

#include "drivers/docker/attach.h"
#include "drivers/docker/stream.h"
#include "io/outlet.h"

#include <termios.h>

#define ATTACH_IN_BYTES ((size_t)32 << 10)

/* Of the caller's terminal, when the container has one. */
struct attach_tty {
	bool on; /* the container has one */
	bool begun;
	bool raw; /* and ours is raw; this is what it was: */
	struct termios before;
	sd_event_source *winch, *again;
	struct engine_call *resizing;
	bool changed;	/* while that was on its way */
	unsigned tries; /* that failed in a row */
};

struct attach_in {
	int fd; /* ours, -1 = no more comes */
	bool socket;
	sd_event_source *source; /* readable; of a file, which cannot be waited for: soon */
	char *data;		 /* from `sent` to `len` it is still to go */
	size_t size, len, sent;
	bool shut;
};

struct attach_out {
	struct outlet outlets[2]; /* standard output, error; fd -1 = nobody reads it */
	bool terminal[2];
	sd_event_source *writable[2];
	uint64_t deaf_at; /* CLOCK_MONOTONIC ns; 0 = somebody reads all */
	bool deaf_said;	  /* also that it goes on */
	struct stream_parser parser;
	const char *data; /* being written: `held`, or what just came */
	size_t len;
	size_t left; /* of it, the payload of a frame for `which`; the rest is not parsed */
	unsigned which;
	char *held; /* a copy that waits for a reader */
	size_t cap_held;
};

struct attach {
	struct engine *engine;
	sd_event *loop;
	char *container;
	struct attach_setup setup; /* for its callbacks */
	int stdio[3];
	struct web_pipe *pipe; /* NULL = closed */
	bool opened, started, finishing;
	uint64_t heard_at; /* the stream's last sign of life, CLOCK_MONOTONIC ns */
	sd_event_source *patience, *ending;
	struct err why; /* what ended it, code 0 = its end */
	struct attach_tty tty;
	struct attach_in in;
	struct attach_out out;
};

/* ---- attach.c ---- */
void attach_blame(struct attach *a, int r, const char *what); /* the first is what is told */
void attach_maybe_over(struct attach *a); /* never from inside a call: `over` may free it */

/* ---- attach_tty.c ---- */
bool attach_is_ours(int fd); /* no terminal, or one that is not another job's */
void attach_tty_begin(struct attach *a);
void attach_tty_end(struct attach *a);

/* ---- attach_in.c ---- */
int attach_in_open(struct attach *a, const struct attach_setup *setup) HSUP_MUST_CHECK;
void attach_in_begin(struct attach *a);
void attach_in_more(struct attach *a); /* the engine takes more */
void attach_in_end(struct attach *a);

/* ---- attach_out.c ---- */
int attach_out_open(struct attach *a, const int stdio[3]) HSUP_MUST_CHECK;
int attach_out_take(struct attach *a, const char *data, size_t len); /* as web_pipe_events.data */
bool attach_out_waits(const struct attach *a); /* there is something that was not written yet */
void attach_out_end(struct attach *a);
