/* How the launcher learns of an end before it is the parent that the kernel tells, or where it is
 * none: pidfds of found children, and a pipe for each init of a pid namespace, which says in it
 * that its dyno has ended. Each of them is one child's, so that nobody can tell of another's. */
#include "base/fd.h"
#include "base/log.h"
#include "launcher/found.h"
#include "launcher/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#define AT_ONCE 32

static bool watch(struct launcher *l, struct child *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = children_slot(l->children, c)};

	return c->watched >= 0 && epoll_ctl(l->watch, EPOLL_CTL_ADD, c->watched, &event) == 0;
}

void watch_drop(struct launcher *l, struct child *c)
{
	/* A copy that somebody else has would keep it watched. */
	if (c->watched >= 0)
		(void)epoll_ctl(l->watch, EPOLL_CTL_DEL, c->watched, NULL);
	c->watched = fd_close(c->watched);
}

void watch_take(struct launcher *l, struct child *c, int end)
{
	c->watched = end;
	if (!watch(l, c))
		watch_drop(l, c);
}

int watch_open(struct launcher *l, struct child *c)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	watch_take(l, c, ends[0]);
	return c->watched >= 0 ? ends[1] : fd_close(ends[1]);
}

bool watch_found(struct launcher *l, struct child *c)
{
	c->watched = proc_open(c->pid, c->fork_begun, c->fork_took);
	return watch(l, c);
}

void watch_resume(struct launcher *l)
{
	for (struct child *c = NULL; (c = children_next(l->children, c));) {
		if (c->found && c->state == CHILD_RUNNING && !watch_found(l, c))
			found_gone(l, c);
		/* Without it the reap tells. */
		if (!c->found && c->watched >= 0 && !watch(l, c))
			c->watched = fd_close(c->watched);
	}
}

/* One message, and that is all that is ever taken of it: whoever says that it has ended is not to
 * live on. */
static void take_end(struct launcher *l, struct child *c)
{
	struct box_end end;
	ssize_t n = read(c->watched, &end, sizeof end);

	if (n == (ssize_t)sizeof end && reap_told(l, c, &end)) {
		(void)kill(c->pid, SIGKILL);
		return;
	}
	/* Nonsense, or it has ended without a word: then only the reap is believed. */
	watch_drop(l, c);
}

void watch_serve(struct launcher *l)
{
	struct epoll_event events[AT_ONCE];
	int n = epoll_wait(l->watch, events, AT_ONCE, 0);
	bool found = false;

	for (int i = 0; i < n; i++) {
		struct child *c = children_at(l->children, (unsigned)events[i].data.u64);

		if (c->state != CHILD_RUNNING || c->watched < 0)
			continue;
		if (!c->found) {
			take_end(l, c);
		} else {
			found_gone(l, c);
			found = true;
		}
	}
	if (found)
		reap_look(l);
	tell_flush(l);
}
