#include "launcher/tell_private.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

void tell_connect(struct launcher *l, int socket)
{
	l->channel = (struct channel){.socket = socket};
	/* Of what its predecessor knew, the new one learns by asking for the list. */
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		children_told(l->children, c, c->news);
		c->known = false;
	}
}

void tell_disconnect(struct launcher *l)
{
	l->channel.socket = fd_close(l->channel.socket);
	/* Without a wire it is of no use; it sees the end of file and should leave. */
	if (l->keeper.pid > 0)
		l->keeper.kill_at = clock_now() + KEEPER_FAREWELL;
}

bool tell_send(struct launcher *l, enum wire_type type, const struct packet_part *parts,
	unsigned n_parts, const int fds[2])
{
	unsigned n_fds = fds && fds[0] >= 0 ? 2 : 0;
	int r = packet_send(
		l->channel.socket, type, l->channel.sequence + 1, parts, n_parts, fds, n_fds);

	if (r == 0) {
		l->channel.sequence++;
		return true;
	}
	if (r == -EAGAIN) {
		l->channel.blocked = true;
	} else {
		/* Its last words may still wait to be read: the end of file closes this, not we. */
		log_debug("cannot tell the supervisor: %s", err_name(r));
		l->channel.broken = true;
	}
	return false;
}

/* What is due apart from children, lowest bit first. */
static bool send_due(struct launcher *l, unsigned due)
{
	if (due & DUE_HELLO) {
		struct wire_hello body = {.wire_version = WIRE_VERSION,
			.pid = (uint32_t)getpid(),
			.children = children_count(l->children),
			.can = WIRE_CAN_STDIO | WIRE_CAN_NPROC | WIRE_CAN_KEEP |
			       (l->policy->box ? WIRE_CAN_BOX | WIRE_CAN_WARM : 0U)};

		return send_body(l, WIRE_HELLO, &body, sizeof body);
	}
	if (due & DUE_SHUTDOWN) {
		struct wire_shutdown body = {
			.urgency = l->keeper.urgency > 1 ? 2 : 1, .signo = l->keeper.signo};

		return send_body(l, WIRE_SHUTDOWN, &body, sizeof body);
	}
	enum wire_type type = due & DUE_PING	  ? WIRE_PING
			      : due & DUE_RESTART ? WIRE_RESTART
						  : WIRE_LIST_END;

	return tell_send(l, type, NULL, 0, NULL);
}

void tell_flush(struct launcher *l)
{
	struct channel *ch = &l->channel;

	ch->blocked = false;
	if (ch->socket < 0 || ch->broken || !l->keeper.greeted)
		return;
	for (unsigned now; (now = ch->due & (DUE_HELLO | DUE_SHUTDOWN | DUE_PING | DUE_RESTART));) {
		if (!send_due(l, now))
			return;
		ch->due &= ~(now & -now);
	}
	for (; ch->n_refusals > 0; ch->n_refusals--) {
		if (!send_body(l, WIRE_FAILED, &ch->refusals[0], sizeof ch->refusals[0]))
			return;
		memmove(&ch->refusals[0], &ch->refusals[1],
			sizeof ch->refusals[0] * (ch->n_refusals - 1));
	}
	for (struct child *c; (c = children_first_news(l->children));)
		if (!tell_child(l, c))
			return;
	if ((ch->due & DUE_LIST_END) && ch->entries_left == 0 && send_due(l, DUE_LIST_END))
		ch->due &= ~(unsigned)DUE_LIST_END;
}

/* A list asked for while one is under way: those told already are told again, one end follows. */
void tell_list(struct launcher *l)
{
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->acknowledged)
			continue;
		if (!(c->news & NEWS_ENTRY))
			l->channel.entries_left++;
		/* The entry says what these would. */
		children_told(l->children, c, NEWS_SPAWNED | NEWS_LEFT);
		children_tell(l->children, c, NEWS_ENTRY);
		if (c->state == CHILD_ENDED)
			children_tell(l->children, c, NEWS_ENDED);
		c->known = true;
	}
	l->channel.due |= DUE_LIST_END;
}

void tell_refused(
	struct launcher *l, const struct wire_child *child, enum wire_stage stage, int error)
{
	l->channel.refusals[l->channel.n_refusals++] =
		(struct wire_failed){.child = *child, .stage = stage, .error = error};
}

void tell_forget(struct launcher *l, struct child *c)
{
	if (c->news & NEWS_ENTRY)
		l->channel.entries_left--;
}
