#include "checks/notify.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define AT_ONCE	  8				 /* messages per turn */
#define TURNS_MAX 50				 /* per PERIOD: more is a flood */
#define PERIOD	  (NSEC_PER_SEC / NSEC_PER_USEC) /* us */
#define FDS_MAX	  253				 /* SCM_MAX_FD: as many as one message can bring */
#define ANYBODY	  0666
#define NAME_SIZE 40
#define REASONS	  3

enum reason { REASON_LONG, REASON_STRANGER, REASON_GONE };

struct notify_socket {
	const struct notify_events *events;
	void *userdata;
	int fd, dir;
	int session;
	sd_event_source *io;
	bool told[REASONS];
	bool in_callback, closed;
	char name[NAME_SIZE];
};

/* ---- a message ---- */

static bool is(const char *line, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(line, text, len) == 0;
}

static void take_line(const char *line, size_t len, struct notify_message *m)
{
	static const char status[] = "STATUS=";
	size_t prefix = sizeof status - 1;

	if (is(line, len, "READY=1"))
		m->ready = true;
	else if (is(line, len, "STOPPING=1"))
		m->stopping = true;
	else if (is(line, len, "WATCHDOG=1"))
		m->watchdog = true;
	else if (is(line, len, "WATCHDOG=trigger"))
		m->trigger = true;
	else if (len >= prefix && memcmp(line, status, prefix) == 0) {
		m->has_status = true;
		(void)str_printable(line + prefix, len - prefix, m->status, sizeof m->status);
	}
}

void notify_parse(const char *data, size_t len, struct notify_message *ret)
{
	*ret = (struct notify_message){0};
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		take_line(data, n, ret);
		n += end != NULL;
		data += n;
		len -= n;
	}
}

/* ---- who sends ---- */

/* The session of a process; negative errno when it is gone. */
static int session_of(pid_t pid)
{
	int r = pid > 0 ? getsid(pid) : -1;

	return r < 0 ? -errno : r;
}

static int parent_of(pid_t pid)
{
	char path[40], text[512];
	int parent;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* Behind the program's name, which may hold anything. */
	const char *rest = strrchr(text, ')');
	return rest && sscanf(rest, ") %*c %d", &parent) == 1 ? parent : -1;
}

/* A dyno with an init is the session of its init's child. */
static bool is_ours(const struct notify_socket *n, int session)
{
	return session > 0 && (session == n->session || parent_of(session) == n->session);
}

/* Descriptors that come along are closed: that is also what sd_notify_barrier(3) waits for. */
static void close_all(const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
		(void)fd_close(fd);
	}
}

static pid_t look_through(struct msghdr *h)
{
	struct ucred cred = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof cred))
			memcpy(&cred, CMSG_DATA(c), sizeof cred);
		else if (c->cmsg_type == SCM_RIGHTS)
			close_all(c);
	}
	return cred.pid;
}

static void refuse(struct notify_socket *n, enum reason reason, pid_t pid)
{
	char text[120];

	if (n->told[reason])
		return;
	n->told[reason] = true;
	if (reason == REASON_LONG)
		(void)snprintf(text, sizeof text,
			"a message of process %d of more than %d bytes to its notify socket was "
			"thrown away",
			(int)pid, NOTIFY_MESSAGE_MAX);
	else
		(void)snprintf(text, sizeof text,
			"a message to its notify socket was thrown away: process %d %s", (int)pid,
			reason == REASON_GONE ? "had ended before it could be looked up"
					      : "is none of this dyno's");
	n->events->refused(n->userdata, text);
}

/* False: nothing is left, or it was closed. */
static bool receive(struct notify_socket *n)
{
	char data[NOTIFY_MESSAGE_MAX];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {data, sizeof data};
	struct msghdr h = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct notify_message m;

	ssize_t len = recvmsg(n->fd, &h, MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == EINTR;
	pid_t pid = look_through(&h);
	int session = session_of(pid);
	if (!is_ours(n, session))
		refuse(n, session < 0 ? REASON_GONE : REASON_STRANGER, pid);
	else if (h.msg_flags & MSG_TRUNC)
		refuse(n, REASON_LONG, pid);
	else {
		notify_parse(data, (size_t)len, &m);
		n->events->message(n->userdata, &m);
	}
	return !n->closed;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct notify_socket *n = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	n->in_callback = true;
	for (unsigned i = 0; i < AT_ONCE && receive(n); i++)
		continue;
	n->in_callback = false;
	if (n->closed)
		free(n);
	return 0;
}

/* ---- the socket ---- */

static int bind_in(int fd, int dir, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	/* By way of a descriptor: a socket's address has room for 107 bytes only. */
	(void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, name);
	(void)unlinkat(dir, name, 0);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return fchmodat(dir, name, ANYBODY, 0) < 0 ? -errno : 0;
}

static int open_all(struct notify_socket *n, sd_event *loop)
{
	int on = 1;

	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0 || setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
		return -errno;
	int r = bind_in(n->fd, n->dir, n->name);
	if (r >= 0)
		r = sd_event_add_io(loop, &n->io, n->fd, EPOLLIN, on_readable, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->io, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(n->io, PERIOD, TURNS_MAX);
	return r < 0 ? r : 0;
}

int notify_socket_open(sd_event *loop, int dir, const char *name,
	const struct notify_events *events, void *userdata, struct notify_socket **ret,
	struct err *err)
{
	struct notify_socket *n = calloc(1, sizeof *n);

	if (!n)
		return err_errno(err, -ENOMEM, "notify socket");
	n->events = events;
	n->userdata = userdata;
	n->fd = -1;
	n->dir = dir;
	(void)snprintf(n->name, sizeof n->name, "%s", name);
	int r = open_all(n, loop);
	if (r < 0) {
		(void)notify_socket_close(n, false);
		return err_errno(err, r, "notify socket");
	}
	*ret = n;
	return 0;
}

void notify_socket_listen(struct notify_socket *n, int session)
{
	n->session = session;
	(void)sd_event_source_set_enabled(n->io, SD_EVENT_ON);
}

struct notify_socket *notify_socket_close(struct notify_socket *n, bool kept)
{
	if (!n)
		return NULL;
	n->io = sd_event_source_disable_unref(n->io);
	if (n->fd >= 0 && !kept)
		(void)unlinkat(n->dir, n->name, 0);
	n->fd = fd_close(n->fd);
	n->closed = true;
	if (!n->in_callback)
		free(n);
	return NULL;
}
