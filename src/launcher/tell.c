#include "launcher/launcher.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/procs.h"
#include "wire/packet.h"

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

/* False when no more can be sent now. */
static bool send_parts(struct launcher *l, enum wire_type type, const struct packet_part *parts,
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

static bool send_body(struct launcher *l, enum wire_type type, const void *body, size_t size)
{
	return send_parts(l, type, &(struct packet_part){body, size}, 1, NULL);
}

static struct wire_child name_of(const struct child *c)
{
	return (struct wire_child){.id = c->id, .generation = c->generation};
}

static uint64_t start_time(int32_t pid)
{
	struct proc p;

	return proc_read(pid, &p) ? p.ticks : 0;
}

static void read_ends(const struct launcher *l, const struct child *c, int ret_ends[2])
{
	ret_ends[0] = c->out;
	ret_ends[1] = c->out >= 0 && c->output == WIRE_OUTPUT_MERGED ? l->null : c->err;
}

static bool send_spawned(struct launcher *l, const struct child *c)
{
	struct wire_spawned body = {.child = name_of(c), .pid = c->pid, .output = c->output};
	int ends[2];

	read_ends(l, c, ends);
	return send_parts(l, WIRE_SPAWNED, &(struct packet_part){&body, sizeof body}, 1, ends);
}

static bool send_entry(struct launcher *l, const struct child *c)
{
	static const uint16_t states[] = {
		[CHILD_RUNNING] = WIRE_ENTRY_RUNNING,
		[CHILD_LEFT] = WIRE_ENTRY_LEFT,
		[CHILD_ENDED] = WIRE_ENTRY_EXITED,
		[CHILD_KEPT] = WIRE_ENTRY_KEPT,
	};
	char text[LIMIT_NAME + LIMIT_TAG];
	struct wire_entry body = {
		.child = name_of(c),
		.pid = c->pid,
		.state = states[c->state],
		.output = c->output,
		.start_time = c->state == CHILD_RUNNING ? start_time(c->pid) : 0,
		.spawn_time = c->spawn_time,
		.name_length = c->text.name_length,
		.tag_length = c->text.tag_length,
	};
	const struct packet_part parts[] = {
		{&body, sizeof body},
		{text, (size_t)c->text.name_length + c->text.tag_length},
	};

	int ends[2];

	children_text(l->children, c, text);
	read_ends(l, c, ends);
	return send_parts(l, WIRE_ENTRY, parts, 2, ends);
}

static void told_end(struct launcher *l, struct child *c)
{
	children_told(l->children, c, NEWS_ENDED | NEWS_LEFT);
}

static bool send_failed(struct launcher *l, struct child *c)
{
	struct wire_failed body = {
		.child = name_of(c), .stage = c->failure.stage, .error = c->failure.error};

	if (!send_body(l, WIRE_FAILED, &body, sizeof body))
		return false;
	told_end(l, c);
	return true;
}

/* The next of whose news only the exit is left. */
static bool only_exited(const struct child *c)
{
	return c && !c->failure.stage && (c->news & NEWS_ENDED) &&
	       !(c->news & (NEWS_SPAWNED | NEWS_ENTRY));
}

/* Of this child, and of those behind it in the list of news that have nothing else to tell. */
static bool send_exits(struct launcher *l, struct child *c)
{
	struct wire_exited bodies[WIRE_RECORDS];
	struct child *told[WIRE_RECORDS];
	unsigned n = 0;

	for (; n < WIRE_RECORDS && only_exited(c); c = children_next_news(l->children, c)) {
		told[n] = c;
		bodies[n++] = (struct wire_exited){
			.child = name_of(c),
			.status = c->status,
			.exit_time = c->exit_time,
			.user_usec = c->user_usec,
			.system_usec = c->system_usec,
			.max_rss_kb = c->max_rss_kb,
		};
	}
	if (!send_body(l, WIRE_EXITED, bodies, n * sizeof *bodies))
		return false;
	for (unsigned i = 0; i < n; i++)
		told_end(l, told[i]);
	return true;
}

/* One piece of news of a child. */
static bool send_news(struct launcher *l, struct child *c)
{
	if (c->news & NEWS_SPAWNED) {
		if (!send_spawned(l, c))
			return false;
		children_told(l->children, c, NEWS_SPAWNED);
	} else if (c->news & NEWS_ENTRY) {
		if (!send_entry(l, c))
			return false;
		l->channel.entries_left--;
		/* An entry has told that it was left. */
		children_told(l->children, c, NEWS_ENTRY | NEWS_LEFT);
	} else if (c->news & NEWS_ENDED) {
		return c->failure.stage ? send_failed(l, c) : send_exits(l, c);
	} else {
		struct wire_child body = name_of(c);

		if (!send_body(l, WIRE_LEFT, &body, sizeof body))
			return false;
		children_told(l->children, c, NEWS_LEFT);
	}
	return true;
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

	return send_parts(l, type, NULL, 0, NULL);
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
		if (!send_news(l, c))
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
