/* A command beside a dyno: in all that is the dyno's, with no more than it has.
 *
 *   we         outside: relay of signals and of the terminal, as who the dyno is
 *   its host   our child, inside: waits for the command, ends it and its group when we are gone
 *   command    its child, as the dyno's own process is
 *
 * As long as we have what the dyno has not, nobody inside may look into us (CVE-2016-9962). */
#include "base/fd.h"
#include "box/box_private.h"
#include "box/target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DYNO_PID 2 /* inside: as birth.c has it */
/* What the host gets when we have died. */
#define END_SIGNAL (SIGRTMAX - 1)

static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Descriptor first, questions then: whoever had the number when we asked, it was not another if he
 * is still there. */
static int open_init(struct box *b, int *ret_network)
{
	pid_t target = b->spec->box.target;
	int fd = open_pid(target);

	box_must_call(fd, WIRE_STAGE_NAMESPACES);
	int r = target_check(b, target);
	if (r < 0)
		box_fail(WIRE_STAGE_POLICY, -r);
	r = target_network(target);
	if (r < 0)
		box_fail(WIRE_STAGE_NAMESPACES, -r);
	*ret_network = r;
	box_must_call((int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), WIRE_STAGE_NAMESPACES);
	return fd;
}

struct joining {
	struct target_cgroups cgroups;
	struct pty pty;
	int we; /* a pidfd of ours */
	/* Each opens when the other side has become the user: who has done so before could send it
	 * no signal. */
	struct gate host, command;
};

/* The user namespace of the dyno's own process, and its cgroups: it has made them for itself. */
HSUP_NORETURN static void be_command(struct box *b, struct joining *j)
{
	bool owns_users = b->root && !box_skips(b, "userns");
	int r = target_join_cgroups(&j->cgroups);

	if (r < 0)
		box_fail(WIRE_STAGE_CGROUP, -r);
	j->command.ours = fd_close(j->command.ours);
	int dyno = open_pid(DYNO_PID);
	box_must_call(dyno, WIRE_STAGE_NAMESPACES);
	box_must_call(setns(dyno, CLONE_NEWCGROUP | (owns_users ? CLONE_NEWUSER : 0)),
		WIRE_STAGE_NAMESPACES);
	last_prepare(b);
	last_become(b);
}

/* In a session of its own, else it would get twice what we get. */
HSUP_NORETURN static void be_host(struct box *b, struct joining *j)
{
	static struct pty none = {.master = -1, .peer = -1, .in.from = -1, .out.to = -1};
	struct pollfd gone = {.fd = j->we, .events = POLLIN};
	struct watch watch = {.inside = true, .until = END_SIGNAL, .pty = &none};

	j->host.ours = fd_close(j->host.ours);
	box_must_call(setsid(), WIRE_STAGE_SESSION);
	b->terminal = j->pty.peer;
	gate_make(&j->command);
	pid_t command = fork();
	box_must_call(command, WIRE_STAGE_FORK);
	if (command == 0)
		be_command(b, j);
	watch.leader = command;
	watch.to = -command;
	bool alone = prctl(PR_SET_PDEATHSIG, END_SIGNAL) < 0;
	gate_done(&j->command);
	b->parent = j->we;
	init_drop(b, &none);
	/* A parent that was gone before we asked for the signal has sent none; and to become the
	 * user was to ask again. */
	if (alone || poll(&gone, 1, 0) != 0)
		(void)kill(watch.to, SIGKILL);
	b->parent = fd_close(b->parent);
	watch_run(&watch);
}

void join_run(struct box *b)
{
	static struct joining j;
	int network;
	int init = open_init(b, &network);
	int r = target_open_cgroups(b, &j.cgroups);

	if (r < 0)
		box_fail(WIRE_STAGE_CGROUP, -r);
	box_must_call(j.we = open_pid(getpid()), WIRE_STAGE_BOX);
	pty_find(&j.pty, b);
	(void)prctl(PR_SET_DUMPABLE, 0);
	box_must_call(setns(init, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
					  network | (b->root ? 0 : CLONE_NEWUSER)),
		WIRE_STAGE_NAMESPACES);
	target_find_cgroups(&j.cgroups);
	box_give_output(b);
	pty_open(&j.pty, b);
	gate_make(&j.host);
	pid_t host = fork();
	box_must_call(host, WIRE_STAGE_FORK);
	if (host == 0)
		be_host(b, &j);
	/* The launcher, who is no root, has to be able to read our environment. */
	if (!b->root)
		(void)prctl(PR_SET_DUMPABLE, 1);
	gate_done(&j.host);
	init_drop(b, &j.pty);
	watch_run(&(struct watch){.leader = host, .to = host, .pty = &j.pty});
}
