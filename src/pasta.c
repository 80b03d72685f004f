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

#define SETTING	    "HSUP_BOX_PASTA"
#define NETWORK	    "LIBCONTAINER_DYNO_NETWORK"
#define PATIENCE_MS 5000

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

/* It may wait for a process of its own that cannot begin: so long, and not for ever. */
static bool ended_well(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd end = {.fd = fd, .events = POLLIN};

	(void)poll(&end, 1, PATIENCE_MS);
	/* With whatever it has begun, of which some is left when it fails. */
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)close(fd);
	return status == 0;
}

static bool works(const char *path)
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
		return false;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	(void)posix_spawnattr_init(&group);
	(void)posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
	int e = posix_spawn(&pid, path, &files, &group, words, nothing);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&group);
	return e == 0 && ended_well(pid);
}

void pasta_settle(bool warns)
{
	const char *network = getenv(NETWORK), *given = getenv(SETTING);
	char path[PATH_MAX];

	if ((network && *network && strcmp(network, "own") != 0) || (given && *given))
		return;
	if (!find(path))
		return;
	int tun = access("/dev/net/tun", R_OK | W_OK) < 0 ? -errno : 0;
	if (tun == 0 && works(path)) {
		(void)setenv(SETTING, path, 1);
		return;
	}
	if (warns && tun < 0)
		log_warning(
			"native dynos: %s cannot be used: /dev/net/tun: %s", path, err_name(tun));
	else if (warns)
		log_warning("native dynos: %s does not work here: see what '%s --ipv4-only "
			    "--config-net -- true' says",
			path, path);
}
