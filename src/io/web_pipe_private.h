/* Shared by the files of io/web_pipe; nobody else includes it. */
#pragma once

#include "base/str.h"
#include "io/web_private.h"

#define WEB_PIECE 16384 /* bytes sent or read at once */

enum pipe_state {
	PIPE_CONNECTS,
	PIPE_ASKS,
	PIPE_REFUSED, /* its text is coming */
	PIPE_OPEN,
};

struct web_pipe {
	struct transfer t;
	const struct web_pipe_events *events;
	void *userdata;
	enum pipe_state state;
	int fd; /* libcurl's; -1 = none yet */
	sd_event_source *io, *late;
	struct strbuf answer; /* the head, and of a refusal its text */
	struct web_head head;

	/* Not sent yet. (OpenSSL wants a write tried again from the same place.) At first the
	 * request itself, then WEB_PIECE bytes. */
	char *out;
	size_t out_at, out_len;
	bool want_writable;
	bool want_shut, shut;
	unsigned shut_tries;

	/* Refused by the user. */
	char *held;
	size_t held_len;
	bool no_data, resumed;
};

/* `closed`; p is told nothing after it. */
void pipe_finish(struct web_pipe *p, int error, const char *text);
void pipe_finish_by(struct web_pipe *p, CURLcode code);
void pipe_finish_refused(struct web_pipe *p); /* with what has come of its text */

/* Sends what waits to be sent; may tell `writable`. */
CURLcode pipe_flush(struct web_pipe *p);
static inline bool pipe_has_to_send(const struct web_pipe *p)
{
	return p->out_at < p->out_len || (p->want_shut && !p->shut);
}

/* Sends, reads and gives out what can be. */
void pipe_pump(struct web_pipe *p);
/* What the user would not take is offered again, then as above. */
void pipe_resume(struct transfer *t);
