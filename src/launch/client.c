#include "launch/launch.h"

#include "base/clock.h"
#include "base/fd.h"
#include "launch/queue.h"
#include "wire/packet.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Then other sources of the loop have their turn. */
#define PACKETS_AT_ONCE 64
#define HELLO_TIMEOUT	(5 * NSEC_PER_SEC)
#define LEAVE_TIMEOUT	(2 * NSEC_PER_SEC)

struct client {
	int socket;
	uint32_t sequence;
	sd_event_source *source;
	const struct launch_events *events;
	void *userdata;
	struct queue queue;
	bool wants_write;
	bool busy, closed; /* inside a callback; closed by it */
	struct packet in;
};

/* ---- out ---- */

static int send_now(struct client *c, unsigned type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	int r = packet_send(c->socket, type, c->sequence + 1, parts, n_parts, fds, n_fds);

	if (r == 0)
		c->sequence++;
	return r;
}

static int want_write(struct client *c, bool on)
{
	if (c->wants_write == on || !c->source)
		return 0;
	int r = sd_event_source_set_io_events(c->source, EPOLLIN | (on ? EPOLLOUT : 0U));
	if (r >= 0)
		c->wants_write = on;
	return r < 0 ? r : 0;
}

/* Sends what is queued as far as it goes. 0 (also when some is left) or negative errno. */
static int flush(struct client *c)
{
	for (const struct message *m; (m = queue_first(&c->queue));) {
		struct packet_part part = {m->body, m->len};
		int r = send_now(c, m->type, &part, 1, m->fds, m->n_fds);

		if (r == -EAGAIN)
			return want_write(c, true);
		if (r < 0)
			return r;
		queue_drop_first(&c->queue);
	}
	return want_write(c, false);
}

/* At once when nothing waits and the socket takes it; else behind the others. */
static int submit(struct client *c, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	if (!queue_first(&c->queue)) {
		int r = send_now(c, type, parts, n_parts, fds, n_fds);
		if (r != -EAGAIN)
			return r;
	}
	int r = queue_append(&c->queue, type, parts, n_parts, fds, n_fds);
	return r < 0 ? r : want_write(c, true);
}

static int submit_body(struct client *c, enum wire_type type, const void *body, size_t size)
{
	return submit(c, type, &(struct packet_part){body, size}, 1, NULL, 0);
}

static struct wire_child wire_name(struct launch_child c)
{
	return (struct wire_child){.id = c.id, .generation = c.generation};
}

static int client_spawn(void *state, struct launch_child child, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const int stdio[3])
{
	size_t name_len = strlen(name);
	struct wire_spawn body = {
		.child = wire_name(child),
		.output = stdio ? WIRE_OUTPUT_GIVEN : WIRE_OUTPUT_PIPES,
		.name_length = (uint16_t)name_len,
		.tag_length = (uint32_t)tag_len,
	};
	const struct packet_part parts[] = {{&body, sizeof body}, {name, name_len}, {tag, tag_len}};
	int fds[4] = {spec_fd, -1, -1, -1};

	if (name_len < 1 || name_len > LIMIT_NAME || tag_len > LIMIT_TAG)
		return -EINVAL;
	if (stdio)
		memcpy(&fds[1], stdio, 3 * sizeof fds[0]);
	return submit(state, WIRE_SPAWN, parts, 3, fds, stdio ? 4 : 1);
}

static int client_signal(void *state, struct launch_child child, int signo)
{
	struct wire_signal body = {.child = wire_name(child), .signo = signo};

	return submit_body(state, WIRE_SIGNAL, &body, sizeof body);
}

static int client_ack(void *state, struct launch_child child)
{
	struct wire_child body = wire_name(child);

	return submit_body(state, WIRE_ACK, &body, sizeof body);
}

static int client_list(void *state)
{
	return submit(state, WIRE_LIST, NULL, 0, NULL, 0);
}

static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = clock_now();
	int n;

	if (now >= deadline)
		return -ETIMEDOUT;
	n = poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1);
	return n < 0 && errno != EINTR ? -errno : 0;
}

