/* The dyno's network, half of what the kernel does for a start, its layer on the disk, and the
 * cgroups that are joined late: nothing that the root begins with. So a process of its own makes
 * them beside us: of our pid namespace, so that it dies with us, and gone before the dyno runs. */
#include "base/fd.h"
#include "box/box_private.h"
#include "box/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAKER_PID 3 /* never the dyno's */

/* What of a box is known only after its maker has begun. */
struct known {
	uid_t uid;
	gid_t gid;
	uint32_t machine_address, dyno_address;
	unsigned published, port;
	struct cgroup_layout hierarchies;
};

/* A network namespace with nothing in it, for as long as that takes like one half of all. */
static int make_namespace(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		box_fail(WIRE_STAGE_NETWORK, errno);
	return own;
}

static void hear(struct box *b, const struct gate *gate)
{
	struct known k;

	gate_hear(gate, &k, sizeof k);
	b->uid = k.uid;
	b->gid = k.gid;
	b->machine_address = k.machine_address;
	b->dyno_address = k.dyno_address;
	b->published = k.published;
	b->port = k.port;
	b->hierarchies = k.hierarchies;
}

/* The pair is made from the machine's network, which the socket stays in. */
HSUP_NORETURN static void make(struct box *b, struct gate *gate)
{
	gate->theirs = fd_close(gate->theirs);
	int machine = box_must(link_open(), WIRE_STAGE_NETWORK);
	int filter = b->settings->publish.min ? box_must(nft_open(), WIRE_STAGE_NETWORK) : -1;
	int own = make_namespace();
	hear(b, gate);
	gate_open(gate, own);
	/* What is waited for comes first. */
	box_must(root_layer_make(b), WIRE_STAGE_APP);
	gate_open(gate, -1);
	box_must(link_make(b, machine, own), WIRE_STAGE_NETWORK);
	box_must(link_configure(b), WIRE_STAGE_NETWORK);
	box_must(publish_make(b, filter), WIRE_STAGE_NETWORK);
	box_must(cgroup_make_late(b), WIRE_STAGE_CGROUP);
	_exit(0);
}

/* The first number that the kernel gives out by itself is the dyno's, which is chosen: what passes
 * a network on begins processes before the dyno is there. */
static void use_up_pid(void)
{
	struct clone_args args = {0};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		box_fail(WIRE_STAGE_FORK, errno);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* Whose network it is to be: ours, from here on. */
static void lend(struct gate *gate)
{
	_cleanup_close_ int own = make_namespace();

	gate_open(gate, own);
	gate->ours = fd_close(gate->ours);
	gate->theirs = fd_close(gate->theirs);
}

/* Where few processors are kept busy for the sake of the others, as for a virtual machine, it would
 * begin when we wait for it. It is gone before the dyno runs, and so is this. */
static void move_aside(pid_t pid)
{
	int here = sched_getcpu();
	cpu_set_t set;

	if (here < 0 || sched_getaffinity(0, sizeof set, &set) < 0)
		return;
	CPU_CLR(here, &set);
	if (CPU_COUNT(&set) > 0)
		(void)sched_setaffinity(pid, sizeof set, &set);
}

static bool begin(struct maker *m)
{
	static const pid_t pid = MAKER_PID;
	/* No signal at its end: init takes one of those for the dyno's. */
	struct clone_args args = {.set_tid = (uintptr_t)&pid, .set_tid_size = 1};

	gate_make(&m->gate);
	m->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (m->pid < 0)
		box_fail(WIRE_STAGE_FORK, errno);
	return m->pid == 0;
}

void maker_begin(struct box *b, struct maker *m)
{
	m->helps = b->root && m->network == SPEC_BOX_NET_OWN;
	if (!m->helps)
		return;
	if (begin(m))
		make(b, &m->gate);
	move_aside(m->pid);
}

void maker_go(const struct box *b, struct maker *m)
{
	const struct known k = {
		.uid = b->uid,
		.gid = b->gid,
		.machine_address = b->machine_address,
		.dyno_address = b->dyno_address,
		.published = b->published,
		.port = b->port,
		.hierarchies = b->hierarchies,
	};

	if (m->helps) {
		gate_tell(&m->gate, &k, sizeof k);
		return;
	}
	if (m->network != SPEC_BOX_NET_OWN)
		return;
	use_up_pid();
	if (begin(m))
		b->settings->slirp ? slirp_run(b, &m->gate) : pasta_run(b, &m->gate);
	lend(&m->gate);
}

void maker_alone(const struct box *b, const struct maker *m)
{
	if (m->helps)
		return;
	box_must(root_layer_make(b), WIRE_STAGE_APP);
	if (b->cgroup.n_late > 0)
		box_must(cgroup_make_late(b), WIRE_STAGE_CGROUP);
}

/* It has ended. If it has failed, so do we: it has told why, or could not any more. */
static void reap(const struct maker *m)
{
	int status;

	while (waitpid(m->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			box_fail(WIRE_STAGE_NETWORK, errno);
	if (WIFSIGNALED(status))
		box_fail(WIRE_STAGE_NETWORK, EINTR);
	if (status != 0 && !m->helps && WEXITSTATUS(status) != BOX_TOLD)
		box_fail(WIRE_STAGE_NETWORK, ENONET);
	if (status != 0)
		_exit(WEXITSTATUS(status));
}

/* What it opens the gate with; -1: nothing. */
static int hear_of(struct maker *m)
{
	int fds[GATE_FDS], n = gate_try(&m->gate, fds);

	if (n >= 0)
		return n > 0 ? fds[0] : -1;
	reap(m);
	box_fail(WIRE_STAGE_NETWORK, -n);
}

void maker_enter(struct maker *m)
{
	if (m->network == SPEC_BOX_NET_NONE && unshare(CLONE_NEWNET) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	if (!m->helps)
		return;
	_cleanup_close_ int netns = hear_of(m);
	if (setns(netns, CLONE_NEWNET) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
}

void maker_wait_layer(void *maker)
{
	struct maker *m = maker;

	if (m->helps)
		(void)hear_of(m);
}

void maker_end(const struct box *b, struct maker *m)
{
	if (m->network == SPEC_BOX_NET_NONE)
		box_must(link_configure(b), WIRE_STAGE_NETWORK);
	if (m->network != SPEC_BOX_NET_OWN)
		return;
	m->gate.theirs = fd_close(m->gate.theirs);
	reap(m);
}
