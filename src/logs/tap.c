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
#define PIPE_MOST   (1 << 20) /* what anybody may have, by default */

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
		capacity = fcntl(fd, F_SETPIPE_SZ, PIPE_WANTED);
	t->capacity = capacity > 0 ? (unsigned)capacity : 0;
	return t;
}

void tap_grow(struct tap *t)
{
	if (t->no_more || t->capacity == 0)
		return;
	int capacity = t->capacity < PIPE_MOST ? fcntl(t->fd, F_SETPIPE_SZ, 2 * t->capacity) : -1;
	t->no_more = capacity <= 0;
	if (capacity > 0)
		t->capacity = (unsigned)capacity;
}

/* The kernel counts what the pipes of a user could hold. */
void tap_shrink(struct tap *t)
{
	t->no_more = false;
	if (t->capacity <= PIPE_WANTED)
		return;
	int capacity = fcntl(t->fd, F_SETPIPE_SZ, PIPE_WANTED);
	if (capacity > 0)
		t->capacity = (unsigned)capacity;
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

static ssize_t copy_to(const struct tap *t, int pipe, size_t size)
{
	ssize_t n;

	do
		n = tee(t->fd, pipe, size, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return n;
}

size_t tap_look(const struct tap *t, const int scratch[2], char *data, size_t size)
{
	ssize_t n = copy_to(t, scratch[1], size);

	return n > 0 && fd_read_full(scratch[0], data, (size_t)n) == n ? (size_t)n : 0;
}

/* A pipe is full when its slots are, however few bytes are in them (an app may splice() single
 * bytes). The copies fill as many slots of a pipe of the same size. */
static bool has_no_slot(const struct tap *t, int capacity, size_t len)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return true;
	_cleanup_close_ int reading = fds[0];
	_cleanup_close_ int writing = fds[1];
	struct pollfd p = {.fd = writing, .events = POLLOUT};
	if (fcntl(reading, F_GETPIPE_SZ) != capacity &&
		fcntl(reading, F_SETPIPE_SZ, capacity) != capacity)
		return true;
	ssize_t n = copy_to(t, writing, (size_t)capacity);
	/* More has come since the look: that its slots are full says nothing of what was seen. */
	if (n > 0 && (size_t)n != len)
		return false;
	return poll(&p, 1, 0) == 0;
}

bool tap_may_be_full(const struct tap *t, size_t len)
{
	int capacity = fcntl(t->fd, F_GETPIPE_SZ);
	size_t page = 4096;

	/* Two neighbouring slots of what was written hold more than a page together: write() fills
	 * up the last one when the rest of it fits. */
	return capacity <= 0 || len > (size_t)capacity / (2 * page) * page ||
	       has_no_slot(t, capacity, len);
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
