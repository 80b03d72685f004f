/* Whether what passes a network on does so here: it is run as it is to be used, for nobody. */
#include "passer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 24 /* of a command */

/* It may wait for a process of its own that cannot begin: so long, and not for ever. */
static int wait_for(pid_t pid, int patience_ms)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd end = {.fd = fd, .events = POLLIN};
	bool ended = poll(&end, 1, patience_ms) != 0;

	/* With whatever it has begun, of which some is left when it fails. */
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)close(fd);
	if (status == 0)
		return 0;
	return ended ? -ENONET : -ETIMEDOUT;
}

/* in: its standard input, or -1. */
static int spawn_and_wait(const char *path, const char *const *args, int in, int patience_ms)
{
	char *words[WORDS], *const nothing[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t group;
	pid_t pid;
	size_t n = 0;

	do
		words[n] = (char *)(uintptr_t)args[n];
	while (args[n++]);
	if (posix_spawn_file_actions_init(&files) != 0)
		return -ENOMEM;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	if (in >= 0)
		(void)posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	(void)posix_spawnattr_init(&group);
	(void)posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
	int e = posix_spawn(&pid, path, &files, &group, words, nothing);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&group);
	return e == 0 ? wait_for(pid, patience_ms) : -e;
}

/* ---- pasta ---- */

int passer_try_pasta(const char *path, int patience_ms)
{
	static const char *const args[] = {"pasta", "--quiet", "--ipv4-only", "--config-net",
		"--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none",
		"--udp-ns", "none", "--", "/bin/true", NULL};

	return spawn_and_wait(path, args, -1, patience_ms);
}

/* ---- slirp4netns ---- */

/* Somebody in a user and a network namespace of his own; until he is killed. */
static pid_t make_somebody(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNET, .exit_signal = SIGCHLD};
	pid_t parent = getpid(), pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It may have died before. */
		while (getppid() == parent)
			(void)pause();
		_exit(1);
	}
	return pid < 0 ? -errno : pid;
}

/* It ends when its standard input does, but not before all is in place. */
int passer_try_slirp4netns(const char *path, int patience_ms)
{
	char whose[12];
	const char *const args[] = {"slirp4netns", "--configure", "--disable-host-loopback",
		"--disable-dns", "--enable-seccomp", "--exit-fd", "0", whose, "eth0", NULL};
	int ended[2];

	pid_t somebody = make_somebody();
	if (somebody < 0)
		return somebody;
	(void)snprintf(whose, sizeof whose, "%d", (int)somebody);
	int r = pipe2(ended, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0) {
		(void)close(ended[1]);
		r = spawn_and_wait(path, args, ended[0], patience_ms);
		(void)close(ended[0]);
	}
	(void)kill(somebody, SIGKILL);
	(void)waitpid(somebody, NULL, 0);
	return r;
}
