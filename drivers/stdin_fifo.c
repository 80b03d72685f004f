#include "drivers/stdin_fifo.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const char *dir, uint64_t id, uint32_t generation, char ret_path[4096])
{
	if (!dir)
		return -ENXIO;
	int n = snprintf(ret_path, 4096, "%s/%" PRIu64 ".%" PRIu32, dir, id, generation);
	return n < 4096 ? 0 : -ENAMETOOLONG;
}

static int open_there(const char *dir, uint64_t id, uint32_t generation, int flags)
{
	char path[4096];

	int r = path_of(dir, id, generation, path);
	if (r < 0)
		return r;
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : errno == ENOENT ? -ENXIO : -errno;
}

int stdin_fifo_make(const char *dir, uint64_t id, uint32_t generation)
{
	char path[4096];

	int r = path_of(dir, id, generation, path);
	if (r < 0)
		return r;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mkfifo(path, 0600) < 0)
		return -errno;
	int fd = open_there(dir, id, generation, O_RDWR);
	if (fd < 0)
		(void)unlink(path);
	return fd;
}

int stdin_fifo_find(const char *dir, uint64_t id, uint32_t generation)
{
	return open_there(dir, id, generation, O_RDWR);
}

int stdin_fifo_open(const char *dir, uint64_t id, uint32_t generation)
{
	return open_there(dir, id, generation, O_WRONLY | O_NONBLOCK);
}

void stdin_fifo_remove(const char *dir, uint64_t id, uint32_t generation)
{
	char path[4096];

	if (path_of(dir, id, generation, path) == 0)
		(void)unlink(path);
}
