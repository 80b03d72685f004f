/* What the client says to the launcher: in order, never waiting, never lost while the socket is
 * full. */
#pragma once

#include "launch/queue.h"

#include <systemd/sd-event.h>

/* Not opened: all zero but the socket, which is the client's; outbox_done() is allowed. */
struct outbox {
	int socket;
	uint32_t sequence;
	sd_event_source *io;	/* the client's own of the socket; NULL before there is one */
	sd_event_source *later; /* sends the records, once per turn of the loop */
	struct queue queue;
	bool wants_write;
	/* Records of one type that wait for more of it: what one event makes the engine say of many
	 * dynos goes in few packets. */
	enum wire_type records_type;
	size_t records_len;
	unsigned n_records;
	unsigned char records[WIRE_RECORDS * sizeof(struct wire_signal)];
};

/* For the hello, before there is a loop. 0, -EAGAIN when the socket is full, or negative errno. */
int outbox_send_now(
	struct outbox *b, enum wire_type type, const void *body, size_t size) HSUP_MUST_CHECK;

/* Then the functions below may be called. `io` stays the caller's. */
int outbox_open(struct outbox *b, sd_event *loop, sd_event_source *io) HSUP_MUST_CHECK;
void outbox_done(struct outbox *b);

/* At once when nothing waits and the socket takes it; else behind the others. fds stay the
 * caller's. 0, -ENOBUFS when too much waits, or another negative errno. */
int outbox_send(struct outbox *b, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds) HSUP_MUST_CHECK;

/* Behind what was sent, before what will be, and before the loop sleeps. 0 or negative errno. */
int outbox_add(
	struct outbox *b, enum wire_type type, const void *record, size_t size) HSUP_MUST_CHECK;

/* What waits, as far as the socket takes it. 0 (also when some is left) or negative errno. */
int outbox_flush(struct outbox *b) HSUP_MUST_CHECK;
bool outbox_empty(const struct outbox *b);
