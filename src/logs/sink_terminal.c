#include "logs/sink.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

/* Without O_NONBLOCK of our own: what a terminal that polls writable takes is not promised, a pipe
 * that does has a free page, which is PIPE_BUF bytes. */
#define TERMINAL_PIECE 256

enum way {
	WAY_DIRECT,   /* a regular file, /dev/null: write() does not wait for anyone */
	WAY_NONBLOCK, /* an open file of our own with O_NONBLOCK */
	WAY_SOCKET,   /* send(MSG_DONTWAIT) */
	WAY_POLL,     /* ask poll() before each small piece */
};

struct sink_terminal {
	struct sink sink;
	int fd; /* ours */
	enum way way;
	size_t piece; /* bytes per write at most; PIPE_BUF: of a pipe */
	bool color, broken;
	const char *app; /* NULL = none */
	sd_event_source *source;
	void (*writable)(void *userdata);
	void *userdata;
	uint64_t stamp_ns;
	char stamp[CLOCK_STAMP_LEN + 1];
	size_t from, len; /* what the buffer still holds */
	char buffer[BUFFER_BYTES];
};

static const char palette[][6] = {
	"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m"};
#define COLOR_OFF   "\033[0m"
#define COLOR_BYTES 5

static struct sink_terminal *terminal(struct sink *s)
{
	return (struct sink_terminal *)s;
}

static char *put(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

/* By hand: printf would cost more than all the rest of a line's way. */
static char *put_prefix(struct sink_terminal *t, char *at, const struct log_line *line,
	size_t source, size_t procid)
{
	if (line->wall_ns != t->stamp_ns || !t->stamp[0]) {
		clock_stamp(line->wall_ns, t->stamp);
		t->stamp_ns = line->wall_ns;
	}
	if (t->color)
		at = put(at, palette[line->color % ARRAY_SIZE(palette)], COLOR_BYTES);
	at = put(at, t->stamp, strlen(t->stamp));
	*at++ = ' ';
	at = put(at, line->source, source);
	*at++ = '[';
	if (t->app) {
		at = put(at, t->app, strlen(t->app));
		*at++ = '/';
	}
	at = put(at, line->procid, procid);
	at = put(at, "]:", 2);
	if (t->color)
		at = put(at, COLOR_OFF, sizeof COLOR_OFF - 1);
	*at++ = ' ';
	return at;
}

static int terminal_line(struct sink *s, const struct log_line *line)
{
	struct sink_terminal *t = terminal(s);
	size_t source = strlen(line->source), procid = strlen(line->procid);
	size_t need = CLOCK_STAMP_LEN + 1 + source + 1 + procid + 3 + 2 * COLOR_BYTES + line->len +
		      1 + (t->app ? strlen(t->app) + 1 : 0);

	if (t->broken)
		return 0;
	if (t->from > 0 || need > sizeof t->buffer - t->len)
		return -EAGAIN;

	char *at = t->buffer + t->len;
	if (!line->whole)
		at = put_prefix(t, at, line, source, procid);
	at = put(at, line->text, line->len);
	*at++ = '\n';
	t->len = (size_t)(at - t->buffer);
	return 0;
}

/* What a pipe gets at once is taken whole or not at all, and ends with a line: so whenever we are
 * killed, the next supervisor's first line is not glued to the half of one of ours. */
static size_t next_piece(const struct sink_terminal *t, const char *data, size_t len)
{
	if (len <= t->piece)
		return len;
	const char *end = t->piece == PIPE_BUF ? memrchr(data, '\n', t->piece) : NULL;
	return end ? (size_t)(end + 1 - data) : t->piece;
}

static ssize_t write_some(struct sink_terminal *t)
{
	const char *data = t->buffer + t->from;
	size_t len = next_piece(t, data, t->len - t->from);

	if (t->way == WAY_SOCKET)
		return send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (t->way == WAY_POLL) {
		struct pollfd p = {.fd = t->fd, .events = POLLOUT};

		if (poll(&p, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
	}
	return write(t->fd, data, len);
}

static int terminal_flush(struct sink *s)
{
	struct sink_terminal *t = terminal(s);

	while (t->from < t->len) {
		ssize_t n = write_some(t);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n < 0) {
			int r = -errno;

			/* A full disk may have room again; a reader that is gone stays gone. */
			t->broken = r != -ENOSPC && r != -EDQUOT;
			t->from = t->len = 0;
			return r;
		}
		t->from += (size_t)n;
	}
	t->from = t->len = 0;
	return 0;
}

static int call_back(struct sink_terminal *t)
{
	(void)sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
	t->writable(t->userdata);
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	return call_back(userdata);
}

static int on_defer(sd_event_source *source, void *userdata)
{
	(void)source;
	return call_back(userdata);
}

static int terminal_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata)
{
	struct sink_terminal *t = terminal(s);

	t->writable = writable;
	t->userdata = userdata;
	if (t->source)
		return sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
	int r = sd_event_add_io(loop, &t->source, t->fd, EPOLLOUT, on_io, t);
	/* What epoll does not take (a regular file) is always writable. */
	if (r == -EPERM)
		r = sd_event_add_defer(loop, &t->source, on_defer, t);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

static int terminal_wait(struct sink *s, uint64_t ns)
{
	struct sink_terminal *t = terminal(s);
	struct pollfd p = {.fd = t->fd, .events = POLLOUT};
	struct timespec limit = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int n = ppoll(&p, 1, &limit, NULL);

	return n > 0 || (n < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
}

static void terminal_free(struct sink *s)
{
	struct sink_terminal *t = terminal(s);

	if (!t)
		return;
	sd_event_source_disable_unref(t->source);
	fd_close(t->fd);
	free(t);
}

static const struct sink_ops terminal_ops = {
	.line = terminal_line,
	.flush = terminal_flush,
	.when_writable = terminal_when_writable,
	.wait = terminal_wait,
	.free = terminal_free,
};

/* O_NONBLOCK belongs to the open file, which an inherited descriptor shares with the shell and with
 * others: set there, it would break them. A terminal or pipe opened anew has flags of its own. A
 * regular file is not opened anew: its position is shared on purpose. */
static void choose_way(struct sink_terminal *t, int fd)
{
	struct stat st;
	char path[40];

	t->piece = BUFFER_BYTES;
	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return;
	if (S_ISFIFO(st.st_mode))
		t->piece = PIPE_BUF;
	if (S_ISSOCK(st.st_mode)) {
		t->way = WAY_SOCKET;
		return;
	}
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0) {
		t->way = WAY_NONBLOCK;
		t->fd = own;
		return;
	}
	t->way = WAY_POLL;
	if (!S_ISFIFO(st.st_mode))
		t->piece = TERMINAL_PIECE;
}

struct sink *sink_terminal_new(int fd, bool color, const char *app)
{
	struct sink_terminal *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->sink.ops = &terminal_ops;
	t->color = color;
	t->app = app;
	t->fd = -1;
	choose_way(t, fd);
	if (t->fd < 0)
		t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (t->fd < 0) {
		terminal_free(&t->sink);
		return NULL;
	}
	return &t->sink;
}
