/* A helper process that does one job: started with a SOCK_SEQPACKET socket as descriptor 3, its
 * standard input from /dev/null, output and error as ours, SIGTERM at our death
 * (PR_SET_PDEATHSIG), nothing else inherited. Its packets and its end arrive on the loop. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <systemd/sd-event.h>

struct worker;

struct worker_events {
	/* The socket is readable: the owner receives from `socket` until -EAGAIN. */
	void (*readable)(void *userdata, struct worker *w, int socket);
	/* It has ended (status as waitpid gives it) after everything it sent was offered to
	 * `readable`. The owner calls worker_free(). Also called when it was silent for too long
	 * (status -ETIMEDOUT; it was killed). */
	void (*ended)(void *userdata, struct worker *w, int status);
};

/* Starts path with argv. silence_ns: killed when it sends nothing for so long (0 = no limit). */
int worker_start(sd_event *loop, const char *path, char *const argv[], uint64_t silence_ns,
	const struct worker_events *events, void *userdata, struct worker **ret_worker,
	struct err *err) HSUP_MUST_CHECK;
int worker_socket(const struct worker *w);
void worker_touch(struct worker *w); /* it has said something: the silence starts anew */

void worker_kill(struct worker *w); /* `ended` follows */

/* Kills it when it still runs, and reaps it; no callback follows. NULL allowed; returns NULL. */
struct worker *worker_free(struct worker *w);
