/* The dyno's network: half of what the kernel does for a start, and nothing that the root needs. So
 * a process of its own makes it beside us: of our pid namespace, so that it dies with us, and gone
 * before the dyno runs. */
#include "base/fd.h"
#include "box/box_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAKER_PID 3 /* never the dyno's */

static int must(int r, enum wire_stage stage)
{
	if (r < 0)
		box_fail(stage, -r);
	return r;
}

/* The pair is made from the machine's network, which the socket stays in. */
HSUP_NORETURN static void make(const struct box *b, struct gate *gate)
{
	gate->theirs = fd_close(gate->theirs);
	int machine = must(link_open(), WIRE_STAGE_NETWORK);
	if (unshare(CLONE_NEWNET) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		box_fail(WIRE_STAGE_NETWORK, errno);
	gate_open(gate, own);
	must(link_make(b, machine, own), WIRE_STAGE_NETWORK);
	must(link_configure(b), WIRE_STAGE_NETWORK);
	_exit(0);
}

void network_begin(const struct box *b, struct network *n)
{
	static const pid_t pid = MAKER_PID;
	/* No signal at its end: init takes one of those for the dyno's. */
	struct clone_args args = {.set_tid = (uintptr_t)&pid, .set_tid_size = 1};

	if (n->kind != SPEC_BOX_NET_OWN)
		return;
	gate_make(&n->gate);
	n->maker = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (n->maker == 0)
		make(b, &n->gate);
	if (n->maker < 0)
		box_fail(WIRE_STAGE_FORK, errno);
}

void network_enter(struct network *n)
{
	if (n->kind == SPEC_BOX_NET_HOST)
		return;
	if (n->kind == SPEC_BOX_NET_NONE) {
		if (unshare(CLONE_NEWNET) < 0)
			box_fail(WIRE_STAGE_NAMESPACES, errno);
		return;
	}
	_cleanup_close_ int netns = gate_wait(&n->gate);
	n->gate.theirs = fd_close(n->gate.theirs);
	if (setns(netns, CLONE_NEWNET) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
}

void network_end(const struct box *b, struct network *n)
{
	int status;

	if (n->kind == SPEC_BOX_NET_NONE)
		must(link_configure(b), WIRE_STAGE_NETWORK);
	if (n->kind != SPEC_BOX_NET_OWN)
		return;
	while (waitpid(n->maker, &status, __WALL) < 0)
		if (errno != EINTR)
			box_fail(WIRE_STAGE_NETWORK, errno);
	if (WIFSIGNALED(status))
		box_fail(WIRE_STAGE_NETWORK, EINTR);
	if (status != 0)
		_exit(WEXITSTATUS(status)); /* it has told why */
}
