#include "launcher/found_private.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For the old supervisor, from the end of its wire to its own. */
#define SUPERVISOR_LEAVES 1000 /* ms */
#define SUPERVISOR_DIES	  5000

void found_mark(const struct launcher *l, const struct child *c, char ret_mark[BIRTH_MARK_SIZE])
{
	(void)snprintf(ret_mark, BIRTH_MARK_SIZE, "HSUP_CHILD=%016llx.%llu.%u",
		(unsigned long long)children_table(l->children)->table->key,
		(unsigned long long)c->id, c->generation);
}

bool found_member(const struct proc *p, const struct search *s)
{
	return (!s->group || p->group == s->group) && p->state != 'Z' &&
	       proc_marked(p->pid, s->mark) && (!s->init || proc_is_init(p->pid));
}

static bool find_member(const struct proc *p, void *userdata)
{
	struct search *s = userdata;

	if (!found_member(p, s))
		return true;
	s->found = *p;
	return false;
}

bool found_group_lives(const struct launcher *l, const struct child *c)
{
	char mark[BIRTH_MARK_SIZE];
	struct search s = {.mark = mark, .group = c->pid};

	found_mark(l, c, mark);
	procs_each(find_member, &s);
	return s.found.pid != 0;
}

void found_gone(struct launcher *l, struct child *c)
{
	watch_drop(l, c);
	c->status = WIRE_STATUS_UNKNOWN;
	c->exit_time = clock_now();
	children_set_state(l->children, c, CHILD_LEFT);
}

static void take_one(struct launcher *l, struct child *c)
{
	children_set_found(l->children, c);
	c->left_told = false;
	c->watched = -1; /* the number was that of a descriptor of who was killed */
	if (c->state == CHILD_RUNNING && !watch_found(l, c))
		found_gone(l, c);
	found_output(l, c);
}

/* Its launcher was killed around the fork: if there is a process, only the mark tells. */
static void find_unborn(struct launcher *l, struct child *c)
{
	char mark[BIRTH_MARK_SIZE];
	struct search s = {.mark = mark, .init = c->boxed};

	found_mark(l, c, mark);
	procs_each(find_member, &s);
	if (!s.found.pid) {
		children_remove(l->children, c);
		return;
	}
	/* Its leader, if it is one; the fork was in the middle of its tick at the earliest. */
	c->fork_took = UINT32_MAX;
	children_forked(l->children, c, c->boxed ? s.found.pid : s.found.group);
	take_one(l, c);
}

static void end_old_supervisor(const struct table *t)
{
	_cleanup_close_ int fd =
		proc_open(t->supervisor, t->supervisor_forked, (uint32_t)NSEC_PER_SEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0 || poll(&p, 1, SUPERVISOR_LEAVES) == 1)
		return;
	log_warning(
		"the supervisor (pid %d) of a launcher that is gone stays: killed", t->supervisor);
	(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	(void)poll(&p, 1, SUPERVISOR_DIES);
}

void found_take(struct launcher *l)
{
	unsigned running = 0, ended = 0, kept = 0;

	end_old_supervisor(children_table(l->children)->table);
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->state == CHILD_FORKING) {
			find_unborn(l, c);
		} else if (c->state == CHILD_KEPT) {
			children_remove(l->children, c);
			kept++;
		} else if (c->acknowledged) {
			children_set_found(l->children, c);
			children_remove(l->children, c);
		} else {
			take_one(l, c);
		}
	}
	if (kept > 0) {
		log_warning("the output of %u kept for others went with a launcher that was killed",
			kept);
		/* Whoever runs them, they may run. */
		l->keeper.ever_greeted = true;
	}
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->state == CHILD_LEFT && !found_group_lives(l, c))
			children_set_state(l->children, c, CHILD_ENDED);
		if (c->state == CHILD_ENDED)
			ended++;
		else
			running++;
	}
	l->look_at = clock_now(); /* for what was left */
	if (running + ended > 0)
		log_info("found %u process%s of a launcher that was killed, and %u that ha%s ended",
			running, running == 1 ? "" : "es", ended, ended == 1 ? "s" : "ve");
}
