/* The process of a box that nobody has ordered yet: forked, and hsup-box already, for which a start
 * would have to wait. It has nothing, is nobody's, and is not in the table: without us it ends.
 * There is one, once there was a box, and it is made again when it is quiet. */
#include "launcher/launcher.h"

#include "base/clock.h"
#include "base/fd.h"
#include "launcher/found.h"
#include "launcher/procs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Those that are being born, and who has ordered them, are to run first. */
#define QUIET (5 * NSEC_PER_MSEC)

static void forget(struct reserve *s)
{
	s->pid = 0;
	s->socket = fd_close(s->socket);
	s->end = fd_close(s->end);
}

void reserve_want(struct launcher *l)
{
	l->reserve.make_at = clock_now() + QUIET;
}

void reserve_make(struct launcher *l)
{
	struct birth b = spawn_birth(l);
	int order[2], end[2];

	if (l->reserve.pid || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, order) < 0)
		return;
	if (pipe2(end, O_CLOEXEC | O_NONBLOCK) < 0) {
		spawn_close_pair(order);
		return;
	}
	_cleanup_close_ int theirs = order[1], their_end = end[1],
			    parent = b.parent ? (int)syscall(SYS_pidfd_open, b.parent, 0) : -1;
	b.spec = theirs;
	b.stdio[0] = b.stdio[1] = b.stdio[2] = l->null;
	b.box.first = b.box.reserve = true;
	b.box.end = their_end;
	b.box.parent = parent;
	l->reserve.fork_begun = clock_boot();
	pid_t pid = spawn_fork_init();
	if (pid == 0)
		stages_run_reserve(&b);
	l->reserve.fork_took = spawn_took(l->reserve.fork_begun);
	l->reserve.socket = order[0];
	l->reserve.end = end[0];
	l->reserve.pid = pid;
	if (pid < 0)
		forget(&l->reserve);
}

/* It has said so, and its end of the socket is not closed. */
static bool is_ready(const struct reserve *s)
{
	struct pollfd p = {.fd = s->socket, .events = POLLIN};

	return s->pid && poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

pid_t reserve_lend(struct launcher *l, struct child *c)
{
	struct reserve *s = &l->reserve;

	if (!is_ready(s))
		return 0;
	c->fork_begun = s->fork_begun;
	c->fork_took = s->fork_took;
	watch_take(l, c, TAKE_FD(s->end));
	return s->pid;
}

int reserve_order(struct launcher *l, const struct birth *b)
{
	const int fds[] = {b->spec, b->stdio[0], b->stdio[1], b->stdio[2]};
	struct birth_warm order = {.owns_output = b->owns_output, .slot = b->box.slot};
	pid_t pid = l->reserve.pid;

	memcpy(order.mark, b->mark, sizeof order.mark);
	int r = packet_send(l->reserve.socket, WIRE_SPAWN_BOX, 1,
		&(struct packet_part){&order, sizeof order}, 1, fds, ARRAY_SIZE(fds));
	if (r < 0)
		(void)kill(pid, SIGKILL);
	forget(&l->reserve);
	return r;
}

bool reserve_reaped(struct launcher *l, pid_t pid)
{
	if (!pid || pid != l->reserve.pid)
		return false;
	forget(&l->reserve);
	return true;
}

void reserve_drop(struct launcher *l)
{
	pid_t pid = l->reserve.pid;

	l->reserve.make_at = 0;
	if (!pid)
		return;
	forget(&l->reserve);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}
