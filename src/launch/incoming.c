#include "launch/incoming.h"

#include "base/fd.h"

#include <errno.h>

static struct launch_child launch_name(const struct wire_child *c)
{
	return (struct launch_child){.id = c->id, .generation = c->generation};
}

/* The two read ends, or none. */
static bool take_ends(struct packet *p, unsigned output, int *ret_out, int *ret_err)
{
	if (p->n_fds != 0 && p->n_fds != 2)
		return false;
	*ret_out = p->n_fds ? TAKE_FD(p->fds[0]) : -1;
	*ret_err = p->n_fds && output != WIRE_OUTPUT_MERGED ? TAKE_FD(p->fds[1]) : -1;
	return true;
}

static int take_spawned(const struct incoming *in, struct packet *p)
{
	const struct wire_spawned *body = packet_body(p, sizeof *body, false);
	int out, err;

	if (!body || !take_ends(p, body->output, &out, &err))
		return -EBADMSG;
	in->children->spawned(
		in->children_userdata, launch_name(&body->child), body->pid, out, err);
	return 0;
}

static int take_entry(const struct incoming *in, struct packet *p)
{
	const struct wire_entry *body = packet_body(p, sizeof *body, true);
	struct launch_entry entry;

	if (!body || body->state < WIRE_ENTRY_RUNNING || body->state > WIRE_ENTRY_KEPT)
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
		!take_ends(p, body->output, &entry.out, &entry.err))
		return -EBADMSG;
	in->children->entry(in->children_userdata, &entry);
	return 0;
}

static int take_news(const struct incoming *in, const struct packet *p)
{
	const struct wire_failed *failed;
	const struct wire_exited *exited;
	const struct wire_child *child;
	unsigned n;

	switch (packet_header(p)->type) {
	case WIRE_FAILED:
		failed = packet_body(p, sizeof *failed, false);
		if (!failed)
			return -EBADMSG;
		in->children->failed(in->children_userdata, launch_name(&failed->child),
			failed->stage, failed->error);
		return 0;
	case WIRE_LEFT:
		child = packet_body(p, sizeof *child, false);
		if (!child)
			return -EBADMSG;
		in->children->left(in->children_userdata, launch_name(child));
		return 0;
	case WIRE_EXITED:
		exited = packet_records(p, sizeof *exited, &n);
		for (unsigned i = 0; i < n && !in->closed; i++)
			in->children->exited(in->children_userdata, &exited[i]);
		return n > 0 ? 0 : -EBADMSG;
	default:
		if (!packet_body(p, 0, false))
			return -EBADMSG;
		in->children->list_end(in->children_userdata);
		return 0;
	}
}

static int take_orders(const struct incoming *in, const struct packet *p)
{
	const struct wire_shutdown *shutdown;

	switch (packet_header(p)->type) {
	case WIRE_PING:
		return packet_body(p, 0, false) ? 1 : -EBADMSG;
	case WIRE_SHUTDOWN:
		shutdown = packet_body(p, sizeof *shutdown, false);
		if (!shutdown)
			return -EBADMSG;
		in->events->shutdown(in->userdata, shutdown->urgency, shutdown->signo);
		return 0;
	case WIRE_RESTART:
		if (!packet_body(p, 0, false))
			return -EBADMSG;
		in->events->restart(in->userdata);
		return 0;
	default:
		return -EBADMSG;
	}
}

static int take(const struct incoming *in, struct packet *p)
{
	switch ((enum wire_type)packet_header(p)->type) {
	case WIRE_SPAWNED:
		return in->children ? take_spawned(in, p) : 0;
	case WIRE_ENTRY:
		return in->children ? take_entry(in, p) : 0;
	case WIRE_FAILED:
	case WIRE_LEFT:
	case WIRE_EXITED:
	case WIRE_LIST_END:
		return in->children ? take_news(in, p) : 0;
	case WIRE_PING:
	case WIRE_SHUTDOWN:
	case WIRE_RESTART:
		return take_orders(in, p);
	case WIRE_HELLO:
	case WIRE_SPAWN:
	case WIRE_SIGNAL:
	case WIRE_LIST:
	case WIRE_ACK:
	case WIRE_PONG:
	case WIRE_LEAVE:
	case WIRE_UPGRADE:
	case WIRE_TAG:
	case WIRE_KEEP:
	case WIRE_SPAWN_BOX:
	case WIRE_PARK:
	case WIRE_SPAWN_WARM:
	case WIRE_TYPE_MAX:
		break;
	}
	return -EBADMSG;
}

int incoming_take(const struct incoming *in, struct packet *p)
{
	int r = take(in, p);

	packet_done(p);
	return r;
}
