/* An engine with the log of one container, behind the calls of drivers/docker/engine.h: it gives
 * the bytes in pieces of any size, breaks off where it is told, and leaves out what is older than
 * `since`, as dockerd does. */
#pragma once

#include "drivers/docker/engine.h"
#include "drivers/docker/stream.h"

struct fake_message {
	enum stream_which which;
	uint64_t stamp;
	const char *text; /* not copied */
	size_t len;
};

struct engine {
	sd_event *loop;
	const struct fake_message *messages;
	size_t n_messages;
	const char *raw; /* instead of messages: these bytes */
	size_t raw_len;
	bool down;	 /* a call is refused; one that is there goes on until it breaks */
	bool ended;	 /* a follow ends where the log does */
	bool hangs;	 /* and gives nothing any more */
	unsigned piece;	 /* at most so many bytes at once */
	uint64_t breaks; /* a call breaks off behind so many bytes; 0 = none does */
	int refuses;	 /* what a call ends with before it gives anything; 0 = none does */
	unsigned seed;
	unsigned drops_tail; /* so many messages a follow leaves out at the end */
	/* What it has been asked. */
	unsigned calls, cancelled, pauses;
	bool follows;
	uint64_t since, given;
	struct engine_call *call;
};

/* There is more in `messages`, or it has ended. */
void fake_engine_wake(struct engine *e);
