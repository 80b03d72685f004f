#include "launch/launch.h"

#include "base/clock.h"
#include "base/fd.h"
#include "launch/incoming.h"
#include "launch/outbox.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Then other sources of the loop have their turn. */
#define PACKETS_AT_ONCE 64
#define HELLO_TIMEOUT	(5 * NSEC_PER_SEC)
#define LEAVE_TIMEOUT	(2 * NSEC_PER_SEC)

struct client {
	struct outbox out;
	sd_event_source *source;
	struct incoming in;
	bool busy;    /* inside a callback */
	unsigned can; /* the launcher */
	struct packet packet;
};

/* ---- out ---- */

static struct wire_child wire_name(struct launch_child c)
{
	return (struct wire_child){.id = c.id, .generation = c.generation};
}

struct label {
	struct launch_child parked; /* id 0: none */
	const char *name;
	const void *tag;
	size_t tag_len;
};

/* A spawn or a keep. */
static int send_child(struct client *c, enum wire_type type, struct launch_child child,
	enum wire_output output, const struct label *label, const int *fds, unsigned n_fds)
{
	size_t name_len = strlen(label->name);
	struct wire_spawn_warm body = {
		.spawn =
			{
				.child = wire_name(child),
				.output = (uint16_t)output,
				.name_length = (uint16_t)name_len,
				.tag_length = (uint32_t)label->tag_len,
			},
		.parked = wire_name(label->parked),
	};
	const struct packet_part parts[] = {
		{&body, type == WIRE_SPAWN_WARM ? sizeof body : sizeof body.spawn},
		{label->name, name_len}, {label->tag, label->tag_len}};

	if (name_len < 1 || name_len > LIMIT_NAME || label->tag_len > LIMIT_TAG)
		return -EINVAL;
	return outbox_send(&c->out, type, parts, 3, fds, n_fds);
}

static int order(struct client *c, enum wire_type type, struct launch_child child,
	const struct label *label, int spec_fd, const struct launch_stdio *stdio)
{
	static const struct launch_stdio pipes = {.in = -1};

	if (!stdio)
		stdio = &pipes;
	enum wire_output output = stdio->given	  ? WIRE_OUTPUT_GIVEN
				  : stdio->merged ? WIRE_OUTPUT_MERGED
						  : WIRE_OUTPUT_PIPES;
	int fds[4] = {spec_fd, stdio->in, -1, -1};
	unsigned n_fds = stdio->given ? 4 : stdio->in >= 0 ? 2 : 1;

	if (stdio->given)
		memcpy(&fds[1], stdio->given, 3 * sizeof fds[0]);
	return send_child(c, type, child, output, label, fds, n_fds);
}

static int client_spawn(void *state, struct launch_child child, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	return order(
		state, WIRE_SPAWN, child, &(struct label){{0}, name, tag, tag_len}, spec_fd, stdio);
}

static int client_spawn_box(void *state, struct launch_child child, const char *name,
	const void *tag, size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	struct client *c = state;

	/* An older one would close the connection, others refuse what they can only refuse. */
	if (!(c->can & WIRE_CAN_BOX))
		return -EOPNOTSUPP;
	return order(
		c, WIRE_SPAWN_BOX, child, &(struct label){{0}, name, tag, tag_len}, spec_fd, stdio);
}

static int client_park(void *state, struct launch_child child, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio)
{
	struct client *c = state;

	if (!(c->can & WIRE_CAN_WARM))
		return -EOPNOTSUPP;
	return order(c, WIRE_PARK, child, &(struct label){{0}, name, tag, tag_len}, spec_fd, stdio);
}

static int client_spawn_warm(void *state, struct launch_child parked, struct launch_child child,
	const char *name, const void *tag, size_t tag_len, int spec_fd,
	const struct launch_stdio *stdio)
{
	struct client *c = state;

	if (!(c->can & WIRE_CAN_WARM))
		return -EOPNOTSUPP;
	return order(c, WIRE_SPAWN_WARM, child, &(struct label){parked, name, tag, tag_len},
		spec_fd, stdio);
}

static int client_keep(void *state, struct launch_child child, const char *name, const void *tag,
	size_t tag_len, int out, int err)
{
	struct client *c = state;

	/* An older one would close the connection. */
	if (!(c->can & WIRE_CAN_KEEP))
		return -EOPNOTSUPP;
	return send_child(c, WIRE_KEEP, child, err < 0 ? WIRE_OUTPUT_MERGED : WIRE_OUTPUT_PIPES,
		&(struct label){{0}, name, tag, tag_len}, (int[]){out, err}, err < 0 ? 1 : 2);
}

static int client_signal(void *state, struct launch_child child, int signo)
{
	struct client *c = state;
	struct wire_signal record = {.child = wire_name(child), .signo = signo};

	return outbox_add(&c->out, WIRE_SIGNAL, &record, sizeof record);
}

