/* The messages that tell of a child. */
#include "launcher/procs.h"
#include "launcher/tell_private.h"

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
	return tell_send(l, WIRE_SPAWNED, &(struct packet_part){&body, sizeof body}, 1, ends);
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
	return tell_send(l, WIRE_ENTRY, parts, 2, ends);
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

bool tell_child(struct launcher *l, struct child *c)
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