static int client_leave(void *state, int code)
{
	struct client *c = state;
	struct wire_leave body = {.code = (uint32_t)code & 0xff};
	uint64_t deadline = clock_now() + LEAVE_TIMEOUT;

	int r = submit_body(c, WIRE_LEAVE, &body, sizeof body);
	while (r == 0 && queue_first(&c->queue)) {
		r = wait_for(c->socket, POLLOUT, deadline);
		if (r == 0)
			r = flush(c);
	}
	return r;
}

/* ---- in ---- */

static struct launch_child launch_name(const struct wire_child *c)
{
	return (struct launch_child){.id = c->id, .generation = c->generation};
}

/* The two read ends, or none. */
static bool take_ends(struct packet *p, int *ret_out, int *ret_err)
{
	if (p->n_fds != 0 && p->n_fds != 2)
		return false;
	*ret_out = p->n_fds ? TAKE_FD(p->fds[0]) : -1;
	*ret_err = p->n_fds ? TAKE_FD(p->fds[1]) : -1;
	return true;
}

static int take_spawned(struct client *c, struct packet *p)
{
	const struct wire_spawned *body = packet_body(p, sizeof *body, false);
	int out, err;

	if (!body || !take_ends(p, &out, &err))
		return -EBADMSG;
	c->events->spawned(c->userdata, launch_name(&body->child), body->pid, out, err);
	return 0;
}

static int take_entry(struct client *c, struct packet *p)
{
	const struct wire_entry *body = packet_body(p, sizeof *body, true);
	struct launch_entry entry;

	if (!body || body->state < WIRE_ENTRY_RUNNING || body->state > WIRE_ENTRY_EXITED)
		return -EBADMSG;
	entry = (struct launch_entry){
		.child = launch_name(&body->child),
		.state = body->state,
		.pid = body->pid,
		.spawn_time = body->spawn_time,
		.start_time = body->start_time,
		.name_len = body->name_length,
		.tag_len = body->tag_length,
	};
	if (packet_name_and_tag(p, sizeof *body, body->name_length, body->tag_length, &entry.name,
		    &entry.tag) < 0 ||
		!take_ends(p, &entry.out, &entry.err))
		return -EBADMSG;
	c->events->entry(c->userdata, &entry);
	return 0;
}

static int take_fixed(struct client *c, const struct packet *p)
{
	const struct wire_failed *failed;
	const struct wire_exited *exited;
	const struct wire_child *child;
	const struct wire_shutdown *shutdown;

	switch ((enum wire_type)packet_header(p)->type) {
	case WIRE_FAILED:
		failed = packet_body(p, sizeof *failed, false);
		if (!failed)
			return -EBADMSG;
		c->events->failed(
			c->userdata, launch_name(&failed->child), failed->stage, failed->error);
		return 0;
	case WIRE_LEFT:
		child = packet_body(p, sizeof *child, false);
		if (!child)
			return -EBADMSG;
		c->events->left(c->userdata, launch_name(child));
		return 0;
	case WIRE_EXITED:
		exited = packet_body(p, sizeof *exited, false);
		if (!exited)
			return -EBADMSG;
		c->events->exited(c->userdata, exited);
		return 0;
	case WIRE_LIST_END:
		if (!packet_body(p, 0, false))
			return -EBADMSG;
		c->events->list_end(c->userdata);
		return 0;
	case WIRE_PING:
		/* A launcher that has gone meanwhile shows as the end of file. */
		(void)submit(c, WIRE_PONG, NULL, 0, NULL, 0);
		return 0;
	case WIRE_SHUTDOWN:
		shutdown = packet_body(p, sizeof *shutdown, false);
		if (!shutdown)
			return -EBADMSG;
		c->events->shutdown(c->userdata, shutdown->urgency, shutdown->signo);
		return 0;
	case WIRE_HELLO:
	case WIRE_SPAWN:
	case WIRE_SPAWNED:
	case WIRE_SIGNAL:
	case WIRE_LIST:
	case WIRE_ENTRY:
	case WIRE_ACK:
	case WIRE_PONG:
	case WIRE_LEAVE:
	case WIRE_UPGRADE:
	case WIRE_TYPE_MAX:
		break;
	}
	return -EBADMSG;
}

