/* Parked boxes: a child that was born before anybody knew whose it would be. Its order comes by a
 * socket, and with it its name. */
#include "launcher/launcher.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/found.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int warm_pair(const struct launcher *l, int ret_pair[2])
{
	if (l->n_parked == LIMIT_WARM)
		return -EAGAIN;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_pair) < 0 ? -errno : 0;
}

void warm_keep(struct launcher *l, const struct child *c, int fd)
{
	l->parked[l->n_parked++] = (struct parked){fd, (uint16_t)children_slot(l->children, c)};
}

static struct parked *find(struct launcher *l, const struct child *c)
{
	unsigned slot = children_slot(l->children, c);

	for (unsigned i = 0; i < l->n_parked; i++)
		if (l->parked[i].slot == slot)
			return &l->parked[i];
	return NULL;
}

void warm_forget(struct launcher *l, const struct child *c)
{
	struct parked *at = find(l, c);

	if (!at)
		return;
	at->fd = fd_close(at->fd);
	*at = l->parked[--l->n_parked];
}

/* It has said that it is ready, and nobody has had it. */
static bool is_ready(const struct parked *p)
{
	char byte;

	return recv(p->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof byte;
}

/* The mark of who it is to be. */
static struct birth_warm order_of(const struct launcher *l, const struct wire_request *r)
{
	const struct child name = {.id = r->child->id, .generation = r->child->generation};
	struct birth_warm order = {.owns_output = r->spawn->output != WIRE_OUTPUT_GIVEN};

	found_mark(l, &name, order.mark);
	return order;
}

/* The name follows the order: a launcher that is killed between the two leaves what its successor's
 * supervisor takes for parked, and ends. */
static void rename_child(
	struct launcher *l, struct child *c, const struct wire_request *r, struct pipes *pair)
{
	const struct wire_spawn *s = r->spawn;

	warm_forget(l, c);
	memcpy(c->pipe_ino, pair->ino, sizeof c->pipe_ino);
	c->output = (uint8_t)s->output;
	c->out = pair->ends[0];
	c->err = pair->ends[1];
	c->spawn_time = clock_now();
	children_rename(
		l->children, c, r->child, r->name, r->tag, s->name_length, (uint16_t)s->tag_length);
	c->known = true;
	children_tell(l->children, c, NEWS_SPAWNED);
	log_debug("%.*s is pid %d, which was parked", s->name_length, r->name, c->pid);
}

static int give(const struct parked *to, const struct birth_warm *order, const struct packet *p,
	const int stdio[3])
{
	const int fds[] = {p->fds[0], stdio[0], stdio[1], stdio[2]};

	return packet_send(to->fd, WIRE_SPAWN_WARM, 1, &(struct packet_part){order, sizeof *order},
		1, fds, ARRAY_SIZE(fds));
}

void spawn_warm(struct launcher *l, struct packet *p, const struct wire_request *r)
{
	struct child *c = children_find(l->children, &r->warm->parked);
	const struct parked *parked = c && c->state == CHILD_RUNNING ? find(l, c) : NULL;
	const struct birth_warm order = order_of(l, r);
	struct pipes pair;
	int stdio[3];

	if (children_find(l->children, r->child) || children_find_id(l->children, r->child->id)) {
		tell_refused(l, r->child, WIRE_STAGE_REFUSED, EEXIST);
		return;
	}
	if (!parked || !is_ready(parked)) {
		tell_refused(l, r->child, WIRE_STAGE_WARM, parked ? EAGAIN : ESRCH);
		return;
	}
	/* One that begins anew makes sure of it. */
	if (!filter_stands(l)) {
		tell_refused(l, r->child, WIRE_STAGE_WARM, ENONET);
		return;
	}
	int error =
		children_room(l->children, (size_t)r->spawn->name_length + r->spawn->tag_length);
	if (error < 0) {
		tell_refused(l, r->child, WIRE_STAGE_REFUSED, -error);
		return;
	}
	if (!spawn_stdio(l, p, r, &pair, stdio))
		return;
	error = give(parked, &order, p, stdio);
	spawn_close_pair(pair.own);
	if (error < 0) {
		spawn_close_pair(pair.ends);
		tell_refused(l, r->child, WIRE_STAGE_WARM, -error);
		return;
	}
	rename_child(l, c, r, &pair);
}
