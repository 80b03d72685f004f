/* The dyno's own process: all around it is made; what is left is to give up what it has. */
#include "base/caps.h"
#include "base/fd.h"
#include "box/box_private.h"
#include "box/sandbox.h"
#include "spawn/program.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIRECTORY "/app"
#define UMASK	  022
/* No uid is root any more, not even one that becomes 0, and none of this can be undone. */
#define SECURE ((SECURE_ALL_BITS & ~issecure_mask(SECURE_KEEP_CAPS)) | SECURE_ALL_LOCKS)

static void make_session(const struct box *b)
{
	box_must_call(setsid(), WIRE_STAGE_SESSION);
	if (b->terminal < 0)
		return;
	box_must_call(ioctl(b->terminal, TIOCSCTTY, 0), WIRE_STAGE_TERMINAL);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		box_must_call(dup2(b->terminal, fd), WIRE_STAGE_TERMINAL);
}

/* Only ever lowered: more than there is, is what there is. */
static void limit(int resource, uint64_t wanted)
{
	struct rlimit l;

	box_must_call(getrlimit(resource, &l), WIRE_STAGE_LIMITS);
	if (wanted < l.rlim_max)
		l.rlim_max = wanted;
	l.rlim_cur = l.rlim_max;
	box_must_call(setrlimit(resource, &l), WIRE_STAGE_LIMITS);
}

/* A cgroup of the old kind is joined milliseconds after its first instruction, or there is none:
 * this holds from that one on. It is exact, because the kernel counts the tasks of a user per user
 * namespace, and both are this dyno's alone; where init is in it, too, or who passes a network on,
 * it is more. */
static void limit_processes(const struct box *b)
{
	bool init_counts = !b->root || box_skips(b, "userns"),
	     passer_counts =
		     !b->root && b->spec->box.network == SPEC_BOX_NET_OWN && b->settings->passer[0];

	if (!b->cgroup.counts)
		limit(RLIMIT_NPROC, (uint64_t)b->spec->box.processes + init_counts + passer_counts);
}

static void set_limits(const struct box *b)
{
	struct rlimit nofile = b->nofile;

	if (b->spec->has_nofile)
		nofile.rlim_cur =
			b->spec->nofile < nofile.rlim_max ? b->spec->nofile : nofile.rlim_max;
	box_must_call(setrlimit(RLIMIT_NOFILE, &nofile), WIRE_STAGE_LIMITS);
	if (b->spec->has_nproc)
		limit(RLIMIT_NPROC, b->spec->nproc);
	if (b->spec->box.processes)
		limit_processes(b);
	limit(RLIMIT_CORE, 0);
}

/* The number that the kernel does not know ends the list. */
void last_bound(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	if (errno != EINVAL)
		box_fail(WIRE_STAGE_SANDBOX, errno);
	box_must_call(prctl(PR_SET_SECUREBITS, SECURE, 0, 0, 0), WIRE_STAGE_SANDBOX);
}

static void become_user(const struct box *b)
{
	/* Without root, setgroups() is denied for good, and the groups are who we are. */
	if (b->root && !box_skips(b, "groups"))
		box_must_call(setgroups(0, NULL), WIRE_STAGE_GROUPS);
	box_must_call(setresgid(b->gid, b->gid, b->gid), WIRE_STAGE_GROUPS);
	box_must_call(setresuid(b->uid, b->uid, b->uid), WIRE_STAGE_USER);
	if (box_skips(b, "caps"))
		return;
	int r = caps_drop();
	if (r < 0)
		box_fail(WIRE_STAGE_SANDBOX, -r);
}

/* As the user, whose rights count. Where we then are must be in the root that we see: a descriptor
 * or a folder from outside would show as "(unreachable)". */
static void enter_directory(const struct box *b)
{
	char where[PATH_MAX];

	box_must_call(
		chdir(b->spec->directory ? b->spec->directory : DIRECTORY), WIRE_STAGE_DIRECTORY);
	box_must_call((int)syscall(SYS_getcwd, where, sizeof where), WIRE_STAGE_DIRECTORY);
	if (where[0] != '/' && !box_skips(b, "getcwd"))
		box_fail(WIRE_STAGE_DIRECTORY, EXDEV);
}

static void sandbox(void)
{
	int r = sandbox_seccomp();

	if (r < 0)
		box_fail(WIRE_STAGE_SANDBOX, -r);
}

void last_confine(const struct box *b)
{
	static bool done;

	if (done)
		return;
	done = true;
	if (!box_skips(b, "nnp"))
		box_must_call(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), WIRE_STAGE_SANDBOX);
	if (!box_skips(b, "seccomp"))
		sandbox();
}

void last_prepare(const struct box *b)
{
	if (!box_skips(b, "caps"))
		last_bound();
}

void last_become(struct box *b)
{
	sigset_t none;

	make_session(b);
	set_limits(b);
	(void)umask(b->spec->has_umask ? b->spec->umask : UMASK);
	/* While it has a capability: the filter needs one where no_new_privs is left out. */
	last_confine(b);
	become_user(b);
	enter_directory(b);
	if (!box_skips(b, "closefds"))
		fd_from(STDERR_FILENO + 1, false);
	/* What came for the dyno since its fork has waited for this. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	box_fail(WIRE_STAGE_EXEC, program_execute(b->spec));
}
