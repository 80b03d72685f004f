/* Commands beside a dyno: hsup-box enters its namespaces. */
#include "drivers/native/private.h"

#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

int native_exec(void *state, const struct driver_exec *exec, struct err *err)
{
	struct native *n = state;
	const struct driver_start *dyno = exec->beside;
	const struct native_life *l = native_find(n, dyno->id, dyno->generation);
	char name[LIMIT_NAME + 1];

	if (!l || l->pid == 0)
		return err_set(err, -ESRCH, "%s does not run", dyno->name);
	_cleanup_close_ int spec = native_compose_exec(n, exec, l, err);
	if (spec < 0)
		return spec;
	(void)snprintf(name, sizeof name, "%.73s.check", dyno->name);
	return child_job_order(&n->jobs, n->context->launch,
		child_job(&n->jobs, CHILD_EXEC, exec->id), name, spec, err);
}

int native_exec_kill(void *state, uint64_t id)
{
	struct native *n = state;

	return launch_signal(n->context->launch, child_job(&n->jobs, CHILD_EXEC, id), SIGKILL);
}