static int take(struct client *c, struct packet *p)
{
	int r;

	switch (packet_header(p)->type) {
	case WIRE_SPAWNED:
		r = take_spawned(c, p);
		break;
	case WIRE_ENTRY:
		r = take_entry(c, p);
		break;
	default:
		r = take_fixed(c, p);
	}
	packet_done(p);
	return r;
}

/* 1 after a packet, 0 at the end of file, or negative errno. */
static int receive_one(struct client *c)
{
	int r = packet_receive(c->socket, &c->in);
	if (r <= 0)
		return r;
	r = take(c, &c->in);
	return r < 0 ? r : 1;
}

static void client_free(struct client *c)
{
	sd_event_source_disable_unref(c->source);
	queue_done(&c->queue);
	(void)fd_close(c->socket);
	free(c);
}

static void client_close(void *state)
{
	struct client *c = state;

	if (c->busy)
		c->closed = true;
	else
		client_free(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct client *c = userdata;
	int r = 1;

	(void)source;
	(void)fd;
	c->busy = true;
	if (revents & EPOLLOUT)
		r = flush(c) < 0 ? -EPIPE : 1;
	/* Whatever became of our own, what the launcher has said is heard first. */
	for (int i = 0; i < PACKETS_AT_ONCE && !c->closed; i++) {
		int n = receive_one(c);
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			r = n;
			break;
		}
	}
	if (r <= 0 && !c->closed) {
		(void)sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
		c->events->lost(c->userdata, r);
	}
	c->busy = false;
	if (c->closed)
		client_free(c);
	return 0;
}

/* ---- opening ---- */

static int shake_hands(struct client *c, struct err *err)
{
	struct wire_hello hello = {.wire_version = WIRE_VERSION, .pid = (uint32_t)getpid()};
	uint64_t deadline = clock_now() + HELLO_TIMEOUT;
	struct packet *p = &c->in;

	int r = send_now(c, WIRE_HELLO, &(struct packet_part){&hello, sizeof hello}, 1, NULL, 0);
	if (r < 0)
		return err_errno(err, r, "launcher: cannot say hello");
	while ((r = packet_receive(c->socket, p)) == -EAGAIN) {
		r = wait_for(c->socket, POLLIN, deadline);
		if (r < 0)
			return err_errno(err, r, "launcher: no answer");
	}
	if (r == 0)
		return err_set(err, -ECONNRESET, "launcher: it closed the connection");
	if (r < 0)
		return err_errno(err, r == -EBADMSG ? -EPROTO : r, "launcher: no sound answer");

	const struct wire_hello *answer = packet_body(p, sizeof *answer, false);
	bool sound = answer && packet_header(p)->type == WIRE_HELLO &&
		     answer->wire_version == WIRE_VERSION;
	packet_done(p);
	return sound ? 0 : err_set(err, -EPROTO, "launcher: it speaks another version");
}

static const struct launch_ops client_ops = {
	.spawn = client_spawn,
	.signal = client_signal,
	.ack = client_ack,
	.list = client_list,
	.leave = client_leave,
	.close = client_close,
};

int launch_open(sd_event *loop, int fd, const struct launch_events *events, void *userdata,
	struct launch **ret_launch, struct err *err)
{
	struct client *c = calloc(1, sizeof *c);

	if (!c) {
		(void)fd_close(fd);
		return err_errno(err, -ENOMEM, "launcher");
	}
	c->socket = fd;
	c->events = events;
	c->userdata = userdata;
	(void)fd_cloexec(fd, true);
	int r = shake_hands(c, err);
	if (r < 0) {
		client_free(c);
		return r;
	}
	r = sd_event_add_io(loop, &c->source, fd, EPOLLIN, on_io, c);
	if (r < 0) {
		client_free(c);
		return err_errno(err, r, "launcher");
	}
	struct launch *l = launch_fake(&client_ops, c);
	if (!l) {
		client_free(c);
		return err_errno(err, -ENOMEM, "launcher");
	}
	*ret_launch = l;
	return 0;
}
