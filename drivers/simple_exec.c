/* Commands beside a dyno: children of the launcher like dynos, but nobody's to adopt. Their ids
 * have a bit that no dyno's has, by which a later supervisor knows them and has them killed. */
#include "drivers/simple_private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#define EXEC_BIT (UINT64_C(1) << 63)

bool simple_is_exec(uint64_t id)
{
	return id & EXEC_BIT;
}

/* An id is not given again while the launcher may still know it from an earlier supervisor. */
static struct launch_child child_of(struct simple *s, uint64_t id)
{
	if (s->first_exec == 0)
		s->first_exec = clock_now() / NSEC_PER_USEC;
	return (struct launch_child){.id = EXEC_BIT | (s->first_exec + id), .generation = 1};
}

int simple_exec(void *state, const struct driver_exec *exec, struct err *err)
{
	struct simple *s = state;
	const struct driver_start *dyno = exec->beside;
	const struct port_life *l = port_life_find(&s->lives, dyno->id, dyno->generation);
	char name[LIMIT_NAME + 1];

	if (s->null < 0)
		s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null < 0)
		return err_errno(err, -errno, "/dev/null");
	_cleanup_close_ int spec = simple_compose_exec(s, exec, l ? l->port : 0, err);
	if (spec < 0)
		return spec;
	(void)snprintf(name, sizeof name, "%.73s.check", dyno->name);
	const struct launch_stdio nowhere = {.given = (const int[3]){s->null, s->null, s->null}};
	int r = launch_spawn(s->launch, child_of(s, exec->id), name, "", 0, spec, &nowhere);
	return r < 0 ? err_errno(err, r, "order to the launcher") : 0;
}

int simple_exec_kill(void *state, uint64_t id)
{
	struct simple *s = state;

	return launch_signal(s->launch, child_of(s, id), SIGKILL);
}

void simple_exec_ended(struct simple *s, struct launch_child c, const struct dyno_exit *exit)
{
	const struct driver_context *context = s->context;

	/* If this fails, what stays is an entry that the next supervisor acknowledges. */
	int r = launch_ack(s->launch, c);
	(void)r;
	c.id &= ~EXEC_BIT;
	if (s->first_exec > 0 && c.id > s->first_exec && context->events->exec_done)
		context->events->exec_done(context->userdata, c.id - s->first_exec, exit);
}

void simple_exec_found(struct simple *s, struct launch_entry *entry)
{
	(void)fd_close(entry->out);
	(void)fd_close(entry->err);
	/* Of one that has ended the end follows. If this fails, it runs to its own end. */
	int r = launch_signal(s->launch, entry->child, SIGKILL);
	(void)r;
}
