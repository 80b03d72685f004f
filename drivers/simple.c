/* Plain processes through the launcher: the environment only, no root needed.
 *
 * What the driver adds to the supervisor's tag is the port, so that an adopted dyno's port is not
 * given to another. */
#include "drivers/simple_private.h"

#include "base/fd.h"
#include "drivers/environment.h"

#include <errno.h>

struct simple_tag {
	uint32_t port;
	uint32_t reserved;
};

/* ---- what the launcher says ---- */

static void on_spawned(void *userdata, struct launch_child c, int pid, int out, int err)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	if (child_job_kind(c.id)) {
		(void)fd_close(out);
		(void)fd_close(err);
		return;
	}
	context->events->started(context->userdata, c.id, c.generation, pid, out, err);
}

/* Nothing of it is left that could listen, or read. */
static void life_ended(struct simple *s, struct launch_child c)
{
	port_life_ended(&s->lives, c.id, c.generation);
	stdin_dir_remove(&s->stdin_dir, c.id, c.generation);
}

static void on_failed(void *userdata, struct launch_child c, unsigned stage, int error)
{
	struct simple *s = userdata;
	struct driver_context *context = s->context;
	struct driver_exit exit = child_failure(stage, error);

	if (child_job_kind(c.id)) {
		simple_exec_ended(s, c, &exit.exit);
		return;
	}
	life_ended(s, c);
	context->events->exited(context->userdata, c.id, c.generation, &exit);
}

static void on_left(void *userdata, struct launch_child c)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	if (!child_job_kind(c.id))
		context->events->left(context->userdata, c.id, c.generation);
}

static void on_exited(void *userdata, const struct wire_exited *x)
{
	struct simple *s = userdata;
	struct driver_context *context = s->context;
	struct driver_exit exit = child_exit(x);
	const struct launch_child c = {x->child.id, x->child.generation};

	if (child_job_kind(c.id)) {
		simple_exec_ended(s, c, &exit.exit);
		return;
	}
	life_ended(s, c);
	context->events->exited(context->userdata, c.id, c.generation, &exit);
}

static void on_entry(void *userdata, struct launch_entry *entry)
{
	struct simple *s = userdata;
	struct simple_tag tag = {0};

	if (child_is_kept(entry))
		return;
	if (child_job_kind(entry->child.id)) {
		simple_exec_found(s, entry);
		return;
	}
	struct driver_entry found = child_entry(entry, &tag, sizeof tag);
	int r = port_life_adopt(&s->lives, found.id, found.generation, tag.port, found.ended);
	(void)r;
	s->context->events->adopted(s->context->userdata, &found);
}

static void on_list_end(void *userdata)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	context->events->adopt_done(context->userdata, 0);
}

static const struct launch_child_events child_events = {
	.spawned = on_spawned,
	.failed = on_failed,
	.left = on_left,
	.exited = on_exited,
	.entry = on_entry,
	.list_end = on_list_end,
};

/* ---- what the supervisor asks ---- */

int simple_open(struct driver_context *context, void **ret_state, struct err *err)
{
	_cleanup_free_ struct simple *s = calloc(1, sizeof *s);

	if (!s)
		return err_errno(err, -ENOMEM, "simple driver");
	s->context = context;
	s->launch = context->launch;
	child_jobs_begin(&s->jobs);
	stdin_dir_begin(&s->stdin_dir, context->stdin_dir);
	launch_listen(s->launch, &child_events, s);
	*ret_state = TAKE_PTR(s);
	return 0;
}

/* A launcher that is older than we are would not understand it. */
static int check_launcher(const struct simple *s, const struct process *p, struct err *err)
{
	unsigned can = launch_can(s->launch);
	const char *wanted = p->redirect_stderr && !(can & WIRE_CAN_STDIO) ? "RedirectStderr"
			     : p->stdin_open && !(can & WIRE_CAN_STDIO)	   ? "Stdin"
			     : p->processes && !(can & WIRE_CAN_NPROC)	   ? "Limits.Processes"
									   : NULL;

	if (!wanted)
		return 0;
	return err_set(err, -EOPNOTSUPP,
		"%s: the launcher that runs is too old for it; `hsup upgrade` replaces it", wanted);
}