static int client_ack(void *state, struct launch_child child)
{
	struct client *c = state;
	struct wire_child record = wire_name(child);

	return outbox_add(&c->out, WIRE_ACK, &record, sizeof record);
}

static int client_tag(void *state, struct launch_child child, const void *tag, size_t tag_len)
{
	struct client *c = state;
	struct wire_tag body = {.child = wire_name(child), .tag_length = (uint32_t)tag_len};
	const struct packet_part parts[] = {{&body, sizeof body}, {tag, tag_len}};

	if (tag_len > LIMIT_TAG)
		return -EINVAL;
	return outbox_send(&c->out, WIRE_TAG, parts, 2, NULL, 0);
}

static int client_list(void *state)
{
	struct client *c = state;

	return outbox_send(&c->out, WIRE_LIST, NULL, 0, NULL, 0);
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

	int r = outbox_send(
		&c->out, WIRE_LEAVE, &(struct packet_part){&body, sizeof body}, 1, NULL, 0);
	while (r == 0 && !outbox_empty(&c->out)) {
		r = wait_for(c->out.socket, POLLOUT, deadline);
		if (r == 0)
			r = outbox_flush(&c->out);
	}
	return r;
}

/* ---- in ---- */

static void client_listen(void *state, const struct launch_child_events *children, void *userdata)
{
	struct client *c = state;

	c->in.children = children;
	c->in.children_userdata = userdata;
}

/* 1 after a packet, 0 at the end of file, or negative errno. */
static int receive_one(struct client *c)
{
	int r = packet_receive(c->out.socket, &c->packet);
	if (r <= 0)
		return r;
	r = incoming_take(&c->in, &c->packet);
	/* A launcher that has gone meanwhile shows as the end of file. */
	if (r == 1 && outbox_send(&c->out, WIRE_PONG, NULL, 0, NULL, 0) == -ENOMEM)
		return -ENOMEM;
	return r < 0 ? r : 1;
}

static void client_free(struct client *c)
{
	outbox_done(&c->out);
	sd_event_source_disable_unref(c->source);
	(void)fd_close(c->out.socket);
	free(c);
}

static void client_close(void *state)
{
	struct client *c = state;

	if (c->busy)
		c->in.closed = true;
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
		r = outbox_flush(&c->out) < 0 ? -EPIPE : 1;
	/* Whatever became of our own, what the launcher has said is heard first. */
	for (int i = 0; i < PACKETS_AT_ONCE && !c->in.closed; i++) {
		int n = receive_one(c);
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			r = n;
			break;
		}
	}
	if (r <= 0 && !c->in.closed) {
		(void)sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
		c->in.events->lost(c->in.userdata, r);
	}
	c->busy = false;
	if (c->in.closed)
		client_free(c);
	return 0;
}

static unsigned client_can(void *state)
{
	return ((const struct client *)state)->can;
}

/* ---- opening ---- */

static int shake_hands(struct client *c, struct err *err)
{
	struct wire_hello hello = {.wire_version = WIRE_VERSION, .pid = (uint32_t)getpid()};
	uint64_t deadline = clock_now() + HELLO_TIMEOUT;
	struct packet *p = &c->packet;

	int r = outbox_send_now(&c->out, WIRE_HELLO, &hello, sizeof hello);
	if (r < 0)
		return err_errno(err, r, "launcher: cannot say hello");
	while ((r = packet_receive(c->out.socket, p)) == -EAGAIN) {
		r = wait_for(c->out.socket, POLLIN, deadline);
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
	if (sound)
		c->can = answer->can;
	packet_done(p);
	return sound ? 0 : err_set(err, -EPROTO, "launcher: it speaks another version");
}

static const struct launch_ops client_ops = {
	.listen = client_listen,
	.spawn = client_spawn,
	.spawn_box = client_spawn_box,
	.park = client_park,
	.spawn_warm = client_spawn_warm,
	.keep = client_keep,
	.signal = client_signal,
	.ack = client_ack,
	.tag = client_tag,
	.list = client_list,
	.leave = client_leave,
	.close = client_close,
	.can = client_can,
};

int launch_open(sd_event *loop, int fd, const struct launch_events *events, void *userdata,
	struct launch **ret_launch, struct err *err)
{
	struct client *c = calloc(1, sizeof *c);

	if (!c) {
		(void)fd_close(fd);
		return err_errno(err, -ENOMEM, "launcher");
	}
	c->out.socket = fd;
	c->in = (struct incoming){.events = events, .userdata = userdata};
	(void)fd_cloexec(fd, true);
	int r = shake_hands(c, err);
	if (r < 0) {
		client_free(c);
		return r;
	}
	r = sd_event_add_io(loop, &c->source, fd, EPOLLIN, on_io, c);
	if (r >= 0)
		r = outbox_open(&c->out, loop, c->source);
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
