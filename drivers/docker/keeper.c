#include "drivers/docker/keeper.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct keeper {
	char boot[40];
	unsigned long long space, ticks;
	int pid;
};

/* file_read() goes by the size, and in /proc a file has none. */
static bool read_proc(const char *path, char *ret_text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, ret_text, size - 1);

	if (n <= 0)
		return false;
	ret_text[n] = '\0';
	return true;
}

static bool read_boot(char ret_boot[40])
{
	char text[100];

	if (!read_proc("/proc/sys/kernel/random/boot_id", text, sizeof text))
		return false;
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(ret_boot, 40, "%.39s", text);
	return true;
}

/* When it started: field 22 of /proc/PID/stat. */
static bool read_ticks(int pid, unsigned long long *ret_ticks)
{
	char path[40], text[4096];

	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (!read_proc(path, text, sizeof text))
		return false;
	const char *rest = strrchr(text, ')');
	return rest && sscanf(rest,
			       ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			       "%*d %*d %*d %llu",
			       ret_ticks) == 1;
}

static bool read_space(unsigned long long *ret_space)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0)
		return false;
	*ret_space = st.st_ino;
	return true;
}

void keeper_name(char ret_name[KEEPER_SIZE])
{
	struct keeper k = {.pid = getppid()};

	ret_name[0] = '\0';
	if (read_boot(k.boot) && read_space(&k.space) && read_ticks(k.pid, &k.ticks))
		(void)snprintf(
			ret_name, KEEPER_SIZE, "%s %llu %d %llu", k.boot, k.space, k.pid, k.ticks);
}

bool keeper_alive(const char *name)
{
	struct keeper k, here = {0};

	if (sscanf(name, "%39s %llu %d %llu", k.boot, &k.space, &k.pid, &k.ticks) != 4)
		return false;
	/* A restart of the machine is an end of all its processes; but another machine may use the
	 * same engine. */
	if (!read_boot(here.boot) || strcmp(here.boot, k.boot) != 0)
		return false;
	if (!read_space(&here.space) || here.space != k.space)
		return true;
	return read_ticks(k.pid, &here.ticks) && here.ticks == k.ticks;
}
