/* Pid 1 of a dyno: never executed anew, so that its memory is what it shares with others of its
 * kind. Soon after its dyno runs it may do nothing that the dyno may not. */
#include "base/caps.h"
#include "base/fd.h"
#include "box/box_private.h"
#include "box/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a dyno runs before it joins the cgroups of the old kind. */
#define SHORT_LIFE_NS 3000000

bool init_ended(pid_t dyno)
{
	siginfo_t ended = {0};

	return waitid(P_PID, (id_t)dyno, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       ended.si_pid == dyno;
}

/* Writing a process into one stalls for milliseconds on an idle machine: nobody waits for it, least
 * of all a dyno that is gone before. True: it is. */
static bool join_late(struct box *b, pid_t dyno)
{
	static const struct timespec wait = {.tv_nsec = SHORT_LIFE_NS};
	sigset_t child;

	if (b->cgroup.n_late > 0) {
		(void)sigemptyset(&child);
		(void)sigaddset(&child, SIGCHLD);
		(void)sigtimedwait(&child, NULL, &wait);
	}
	if (init_ended(dyno))
		return true;
	int r = cgroup_join_late(&b->cgroup);
	cgroup_close(&b->cgroup);
	if (init_ended(dyno))
		return true;
	/* Without its limits it is not to run. */
	if (r < 0)
		box_fail(WIRE_STAGE_CGROUP, -r);
	return false;
}

void box_close_others(int *kept, size_t n)
{
	int next = STDERR_FILENO + 1;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i; j > 0 && kept[j] < kept[j - 1]; j--) {
			int lower = kept[j];

			kept[j] = kept[j - 1];
			kept[j - 1] = lower;
		}
	for (size_t i = 0; i < n; i++) {
		if (kept[i] > next)
			(void)syscall(SYS_close_range, next, kept[i] - 1, 0);
		if (kept[i] >= next)
			next = kept[i] + 1;
	}
	fd_from(next, false);
}

/* 1 and 2 stay: whoever has to find the dyno's output again finds it here. Its input does not: its
 * writer is to see when the dyno has closed it. */
static void close_others(const struct box *b, const struct pty *p)
{
	int kept[] = {b->uid_lock, b->claim, b->layer_lock, b->stack_lock, b->end, b->parent,
		p->master, p->peer, p->in.from, p->out.to};

	box_close_others(kept, ARRAY_SIZE(kept));
	if (p->master < 0)
		(void)close(STDIN_FILENO);
}

/* A process of the same user could trace us, and do through us what its filter refuses, if we did
 * not have a capability that it has not. We cannot use it: it is not effective. */
static int keep_one(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct one[_LINUX_CAPABILITY_U32S_3] = {
		{.permitted = 1U << CAP_KILL},
	};

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, one) < 0 ? -errno : 0;
}

static void drop_user(const struct box *b)
{
	int with_parent = 0, r;

	(void)prctl(PR_GET_PDEATHSIG, &with_parent);
	last_bound();
	if (b->root) {
		box_must_call(setgroups(0, NULL), WIRE_STAGE_GROUPS);
		box_must_call(setresgid(b->gid, b->gid, b->gid), WIRE_STAGE_GROUPS);
		box_must_call(setresuid(b->uid, b->uid, b->uid), WIRE_STAGE_USER);
		r = caps_drop();
		if (!box_skips(b, "dumpable"))
			(void)prctl(PR_SET_DUMPABLE, 0);
		else
			(void)prctl(PR_SET_DUMPABLE, 1);
	} else {
		/* Our launcher, who is no root either, has to be able to read our environment. */
		r = keep_one();
	}
	if (r < 0)
		box_fail(WIRE_STAGE_SANDBOX, -r);
	/* Which a change of ids has made it forget. */
	if (with_parent)
		(void)prctl(PR_SET_PDEATHSIG, with_parent);
}

void init_drop(struct box *b, struct pty *p)
{
	drop_user(b);
	close_others(b, p);
	box_must_call(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), WIRE_STAGE_SANDBOX);
	int r = sandbox_seccomp();
	if (r < 0)
		box_fail(WIRE_STAGE_SANDBOX, -r);
	box_forget(b);
}

void init_run(struct box *b, pid_t pid, struct gate *gate, struct pty *pty)
{
	const struct watch watch = {
		.leader = pid,
		.to = -1,
		.inside = true,
		.box = b,
		.pty = pty,
	};

	/* When it has ended, what it left running is killed next: there is nobody any more to drop
	 * privileges for, which takes half a millisecond. */
	if (!join_late(b, pid) || pty->master >= 0) {
		gate_done(gate);
		init_drop(b, pty);
	}
	watch_run(&watch);
}
