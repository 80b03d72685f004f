#include "spawn/stages.h"

#include "base/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Some 40 KB of pointers: static, because the stack of a child is no place for it. Only the child's
 * copy is ever written. */
static struct spec spec;

HSUP_NORETURN static void fail(const struct birth *b, enum wire_stage stage, int error)
{
	b->failure->error = error;
	b->failure->stage = stage;
	_exit(127);
}

/* A spec that could still change would be checked as one thing and executed as another. */
static void read_spec(const struct birth *b)
{
	struct stat st;
	int seals = fcntl(b->spec, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		fail(b, WIRE_STAGE_SPEC, seals < 0 ? errno : EPERM);
	if (fstat(b->spec, &st) < 0)
		fail(b, WIRE_STAGE_SPEC, errno);
	if (st.st_size <= 0 || (unsigned long long)st.st_size > LIMIT_SPEC)
		fail(b, WIRE_STAGE_SPEC, EBADMSG);
	void *text =
		mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, b->spec, 0);
	if (text == MAP_FAILED)
		fail(b, WIRE_STAGE_SPEC, errno);
	int r = spec_parse(text, (size_t)st.st_size, &spec);
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

static const char *search_path(void)
{
	for (char **e = spec.env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execvpe()'s search, without its memory: a candidate that is not there or not ours to run is
 * passed over, and a refusal is remembered in case nothing better comes. Returns the errno. */
static int exec_search(const char *program)
{
	char candidate[PATH_MAX];
	size_t len = strlen(program);
	bool denied = false;

	for (const char *p = search_path(), *next; p; p = next) {
		const char *colon = strchr(p, ':');
		size_t dir = colon ? (size_t)(colon - p) : strlen(p);
		size_t slash = dir > 0 ? 1 : 0;

		next = colon ? colon + 1 : NULL;
		if (dir + slash + len >= sizeof candidate)
			continue;
		memcpy(candidate, p, dir);
		candidate[dir] = '/';
		memcpy(candidate + dir + slash, program, len + 1);
		(void)execve(candidate, spec.argv, spec.env);
		if (errno == EACCES)
			denied = true;
		else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE &&
			 errno != ENODEV && errno != ETIMEDOUT && errno != ELOOP &&
			 errno != ENAMETOOLONG)
			return errno;
	}
	return denied ? EACCES : ENOENT;
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
	if (strchr(spec.program, '/')) {
		(void)execve(spec.program, spec.argv, spec.env);
		fail(b, WIRE_STAGE_EXEC, errno);
	}
	fail(b, WIRE_STAGE_EXEC, exec_search(spec.program));
}
