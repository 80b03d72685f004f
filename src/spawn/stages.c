#include "spawn/stages.h"

#include "base/caps.h"
#include "spawn/program.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Some 40 KB of pointers: static, because the stack of a child is no place for it. Only the child's
 * copy is ever written. */
static struct spec spec;

HSUP_NORETURN static void fail(const struct birth *b, enum wire_stage stage, int error)
{
	b->failure->error = error;
	b->failure->stage = stage;
	_exit(127);
}

static void read_spec(const struct birth *b)
{
	void *text;
	size_t size;
	int r = program_read(b->spec, &spec, &text, &size);

	if (r < 0)
		fail(b, WIRE_STAGE_SPEC, -r);
	r = policy_check(b->policy, &spec, b->box.first);
	if (r > 0)
		fail(b, WIRE_STAGE_POLICY, r);
}

static void make_session(const struct birth *b)
{
	if (spec.session == SPEC_SESSION_FOREGROUND) {
		/* A job in the background may not take the terminal from its shell. */
		bool foreground =
			b->box.first ? b->box.foreground : tcgetpgrp(b->stdio[0]) == getpgrp();

		if (setpgid(0, 0) < 0)
			fail(b, WIRE_STAGE_SESSION, errno);
		/* SIGTTOU is blocked, so a background group may do this. ENOTTY: no terminal, or
		 * not the one that controls us: nothing to take. */
		if (foreground && tcsetpgrp(b->stdio[0], getpid()) < 0 && errno != ENOTTY &&
			errno != EINVAL)
			fail(b, WIRE_STAGE_TERMINAL, errno);
	} else if (setsid() < 0) {
		fail(b, WIRE_STAGE_SESSION, errno);
	}
}

static void connect_output(const struct birth *b)
{
	for (int i = 0; i < 3; i++) {
		/* So that the dyno may open /dev/stdout again after it became its user. */
		if (i > 0 && b->owns_output && spec.has_user &&
			fchown(b->stdio[i], spec.uid, spec.gid) < 0)
			fail(b, WIRE_STAGE_OUTPUT, errno);
		if (dup2(b->stdio[i], i) < 0)
			fail(b, WIRE_STAGE_OUTPUT, errno);
	}
}

/* Safe: it takes away, never gives: a root child that could raise what an administrator has set for
 * us would be a way round it. What is asked for above that is what we have. */
static void limit_processes(const struct birth *b)
{
	struct rlimit nproc;

	if (getrlimit(RLIMIT_NPROC, &nproc) < 0)
		fail(b, WIRE_STAGE_LIMITS, errno);
	if (spec.nproc < nproc.rlim_max)
		nproc.rlim_max = spec.nproc;
	if (spec.nproc < nproc.rlim_cur)
		nproc.rlim_cur = spec.nproc;
	if (setrlimit(RLIMIT_NPROC, &nproc) < 0)
		fail(b, WIRE_STAGE_LIMITS, errno);
}

static void set_limits(const struct birth *b)
{
	struct rlimit nofile = b->nofile;

	if (spec.has_nofile)
		nofile.rlim_cur = spec.nofile < nofile.rlim_max ? spec.nofile : nofile.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &nofile) < 0)
		fail(b, WIRE_STAGE_LIMITS, errno);
	if (spec.has_nproc)
		limit_processes(b);
}

static void become_user(const struct birth *b)
{
	if (!spec.has_user)
		return;
	/* Without root the policy has seen to it that these are the ids and groups we have. */
	if (b->policy->change_user && setgroups(spec.n_groups, spec.groups) < 0)
		fail(b, WIRE_STAGE_GROUPS, errno);
	if (setresgid(spec.gid, spec.gid, spec.gid) < 0)
		fail(b, WIRE_STAGE_GROUPS, errno);
	if (setresuid(spec.uid, spec.uid, spec.uid) < 0)
		fail(b, WIRE_STAGE_USER, errno);
	/* That has cleared what a process has, but not what a program with file capabilities would
	 * inherit (some container engines start us so). The bounding set stays, and new privileges
	 * stay possible: sudo and ping work in a dyno as they do outside. */
	int r = b->policy->change_user && spec.uid != 0 ? caps_drop() : 0;
	if (r < 0)
		fail(b, WIRE_STAGE_USER, -r);
}

/* A parent that was gone before we asked for the signal has sent none. */
static void bind_to_parent(const struct birth *b)
{
	struct pollfd p = {.fd = b->box.parent, .events = POLLIN};

	if (!b->parent)
		return;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		(b->box.first ? poll(&p, 1, 0) != 0 : getppid() != b->parent))
		_exit(127);
}

void stages_run_reserve(const struct birth *b)
{
	static char mark[] = "HSUP_RESERVE=";

	if (setsid() < 0)
		_exit(127);
	for (int i = 0; i < 3; i++)
		if (dup2(b->stdio[i], i) < 0)
			_exit(127);
	bind_to_parent(b);
	(void)!birth_exec_box(b, mark);
	_exit(127);
}

void stages_run(const struct birth *b)
{
	sigset_t none;
	char mark[BIRTH_MARK_SIZE];

	memcpy(mark, b->mark, sizeof mark);
	read_spec(b);
	spec.env[spec.n_env++] = mark;
	spec.env[spec.n_env] = NULL;
	make_session(b);
	connect_output(b);
	if (spec.has_box) {
		bind_to_parent(b);
		fail(b, WIRE_STAGE_BOX, birth_exec_box(b, mark));
	}
	set_limits(b);
	become_user(b);
	/* After the ids: changing them forgets it. */
	bind_to_parent(b);
	if (spec.has_umask)
		(void)umask(spec.umask);
	/* As the user, so that it is the user's rights that count. */
	if (spec.directory && chdir(spec.directory) < 0)
		fail(b, WIRE_STAGE_DIRECTORY, errno);

	/* A signal sent to the child since the fork has been waiting for this. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	fail(b, WIRE_STAGE_EXEC, program_execute(&spec));
}
