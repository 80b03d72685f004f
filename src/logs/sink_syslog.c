#include "logs/sink.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PRIORITY      30 /* daemon, info */
#define PREFIX_BYTES  200
#define MESSAGE_BYTES (LIMIT_LINE + 2 * PREFIX_BYTES)
#define STAMP_BYTES   (CLOCK_STAMP_LEN + 1) /* of a whole line */

struct sink_syslog {
	struct sink sink;
	struct sockaddr_un address;
	int fd;	       /* -1 = not connected */
	uint64_t lost; /* lines, not yet said */
	size_t len;    /* of the message that is held */
	sd_event_source *source;
	void (*writable)(void *userdata);
	void *userdata;
	char message[MESSAGE_BYTES];
};

static struct sink_syslog *syslog_of(struct sink *s)
{
	return (struct sink_syslog *)s;
}

static int syslog_line(struct sink *s, const struct log_line *line)
{
	struct sink_syslog *l = syslog_of(s);
	size_t skip = line->whole ? STAMP_BYTES : 0, len = line->len - skip;

	if (l->len)
		return -EAGAIN;
	l->len = (size_t)snprintf(
		l->message, PREFIX_BYTES, "<%d>hsup[%d]: ", PRIORITY, (int)getpid());
	if (!line->whole)
		l->len += (size_t)snprintf(
			l->message + l->len, PREFIX_BYTES, "%s[%s]: ", line->source, line->procid);
	/* Text may hold NULs. */
	if (len > sizeof l->message - l->len)
		len = sizeof l->message - l->len;
	memcpy(l->message + l->len, line->text + skip, len);
	l->len += len;
	return 0;
}

/* The log's daemon may be started again at any time: then its socket is another. */
static void reconnect(struct sink_syslog *l)
{
	l->source = sd_event_source_disable_unref(l->source);
	l->fd = fd_close(l->fd);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&l->address, sizeof l->address) == 0)
		l->fd = TAKE_FD(fd);
}

static int send_one(struct sink_syslog *l, const char *data, size_t len)
{
	for (int tries = 0; tries < 2; tries++) {
		if (l->fd < 0)
			reconnect(l);
		if (l->fd < 0)
			return -ENOTCONN;
		if (send(l->fd, data, len, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		l->fd = fd_close(l->fd);
	}
	return -ENOTCONN;
}

static int send_losses(struct sink_syslog *l)
{
	char text[120];

	if (l->lost == 0)
		return 0;
	int n = snprintf(text, sizeof text,
		"<%d>hsup[%d]: %llu lines were lost while the system's log could not be reached",
		PRIORITY, (int)getpid(), (unsigned long long)l->lost);
	int r = send_one(l, text, (size_t)n);
	if (r == 0)
		l->lost = 0;
	return r;
}

static int syslog_flush(struct sink *s)
{
	struct sink_syslog *l = syslog_of(s);

	if (l->len == 0)
		return 0;
	int r = send_losses(l);
	if (r == 0)
		r = send_one(l, l->message, l->len);
	if (r == -EAGAIN)
		return r;
	l->lost += r < 0;
	l->len = 0;
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct sink_syslog *l = userdata;

	(void)fd;
	(void)revents;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	l->writable(l->userdata);
	return 0;
}

static int syslog_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata)
{
	struct sink_syslog *l = syslog_of(s);

	l->writable = writable;
	l->userdata = userdata;
	if (!l->source) {
		int r = sd_event_add_io(loop, &l->source, l->fd, EPOLLOUT, on_io, l);
		if (r < 0)
			return r;
	}
	return sd_event_source_set_enabled(l->source, SD_EVENT_ONESHOT);
}

static int syslog_wait(struct sink *s, uint64_t ns)
{
	struct pollfd p = {.fd = syslog_of(s)->fd, .events = POLLOUT};
	struct timespec limit = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int n = ppoll(&p, 1, &limit, NULL);

	return n > 0 || (n < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
}

static void syslog_free(struct sink *s)
{
	struct sink_syslog *l = syslog_of(s);

	sd_event_source_disable_unref(l->source);
	fd_close(l->fd);
	free(l);
}

static const struct sink_ops syslog_ops = {
	.line = syslog_line,
	.flush = syslog_flush,
	.when_writable = syslog_when_writable,
	.wait = syslog_wait,
	.free = syslog_free,
};

struct sink *sink_syslog_new(const char *socket_path)
{
	struct sink_syslog *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->sink.ops = &syslog_ops;
	l->fd = -1;
	l->address.sun_family = AF_UNIX;
	(void)snprintf(l->address.sun_path, sizeof l->address.sun_path, "%s", socket_path);
	return &l->sink;
}
