#include "logs/tap.h"

#include "base/fd.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_WANTED 65536

struct tap *tap_new(const char *name, unsigned color, enum log_stream stream, int fd)
{
	size_t len = strlen(name) + 1;
	struct tap *t = calloc(1, sizeof *t + len);
	struct stat st = {0};

	if (!t)
		return NULL;
	(void)fstat(fd, &st);
	t->dev = st.st_dev;
	t->ino = st.st_ino;
	t->fd = fd;
	t->color = color;
	t->stream = stream;
	memcpy(t->name, name, len);
	/* The kernel gives small pipes to a user who has many (pipe-user-pages-soft); it may refuse
	 * this for the same reason. */
	int capacity = fcntl(fd, F_GETPIPE_SZ);
	if (capacity > 0 && capacity < PIPE_WANTED)
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_WANTED);
	return t;
}

void tap_free(struct tap *t)
{
	if (!t)
		return;
	fd_close(t->fd);
	free(t);
}

void tap_move(struct tap *t, struct tap_list *to)
{
	if (t->in)
		TAILQ_REMOVE(t->in, t, link);
	t->in = to;
	if (to)
		TAILQ_INSERT_TAIL(to, t, link);
}

size_t tap_held(const struct tap *t)
{
	int held = 0;

	return ioctl(t->fd, FIONREAD, &held) == 0 && held > 0 ? (size_t)held : 0;
}

size_t tap_look(const struct tap *t, const int scratch[2], char *data, size_t size, bool *ret_full)
{
	ssize_t n;

	do
		n = tee(t->fd, scratch[1], size, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;

	/* A pipe is full when its slots are, however few bytes are in them (an app may splice()
	 * single bytes). The copies fill as many slots of the scratch pipe. */
	struct pollfd p = {.fd = scratch[1], .events = POLLOUT};
	bool full = poll(&p, 1, 0) == 0;

	ssize_t got = fd_read_full(scratch[0], data, (size_t)n);
	if (got != n)
		return 0;
	*ret_full = full;
	return (size_t)n;
}

bool tap_may_be_full(const struct tap *t, size_t len)
{
	int capacity = fcntl(t->fd, F_GETPIPE_SZ);
	size_t page = 4096;

	/* Two neighbouring slots of what was written hold more than a page together: write() fills
	 * up the last one when the rest of it fits. */
	return capacity <= 0 || len > (size_t)capacity / (2 * page) * page;
}

void tap_take(struct tap *t, char *data, size_t size)
{
	size_t left = t->handed;

	while (left > 0) {
		ssize_t n = read(t->fd, data, left < size ? left : size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	tap_taken(t);
}

void tap_taken(struct tap *t)
{
	t->owed -= t->owed < t->handed ? t->owed : t->handed;
	t->handed = 0;
}
