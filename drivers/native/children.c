/* What the launcher says: of dynos, of commands beside them, of sweeps. */
#include "drivers/native/private.h"

#include "base/fd.h"

#include <signal.h>

/* What the driver adds to the supervisor's tag. */
struct native_tag {
	uint32_t port;
	char box[SPEC_BOX_NAME_MAX + 4]; /* with its end, and no padding behind it */
};

int native_tag(const struct native_life *l, const void *tag, size_t tag_len,
	unsigned char ret_tag[LIMIT_TAG])
{
	struct native_tag own = {.port = l->port};

	memcpy(own.box, l->box, sizeof l->box);
	return child_tag(&own, sizeof own, tag, tag_len, ret_tag);
}

static void on_spawned(void *userdata, struct launch_child c, int pid, int out, int err)
{
	struct native *n = userdata;
	struct driver_context *context = n->context;
	struct native_life *l = native_find(n, c.id, c.generation);

	if (child_job_kind(c.id)) {
		(void)fd_close(out);
		(void)fd_close(err);
		return;
	}
	if (l) {
		l->pid = pid;
		native_warm_began(n, l);
	}
	context->events->started(context->userdata, c.id, c.generation, pid, out, err);
	if (l)
		native_look(n);
}

static void job_over(struct native *n, struct launch_child c, const struct dyno_exit *exit)
{
	if (child_job_kind(c.id) == CHILD_PARK) {
		native_warm_ended(n, c);
		return;
	}

	const struct driver_context *context = n->context;
	uint64_t id = child_job_ended(&n->jobs, context->launch, c);

	if (child_job_kind(c.id) == CHILD_SWEEP)
		native_sweep_ended(n, id, exit);
	else if (id && context->events->exec_done)
		context->events->exec_done(context->userdata, id, exit);
}

/* Nothing of it is left that could listen, or read. */
static void life_over(struct native *n, struct launch_child c, struct driver_exit *exit)
{
	const struct driver_context *context = n->context;
	struct native_life *l = native_find(n, c.id, c.generation);

	if (child_job_kind(c.id)) {
		job_over(n, c, &exit->exit);
		return;
	}
	if (l) {
		l->pid = 0;
		native_kind_leave(n, l);
		exit->out_of_memory = native_out_of_memory(n, l);
		/* Its end may be kept for long, until the next life; its files and cgroups not. */
		native_sweep(n, l);
	}
	port_life_ended(&n->ports, c.id, c.generation);
	stdin_dir_remove(&n->stdin_dir, c.id, c.generation);
	context->events->exited(context->userdata, c.id, c.generation, exit);
}

static void on_failed(void *userdata, struct launch_child c, unsigned stage, int error)
{
	struct driver_exit exit = child_failure(stage, error);
	struct native_life *l = native_find(userdata, c.id, c.generation);

	if (!l || !native_warm_refused(userdata, l, stage))
		life_over(userdata, c, &exit);
}

static void on_exited(void *userdata, const struct wire_exited *x)
{
	struct driver_exit exit = child_exit(x);

	life_over(userdata, (struct launch_child){x->child.id, x->child.generation}, &exit);
}

static void on_left(void *userdata, struct launch_child c)
{
	const struct driver_context *context = ((struct native *)userdata)->context;

	if (!child_job_kind(c.id))
		context->events->left(context->userdata, c.id, c.generation);
}

/* Of one that has ended the end follows. A sweep is let run; a command is ended: if that fails, it
 * runs to its own end. */
static void job_found(struct native *n, struct launch_entry *entry)
{
	(void)fd_close(entry->out);
	(void)fd_close(entry->err);
	if (child_job_kind(entry->child.id) == CHILD_PARK) {
		struct native_tag tag = {0};
		(void)child_entry(entry, &tag, sizeof tag);
		tag.box[SPEC_BOX_NAME_MAX] = '\0';
		native_warm_found(n, entry->child, tag.box);
	} else if (child_job_kind(entry->child.id) == CHILD_EXEC) {
		int r = launch_signal(n->context->launch, entry->child, SIGKILL);
		(void)r;
	}
}

/* Without room its box is left to a later sweep of all. */
static void remember(
	struct native *n, const struct driver_entry *found, const struct native_tag *tag)
{
	struct native_life *l;

	if (native_add(n, found->id, found->generation, NULL, tag->box, &l) < 0)
		return;
	l->pid = found->ended ? 0 : found->pid;
	l->port = tag->port;
	unsigned port = native_shares_ports(n) ? tag->port : 0;
	int r = port_life_adopt(&n->ports, found->id, found->generation, port, found->ended);
	(void)r;
}

static void on_entry(void *userdata, struct launch_entry *entry)
{
	struct native *n = userdata;
	struct native_tag tag = {0};

	if (child_is_kept(entry))
		return;
	if (child_job_kind(entry->child.id)) {
		job_found(n, entry);
		return;
	}
	struct driver_entry found = child_entry(entry, &tag, sizeof tag);
	tag.box[SPEC_BOX_NAME_MAX] = '\0';
	if (tag.box[0])
		remember(n, &found, &tag);
	n->context->events->adopted(n->context->userdata, &found);
}

/* What a crash has left is collected when the ends of what had ended are told: they are looked up
 * in what would be removed. A `run` leaves that to who stays. */
static void on_list_end(void *userdata)
{
	struct native *n = userdata;

	if (n->context->lasts) {
		native_stacks_load(n);
		native_sweep_all(n);
		native_tell_missing(n);
	}
	n->context->events->adopt_done(n->context->userdata, 0);
}

const struct launch_child_events native_child_events = {
	.spawned = on_spawned,
	.failed = on_failed,
	.left = on_left,
	.exited = on_exited,
	.entry = on_entry,
	.list_end = on_list_end,
};
