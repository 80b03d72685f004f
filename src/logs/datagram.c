#include "logs/datagram.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void datagram_init(struct datagram *d, const struct sink_ops *ops, const char *path)
{
	d->sink.ops = ops;
	d->fd = -1;
	d->address.sun_family = AF_UNIX;
	(void)snprintf(d->address.sun_path, sizeof d->address.sun_path, "%s", path);
}

/* The daemon may be started again at any time: then its socket is another. */
static void reconnect(struct datagram *d)
{
	d->source = sd_event_source_disable_unref(d->source);
	d->fd = fd_close(d->fd);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&d->address, sizeof d->address) == 0)
		d->fd = TAKE_FD(fd);
}

/* Larger than the system lets a message be: the journal takes a sealed file in its place. */
static ssize_t send_as_file(int to, const char *data, size_t len)
{
	_cleanup_close_ int fd = memfd_create("hsup-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {
		.msg_control = control.space, .msg_controllen = sizeof control.space};

	if (fd < 0 || fd_write_all(fd, data, len) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) <
			0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(to, &message, MSG_NOSIGNAL);
}

static int send_one(struct datagram *d, const char *data, size_t len)
{
	for (int tries = 0; tries < 2; tries++) {
		if (d->fd < 0)
			reconnect(d);
		if (d->fd < 0)
			return -ENOTCONN;
		ssize_t n = send(d->fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EMSGSIZE && d->sends_files)
			n = send_as_file(d->fd, data, len);
		if (n >= 0)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		if (errno == EMSGSIZE)
			return -EMSGSIZE;
		d->fd = fd_close(d->fd);
	}
	return -ENOTCONN;
}

static int send_losses(struct datagram *d)
{
	char text[400];

	if (d->lost == 0)
		return 0;
	int r = send_one(d, text, d->losses(d, text, sizeof text));
	if (r == 0)
		d->lost = 0;
	return r;
}

int datagram_flush(struct sink *s)
{
	struct datagram *d = datagram_of(s);

	if (d->len == 0)
		return 0;
	int r = send_losses(d);
	if (r == 0)
		r = send_one(d, d->message, d->len);
	if (r == -EAGAIN)
		return r;
	d->lost += r < 0;
	d->len = 0;
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct datagram *d = userdata;

	(void)fd;
	(void)revents;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	d->writable(d->userdata);
	return 0;
}

int datagram_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata)
{
	struct datagram *d = datagram_of(s);

	d->writable = writable;
	d->userdata = userdata;
	if (!d->source) {
		int r = sd_event_add_io(loop, &d->source, d->fd, EPOLLOUT, on_io, d);
		if (r < 0)
			return r;
	}
	return sd_event_source_set_enabled(d->source, SD_EVENT_ONESHOT);
}

int datagram_wait(struct sink *s, uint64_t ns)
{
	struct pollfd p = {.fd = datagram_of(s)->fd, .events = POLLOUT};
	struct timespec limit = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int n = ppoll(&p, 1, &limit, NULL);

	return n > 0 || (n < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
}

void datagram_free(struct sink *s)
{
	struct datagram *d = datagram_of(s);

	sd_event_source_disable_unref(d->source);
	fd_close(d->fd);
	free(d);
}
