#include "io/outlet.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define WHOLE_BYTES (256 << 10)

/* Without O_NONBLOCK of our own: what a terminal that polls writable takes is not promised, a pipe
 * that does has a free page, which is PIPE_BUF bytes. */
#define TERMINAL_PIECE 256

/* A socket that polls writable has room for this part of its buffer and more. */
#define SOCKET_PART 8

static void open_socket(struct outlet *to)
{
	int size = 0;
	socklen_t len = sizeof size;

	to->way = WAY_SOCKET;
	to->fed = true;
	to->most = TERMINAL_PIECE;
	if (getsockopt(to->fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 &&
		(size_t)size / SOCKET_PART > to->most)
		to->most = (size_t)size / SOCKET_PART;
}

/* O_NONBLOCK belongs to the open file, which an inherited descriptor shares with the shell and with
 * others: set there, it would break them. A terminal or pipe opened anew has flags of its own. A
 * regular file is not opened anew: its position is shared on purpose. */
static void choose_way(struct outlet *to)
{
	struct stat st;
	char path[40];

	if (fstat(to->fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		open_socket(to);
		return;
	}
	to->regular = S_ISREG(st.st_mode);
	to->nowhere = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
	to->fed = S_ISFIFO(st.st_mode) || isatty(to->fd);
	if (!to->fed)
		return;
	if (S_ISFIFO(st.st_mode))
		to->piece = PIPE_BUF;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", to->fd);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0) {
		to->way = WAY_NONBLOCK;
		(void)fd_close(to->fd);
		to->fd = own;
		return;
	}
	to->way = WAY_POLL;
	if (!S_ISFIFO(st.st_mode))
		to->piece = TERMINAL_PIECE;
	to->most = to->piece;
}

int outlet_open(struct outlet *to, int fd)
{
	*to = (struct outlet){.piece = WHOLE_BYTES, .most = SIZE_MAX};
	to->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (to->fd < 0)
		return -errno;
	choose_way(to);
	return 0;
}

void outlet_close(struct outlet *to)
{
	to->fd = fd_close(to->fd);
}

size_t outlet_piece(const struct outlet *to, const char *data, size_t len)
{
	if (len <= to->piece)
		return len;
	const char *end = to->piece == PIPE_BUF ? memrchr(data, '\n', to->piece) : NULL;
	return end ? (size_t)(end + 1 - data) : to->piece;
}

static bool writable(const struct outlet *to)
{
	struct pollfd p = {.fd = to->fd, .events = POLLOUT};

	if (poll(&p, 1, 0) > 0)
		return true;
	errno = EAGAIN;
	return false;
}

ssize_t outlet_write(const struct outlet *to, const char *data, size_t len)
{
	if (to->way == WAY_SOCKET)
		return send(to->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (to->way == WAY_POLL && !writable(to))
		return -1;
	return write(to->fd, data, len);
}

ssize_t outlet_splice(const struct outlet *to, int pipe, size_t len)
{
	/* A socket heeds only the O_NONBLOCK of its open file. */
	if (to->way != WAY_NONBLOCK && !writable(to))
		return -1;
	return splice(pipe, NULL, to->fd, NULL, len < to->most ? len : to->most,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}