static int order(struct simple *s, const struct driver_start *start, unsigned port, struct err *err)
{
	struct launch_child child = {.id = start->id, .generation = start->generation};
	struct launch_stdio stdio = {
		.given = start->stdio, .in = -1, .merged = start->process->redirect_stderr};
	unsigned char tag[LIMIT_TAG];

	const struct simple_tag own = {.port = port};
	int tag_len = child_tag(&own, sizeof own, start->tag, start->tag_len, tag);
	if (tag_len < 0)
		return err_errno(err, tag_len, "tag");
	int r = check_launcher(s, start->process, err);
	if (r < 0)
		return r;
	_cleanup_close_ int spec = simple_compose(s, start, port, err);
	if (spec < 0)
		return spec;
	_cleanup_close_ int in = -1;
	if (start->process->stdin_open && !start->stdio) {
		in = stdin_dir_make(&s->stdin_dir, child.id, child.generation);
		if (in < 0)
			return err_errno(err, in, "Stdin");
	}
	stdio.in = in;
	r = launch_spawn(s->launch, child, start->name, tag, (size_t)tag_len, spec, &stdio);
	if (r < 0) {
		stdin_dir_remove(&s->stdin_dir, child.id, child.generation);
		return err_errno(err, r, "order to the launcher");
	}
	return 0;
}

int simple_start(void *state, const struct driver_start *start, struct err *err)
{
	struct simple *s = state;
	unsigned port = 0;

	if (!start->only_one || !environment_var(start, "PORT")) {
		port = port_life_choose(&s->lives, start);
		if (port == 0)
			return err_set(err, -EADDRINUSE, "no port from %u on is free",
				port_wish(start->type_index, start->instance));
	}
	int r = port_life_add(&s->lives, start->id, start->generation, port);
	if (r < 0) {
		port_give_back(&s->lives.ports, port);
		return err_errno(err, r, "port");
	}
	r = order(s, start, port, err);
	if (r < 0)
		port_life_remove(&s->lives, start->id, start->generation);
	return r;
}

int simple_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct simple *s = state;

	return launch_signal(s->launch, (struct launch_child){id, generation}, signo);
}

int simple_retag(void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len)
{
	struct simple *s = state;
	const struct port_life *l = port_life_find(&s->lives, id, generation);
	unsigned char whole[LIMIT_TAG];

	const struct simple_tag own = {.port = l ? l->port : 0};
	int len = child_tag(&own, sizeof own, tag, tag_len, whole);
	if (len < 0)
		return len;
	return launch_tag(s->launch, (struct launch_child){id, generation}, whole, (size_t)len);
}

int simple_release(void *state, uint64_t id, uint32_t generation)
{
	struct simple *s = state;

	port_life_remove(&s->lives, id, generation);
	return launch_ack(s->launch, (struct launch_child){id, generation});
}

int simple_adopt(void *state)
{
	struct simple *s = state;

	return launch_list(s->launch);
}

bool simple_address(
	void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address)
{
	const struct simple *s = state;
	const struct port_life *l = port_life_find(&s->lives, id, generation);

	*ret_address = (struct driver_address){.port = l ? l->port : 0};
	return ret_address->port != 0;
}

int simple_open_stdin(void *state, uint64_t id, uint32_t generation)
{
	const struct simple *s = state;

	return stdin_dir_open(&s->stdin_dir, id, generation);
}

void simple_close(void *state)
{
	struct simple *s = state;

	launch_listen(s->launch, NULL, NULL);
	stdin_dir_end(&s->stdin_dir);
	child_jobs_end(&s->jobs);
	spec_builder_done(&s->spec);
	account_done(&s->account);
	free(s->lives.lives);
	free(s);
}

const struct driver driver_simple = {
	.name = "simple",
	.summary = "plain processes with the app's environment; no root needed",
	.open = simple_open,
	.start = simple_start,
	.signal = simple_signal,
	.retag = simple_retag,
	.release = simple_release,
	.adopt = simple_adopt,
	.address = simple_address,
	.open_stdin = simple_open_stdin,
	.exec = simple_exec,
	.exec_kill = simple_exec_kill,
	.close = simple_close,
};
