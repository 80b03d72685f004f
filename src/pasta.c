#include "pasta.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETTING	 "HSUP_BOX_PASTA"
#define NETWORK	 "LIBCONTAINER_DYNO_NETWORK"
#define FIRST_MS 5000
#define AGAIN_MS 10000

static bool find(char ret_path[PATH_MAX])
{
	const char *path = getenv("PATH");

	for (const char *at = path && *path ? path : "/usr/bin:/bin"; *at;) {
		size_t len = strcspn(at, ":");

		if (*at == '/' &&
			snprintf(ret_path, PATH_MAX, "%.*s/pasta", (int)len, at) < PATH_MAX &&
			access(ret_path, X_OK) == 0)
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

/* It may wait for a process of its own that cannot begin: so long, and not for ever. -ETIMEDOUT:
 * that says nothing of whether it works; -ENONET: it does not. */
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

static int run(const char *path, int patience_ms)
{
	static const char *const args[] = {"pasta", "--quiet", "--ipv4-only", "--config-net",
		"--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none",
		"--udp-ns", "none", "--", "/bin/true", NULL};
	char *words[ARRAY_SIZE(args)], *const nothing[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t group;
	pid_t pid;

	memcpy(words, args, sizeof words);
	if (posix_spawn_file_actions_init(&files) != 0)
		return -ENOMEM;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	(void)posix_spawnattr_init(&group);
	(void)posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
	int e = posix_spawn(&pid, path, &files, &group, words, nothing);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&group);
	return e == 0 ? wait_for(pid, patience_ms) : -e;
}

/* err: why it does not. */
static int works(const char *path, struct err *err)
{
	int r = run(path, FIRST_MS);

	/* A machine that is busy, or has just come up. */
	if (r == -ETIMEDOUT)
		r = run(path, AGAIN_MS);
	if (r == -ETIMEDOUT)
		return err_set(
			err, r, "native dynos: %.150s was tried twice and took too long", path);
	if (r < 0)
		return err_set(err, r,
			"native dynos: %.150s does not work here: see what '%.150s --ipv4-only "
			"--config-net -- true' says",
			path, path);
	return 0;
}

int pasta_settle(bool warns, struct err *err)
{
	const char *network = getenv(NETWORK), *given = getenv(SETTING);
	bool asked = network && strcmp(network, "own") == 0, tried = false;
	char path[PATH_MAX];
	struct err why;
	int r;

	if ((network && *network && !asked) || (given && *given))
		return 0;
	bool installed = find(path);
	if (!installed) {
		r = err_set(&why, -ENOENT, "native dynos: there is no pasta in PATH");
	} else if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		r = err_errno(
			&why, -errno, "native dynos: %.150s cannot be used: /dev/net/tun", path);
	} else {
		r = works(path, &why);
		tried = true;
	}
	if (r == 0)
		return setenv(SETTING, path, 1) < 0 ? err_errno(err, -errno, SETTING) : 0;
	/* Who says that they are to be apart is not to find them on the machine's. */
	if (asked)
		return err_set(err, r, "%.400s; " NETWORK "=own cannot be had without", why.text);
	if (tried || (installed && warns))
		log_warning("%s; they have the machine's network", why.text);
	return 0;
}
