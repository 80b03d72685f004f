/* What goes both ways between us and one container over attach: the terminal or the pipes of `hsup
 * run`, the standard input of a dyno with Stdin, and bytes that are handed over once.
 *
 * `run`: create with attach_compose(), attach_new(), and when `opened` came the order to start;
 * when that is answered attach_started(), when the container has ended attach_finish(); its exit is
 * told when `over` came. */
#pragma once

#include <stdbool.h>

#include "drivers/docker/engine.h"

struct attach;

struct attach_setup {
	struct engine *engine;
	sd_event *loop;
	const int *stdio;      /* three of the caller's, as driver_start has them: they are neither
				* closed nor is O_NONBLOCK set on what others share */
	const char *container; /* id; copied */
	const void *first;     /* its standard input begins with this; copied; not for a terminal,
				* which would show it */
	size_t first_len;
	/* r = 0: the engine listens, the container may be started. r < 0: it does not, and that was
	 * all: `over` does not follow. */
	void (*opened)(void *userdata, int r, const struct err *err);
	/* Nobody reads what it writes: it is to get this signal, as whoever writes to such a pipe
	 * or terminal does: SIGPIPE, SIGHUP; SIGTERM when it goes on for a second. */
	void (*deaf)(void *userdata, int signo);
	/* Once, after attach_started(): all there is to come has been written, and the terminal is
	 * as it was. r < 0: it broke off (the engine is gone, it sends what is no stream), so the
	 * rest of the output is lost and the container may run on without us: it is to be killed,
	 * and its exit is not known. May come before the container is known to have ended. */
	void (*over)(void *userdata, int r, const struct err *err);
	void *userdata;
};

/* The container gets a terminal: both standard input and output are one, and ours to use (a job in
 * the background may not). */
bool attach_is_tty(const int stdio[3]);

/* Into the body of /containers/create: Tty, OpenStdin, StdinOnce, Attach..., no log
 * (HostConfig.LogConfig), and with a terminal TERM in Env unless it is there. HostConfig and Env
 * are made when they are not there. 0 or -ENOMEM. */
int attach_compose(json_t *create, const int stdio[3]) HSUP_MUST_CHECK;

/* For the shell that becomes the dyno, before it does (POSIX; 0 is its standard input): a terminal
 * has no size until it is resized, which the engine refuses before it has started all, and what
 * asks at once would be told 0 by 0. Not for ever: the engine may never do it. */
#define ATTACH_SCRIPT                                                                              \
	"if [ -t 0 ] && command -v stty >/dev/null; then\n"                                        \
	"hsup_n=0\n"                                                                               \
	"while [ $hsup_n -lt 500 ]; do\n"                                                          \
	"case $(stty size 2>/dev/null) in '' | '0 0') hsup_n=$((hsup_n + 1)) ;; *) break ;; "      \
	"esac\n"                                                                                   \
	"done\n"                                                                                   \
	"unset hsup_n\n"                                                                           \
	"fi\n"

/* Opens the attach: the container was created and does not run yet. */
int attach_new(const struct attach_setup *setup, struct attach **ret_attach,
	struct err *err) HSUP_MUST_CHECK;
/* The terminal is as it was; what was not written yet is lost. From `opened` and `over` too. NULL
 * allowed; returns NULL. */
struct attach *attach_free(struct attach *a);

/* The container runs: the terminal becomes raw, its size and the standard input go there. */
void attach_started(struct attach *a);
/* The container has ended: nothing is read any more; what is left of its output is written, however
 * long our reader takes, then `over`, also when the engine does not end the stream. The reader may
 * never come back: when the dyno is signalled after its end, attach_free() and its exit is told. */
void attach_finish(struct attach *a);

/* ---- Stdin of a dyno: for `hsup attach` ---- */

/* A FIFO, the same for every supervisor, and what is written to it goes to the container. It was
 * created with OpenStdin and without StdinOnce: so it sees no end of file. */
struct feed;

/* dir: driver_context's stdin_dir, made when it is not there. Finds the FIFO of an earlier
 * supervisor, or makes one. -ENXIO: dir is NULL. */
int feed_new(struct engine *engine, sd_event *loop, const char *dir, uint64_t id,
	uint32_t generation, const char *container, struct feed **ret_feed,
	struct err *err) HSUP_MUST_CHECK;
/* The container runs: from now on it gets what is written. Engines come and go: what it did not
 * take waits. */
void feed_go(struct feed *f);
/* As open_stdin of drivers/driver.h: the caller's, or negative errno. */
int feed_open(const struct feed *f) HSUP_MUST_CHECK;
/* ended: the container has, and nobody will want the FIFO. NULL allowed; returns NULL. */
struct feed *feed_free(struct feed *f, bool ended);

/* ---- bytes that a container reads first of all ---- */

struct handover;

/* Opens an attach with the standard input only, sends these bytes (copied, and cleared after use),
 * and closes it: with StdinOnce that is the end of file. opened: it may be started now; NULL = not
 * of interest. done: once; r < 0 = it did not get them all. It is gone with that. */
int handover_new(struct engine *engine, const char *container, const void *data, size_t len,
	void (*opened)(void *userdata), void (*done)(void *userdata, int r, const struct err *err),
	void *userdata, struct handover **ret_handover, struct err *err) HSUP_MUST_CHECK;
struct handover *handover_free(struct handover *h); /* no callback follows; NULL allowed */
