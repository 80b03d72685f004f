#include "checks/private.h"

#include "base/fd.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PIECE	   4096
#define DRAIN_MAX  ((size_t)64 * 1024)
#define TEXT_SIZE  200
#define PIECES_MAX 8 /* per turn of the loop: then the others have theirs */

void attempt_end(struct attempt *a)
{
	a->io = sd_event_source_disable_unref(a->io);
	a->fd = fd_close(a->fd);
}

static void judge(struct attempt *a, bool good, const char *text)
{
	a->judged = true;
	if (a->check->kind != CHECK_HTTP || !a->connected)
		attempt_end(a);
	a->done(a->userdata, good, text);
}

const char *attempt_waits(const struct attempt *a)
{
	return a->connected ? "no answer" : "no connection";
}

static const char *say_connect(const struct attempt *a, int r, char text[TEXT_SIZE])
{
	/* One may listen at 127.0.0.1 of a network of its own: where we looked is the hint. */
	if (r == -ECONNREFUSED)
		(void)snprintf(text, TEXT_SIZE, "connection refused on port %u%s%s", a->where.port,
			a->where.host[0] ? " of " : "", a->where.host);
	else
		(void)snprintf(text, TEXT_SIZE, "port %u: %s", a->where.port, err_name(r));
	return text;
}

/* ---- what comes ---- */

static void judge_status(struct attempt *a, int status)
{
	char text[TEXT_SIZE], shown[40];

	if (status >= 200 && status < 400) {
		judge(a, true, "");
		return;
	}
	if (status > 0)
		(void)snprintf(text, sizeof text, "GET %.100s: HTTP %d", a->check->path, status);
	else
		(void)snprintf(text, sizeof text, "GET %.100s: is no HTTP answer: \"%s\"",
			a->check->path,
			str_printable(a->answer.line, a->answer.len, shown, sizeof shown));
	judge(a, false, text);
}

static void ended_early(struct attempt *a, int r)
{
	char text[TEXT_SIZE];

	(void)snprintf(text, sizeof text, "GET %.100s: %s before an answer", a->check->path,
		r < 0 ? err_name(r) : "connection closed");
	judge(a, false, text);
}

/* False: nothing more to read now, or all is over (a may be gone). */
static bool read_piece(struct attempt *a)
{
	char data[PIECE];
	ssize_t n = recv(a->fd, data, sizeof data, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (a->judged) {
		a->drained += n > 0 ? (size_t)n : 0;
		if (n > 0 && a->drained < DRAIN_MAX)
			return true;
		attempt_end(a);
		return false;
	}
	if (n <= 0) {
		ended_early(a, n < 0 ? -errno : 0);
		return false;
	}
	int r = http_answer_feed(&a->answer, data, (size_t)n);
	if (r == 0)
		return true;
	judge_status(a, r);
	return false;
}

static int send_request(struct attempt *a)
{
	char text[2300];
	const char *host = a->where.host[0] ? a->where.host : "127.0.0.1";
	bool is_v6 = strchr(host, ':') != NULL;

	int n = snprintf(text, sizeof text,
		"GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: hsup\r\nAccept: */*\r\n"
		"Connection: close\r\n\r\n",
		a->check->path, is_v6 ? "[" : "", host, is_v6 ? "]" : "", a->where.port);
	if (n < 0 || (size_t)n >= sizeof text)
		return -E2BIG;
	ssize_t sent = send(a->fd, text, (size_t)n, MSG_NOSIGNAL);
	/* A fresh socket has room for it all. */
	return sent < 0 ? -errno : sent < n ? -EIO : 0;
}

/* ---- the connection ---- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* Where it is, for the first or second time of asking. */
static socklen_t address_of(const struct attempt *a, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *host = a->where.host;

	*ret = (struct sockaddr_storage){0};
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!a->second && (!*host || inet_pton(AF_INET, host, &v4->sin_addr) == 1)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)a->where.port);
		return sizeof *v4;
	}
	*v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->where.port)};
	v6->sin6_addr = in6addr_loopback;
	return *host && inet_pton(AF_INET6, host, &v6->sin6_addr) != 1 ? 0 : sizeof *v6;
}

/* 0 = under way, 1 = connected. */
static int open_connection(struct attempt *a)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(a, &to);

	attempt_end(a);
	if (len == 0)
		return -EADDRNOTAVAIL;
	a->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0)
		return -errno;
	int r = connect(a->fd, (const struct sockaddr *)&to, len);
	if (r < 0 && errno != EINPROGRESS)
		return -errno;
	int watched = sd_event_add_io(a->loop, &a->io, a->fd, EPOLLOUT, on_io, a);
	return watched < 0 ? watched : r == 0;
}

/* A program that listens at "localhost" may have got ::1 alone. What is told then is what 127.0.0.1
 * has said: that is where we look. */
static int connect_anywhere(struct attempt *a, int refused)
{
	int r = refused ? refused : open_connection(a);

	if (r != -ECONNREFUSED || a->second || a->where.host[0])
		return r;
	a->second = true;
	int again = open_connection(a);
	return again < 0 ? r : again;
}

/* Where nobody listens at a port that the kernel may give out, a connection can meet itself. */
static bool is_own_echo(const struct attempt *a)
{
	struct sockaddr_in6 own = {0}; /* the port of an IPv4 address is at the same place */
	socklen_t len = sizeof own;

	return !a->where.host[0] && getsockname(a->fd, (struct sockaddr *)&own, &len) == 0 &&
	       ntohs(own.sin6_port) == a->where.port;
}

/* 0 = to be waited for, 1 = good, or negative errno. */
static int connected(struct attempt *a)
{
	if (is_own_echo(a))
		return -ECONNREFUSED;
	if (a->check->kind == CHECK_LISTEN)
		return 1;
	int r = send_request(a);
	if (r < 0)
		return r;
	a->connected = true;
	r = sd_event_source_set_io_events(a->io, EPOLLIN);
	return r < 0 ? r : 0;
}

static void on_connect(struct attempt *a)
{
	char text[TEXT_SIZE];
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	int r = error ? connect_anywhere(a, -error) : 1;
	if (r > 0)
		r = connected(a);
	if (r > 0)
		judge(a, true, "");
	else if (r < 0)
		judge(a, false, say_connect(a, r, text));
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct attempt *a = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	if (!a->connected) {
		on_connect(a);
		return 0;
	}
	for (unsigned i = 0; i < PIECES_MAX && read_piece(a); i++)
		continue;
	return 0;
}

int attempt_begin(struct attempt *a, sd_event *loop, const struct check *check,
	const struct check_address *where, struct err *err)
{
	char text[TEXT_SIZE];

	attempt_end(a);
	*a = (struct attempt){.fd = -1,
		.loop = loop,
		.check = check,
		.where = *where,
		.done = a->done,
		.userdata = a->userdata};
	if (where->port == 0)
		return err_set(err, -EDESTADDRREQ, "it has no port");
	bool seen = check->kind == CHECK_LISTEN && where->network_of;
	int r = seen ? listens(where) : connect_anywhere(a, 0);
	if (r > 0 && !seen)
		r = connected(a);
	if (r != 0)
		attempt_end(a);
	return r < 0 ? err_set(err, r, "%s", say_connect(a, r, text)) : r;
}
