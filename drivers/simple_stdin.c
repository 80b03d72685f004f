/* Standard inputs that stay open: a FIFO per life, by which it is found again after a restart of
 * the supervisor. Its process has it open for reading and writing, so that it sees no end of file
 * when a writer goes, and a writer finds a reader as long as it lives. */
#include "drivers/simple_private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const struct simple *s, uint64_t id, uint32_t generation, char ret_path[4096])
{
	const char *dir = s->context->stdin_dir;

	if (!dir)
		return -ENXIO;
	int n = snprintf(ret_path, 4096, "%s/%" PRIu64 ".%" PRIu32, dir, id, generation);
	return n < 4096 ? 0 : -ENAMETOOLONG;
}

/* An earlier supervisor may have made it. */
void simple_stdin_begin(struct simple *s)
{
	s->has_stdin = s->context->stdin_dir && access(s->context->stdin_dir, F_OK) == 0;
}

/* Not when there are more: their dynos live on, for the next supervisor. */
void simple_stdin_end(struct simple *s)
{
	if (s->has_stdin)
		(void)rmdir(s->context->stdin_dir);
}

int simple_stdin_make(struct simple *s, uint64_t id, uint32_t generation)
{
	char path[4096];

	int r = path_of(s, id, generation, path);
	if (r < 0)
		return r;
	if (mkdir(s->context->stdin_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	s->has_stdin = true;
	if (mkfifo(path, 0600) < 0)
		return -errno;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		r = -errno;
		(void)unlink(path);
		return r;
	}
	return fd;
}

void simple_stdin_remove(struct simple *s, uint64_t id, uint32_t generation)
{
	char path[4096];

	if (s->has_stdin && path_of(s, id, generation, path) == 0)
		(void)unlink(path);
}

int simple_open_stdin(void *state, uint64_t id, uint32_t generation)
{
	const struct simple *s = state;
	char path[4096];

	int r = path_of(s, id, generation, path);
	if (r < 0)
		return r;
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : errno == ENOENT ? -ENXIO : -errno;
}
