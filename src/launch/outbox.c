#include "launch/outbox.h"

#include <errno.h>

_Static_assert(sizeof(struct wire_child) <= sizeof(struct wire_signal),
	"a signal is the largest record that is sent");

static int send_now(struct outbox *b, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	int r = packet_send(b->socket, type, b->sequence + 1, parts, n_parts, fds, n_fds);

	if (r == 0)
		b->sequence++;
	return r;
}

int outbox_send_now(struct outbox *b, enum wire_type type, const void *body, size_t size)
{
	return send_now(b, type, &(struct packet_part){body, size}, 1, NULL, 0);
}

static int want_write(struct outbox *b, bool on)
{
	if (b->wants_write == on)
		return 0;
	int r = sd_event_source_set_io_events(b->io, EPOLLIN | (on ? EPOLLOUT : 0U));
	if (r >= 0)
		b->wants_write = on;
	return r < 0 ? r : 0;
}

static int submit(struct outbox *b, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	if (!queue_first(&b->queue)) {
		int r = send_now(b, type, parts, n_parts, fds, n_fds);
		if (r != -EAGAIN)
			return r;
	}
	int r = queue_append(&b->queue, type, parts, n_parts, fds, n_fds);
	return r < 0 ? r : want_write(b, true);
}

static int submit_records(struct outbox *b)
{
	struct packet_part part = {b->records, b->records_len};

	if (b->n_records == 0)
		return 0;
	b->n_records = 0;
	b->records_len = 0;
	return submit(b, b->records_type, &part, 1, NULL, 0);
}

static int on_later(sd_event_source *source, void *userdata)
{
	(void)source;
	/* A wire that is broken shows where it is read. */
	(void)submit_records(userdata);
	return 0;
}

int outbox_open(struct outbox *b, sd_event *loop, sd_event_source *io)
{
	b->io = io;
	int r = sd_event_add_defer(loop, &b->later, on_later, b);

	return r < 0 ? r : sd_event_source_set_enabled(b->later, SD_EVENT_OFF);
}

void outbox_done(struct outbox *b)
{
	/* An order that was given goes out, also when its giver is about to end. */
	if (b->later)
		(void)submit_records(b);
	b->later = sd_event_source_disable_unref(b->later);
	queue_done(&b->queue);
}

int outbox_send(struct outbox *b, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	int r = submit_records(b);

	return r < 0 ? r : submit(b, type, parts, n_parts, fds, n_fds);
}

int outbox_add(struct outbox *b, enum wire_type type, const void *record, size_t size)
{
	int r = 0;

	if (b->n_records == WIRE_RECORDS || b->records_type != type)
		r = submit_records(b);
	if (r == 0 && b->n_records == 0)
		r = sd_event_source_set_enabled(b->later, SD_EVENT_ONESHOT);
	if (r < 0)
		return r;
	memcpy(b->records + b->records_len, record, size);
	b->records_type = type;
	b->records_len += size;
	b->n_records++;
	return 0;
}

int outbox_flush(struct outbox *b)
{
	for (const struct message *m; (m = queue_first(&b->queue));) {
		struct packet_part part = {m->body, m->len};
		int r = send_now(b, m->type, &part, 1, m->fds, m->n_fds);

		if (r == -EAGAIN)
			return want_write(b, true);
		if (r < 0)
			return r;
		queue_drop_first(&b->queue);
	}
	return want_write(b, false);
}

bool outbox_empty(const struct outbox *b)
{
	return b->n_records == 0 && !queue_first(&b->queue);
}
