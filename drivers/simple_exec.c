/* Commands beside a dyno. */
#include "drivers/simple_private.h"

#include "base/fd.h"

#include <signal.h>
#include <stdio.h>

int simple_exec(void *state, const struct driver_exec *exec, struct err *err)
{
	struct simple *s = state;
	const struct driver_start *dyno = exec->beside;
	const struct port_life *l = port_life_find(&s->lives, dyno->id, dyno->generation);
	char name[LIMIT_NAME + 1];

	_cleanup_close_ int spec = simple_compose_exec(s, exec, l ? l->port : 0, err);
	if (spec < 0)
		return spec;
	(void)snprintf(name, sizeof name, "%.73s.check", dyno->name);
	return child_job_order(
		&s->jobs, s->launch, child_job(&s->jobs, CHILD_EXEC, exec->id), name, spec, err);
}

int simple_exec_kill(void *state, uint64_t id)
{
	struct simple *s = state;

	return launch_signal(s->launch, child_job(&s->jobs, CHILD_EXEC, id), SIGKILL);
}

void simple_exec_ended(struct simple *s, struct launch_child c, const struct dyno_exit *exit)
{
	const struct driver_context *context = s->context;
	uint64_t id = child_job_ended(&s->jobs, s->launch, c);

	if (id && context->events->exec_done)
		context->events->exec_done(context->userdata, id, exit);
}

void simple_exec_found(struct simple *s, struct launch_entry *entry)
{
	(void)fd_close(entry->out);
	(void)fd_close(entry->err);
	/* Of one that has ended the end follows. If this fails, it runs to its own end. */
	int r = launch_signal(s->launch, entry->child, SIGKILL);
	(void)r;
}
