#include "fake/http.h"

#include "base/clock.h"
#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			perror(#what);                                                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fake_conn {
	struct fake_http *fake;
	struct fake_conn *next;
	int fd;
	sd_event_source *source;
	struct strbuf in, out;
	size_t out_at;
	const struct fake_route *route; /* of a request that is being answered */
	size_t body_at;			/* in `in`: what follows the head */
	bool answered, over;
};

static void conn_free(struct fake_conn *c)
{
	struct fake_conn **at = &c->fake->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	(void)sd_event_source_disable_unref(c->source);
	(void)close(c->fd);
	c->fake->n_open--;
	strbuf_done(&c->in);
	strbuf_done(&c->out);
	free(c);
}

static void conn_reset(struct fake_conn *c)
{
	struct linger linger = {.l_onoff = 1};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	conn_free(c);
}

static const struct fake_route *find(const struct fake_http *f, const char *head)
{
	static const struct fake_route none = {
		.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"};
	const char *path = strchr(head, ' ') + 1;

	for (const struct fake_route *r = f->routes; r && r->path; r++)
		if (strncmp(path, r->path, strlen(r->path)) == 0)
			return r;
	return &none;
}

/* -1 = the body is not whole. */
static ssize_t body_length(const struct fake_conn *c)
{
	const char *length = strcasestr(c->in.data, "\r\nContent-Length: ");
	const char *body = c->in.data + c->body_at;
	size_t have = c->in.len - c->body_at;

	if (strcasestr(c->in.data, "\r\nTransfer-Encoding: chunked")) {
		const char *end = have >= 5 ? memmem(body, have, "0\r\n\r\n", 5) : NULL;
		return end ? end + 5 - body : -1;
	}
	size_t want = length && length < body ? strtoul(length + 18, NULL, 10) : 0;
	return have >= want ? (ssize_t)want : -1;
}

/* False: c is gone. */
static bool flush(struct fake_conn *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_at, c->out.len - c->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			(void)sd_event_source_set_io_events(c->source, EPOLLIN | EPOLLOUT);
			return true;
		}
		if (n < 0) {
			conn_free(c);
			return false;
		}
		c->out_at += (size_t)n;
	}
	strbuf_reset(&c->out);
	c->out_at = 0;
	(void)sd_event_source_set_io_events(c->source, c->over ? 0 : EPOLLIN);
	if (!c->answered)
		return true;
	if (c->route->then == FAKE_CLOSE || c->route->then == FAKE_RESET) {
		(c->route->then == FAKE_CLOSE ? conn_free : conn_reset)(c);
		return false;
	}
	if (c->route->then == FAKE_KEEP) {
		c->answered = false;
		c->route = NULL;
	}
	return true;
}

/* False: c is gone. */
static bool serve(struct fake_conn *c)
{
	struct fake_http *f = c->fake;
	char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;

	if (c->answered || !end)
		return true;
	c->body_at = (size_t)(end - c->in.data) + 4;
	if (!c->route) {
		f->n_requests++;
		c->route = find(f, c->in.data);
		(void)strbuf_add(&f->heads, c->in.data, c->body_at);
		/* fake_http_send() means this one. */
		struct fake_conn **at = &f->conns;
		while (*at != c)
			at = &(*at)->next;
		*at = c->next;
		c->next = f->conns;
		f->conns = c;
	}
	ssize_t body = body_length(c);
	if (body < 0 && !c->route->early)
		return true;
	if (body < 0)
		body = (ssize_t)(c->in.len - c->body_at);
	const struct fake_route *r = c->route;
	(void)strbuf_add(&f->bodies, c->in.data + c->body_at, (size_t)body);
	strbuf_reset(&c->in);
	c->answered = true;
	(void)strbuf_add(&c->out, r->answer, r->len ? r->len : strlen(r->answer));
	return flush(c);
}

static int on_conn(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct fake_conn *c = userdata;
	char data[65536];

	(void)source;
	if ((revents & EPOLLOUT) && !flush(c))
		return 0;
	ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		c->fake->eof = true;
		c->over = true;
		if (n == 0 && c->answered && c->route->then == FAKE_ECHO)
			(void)shutdown(fd, SHUT_WR);
		if (n < 0 || (revents & EPOLLHUP)) {
			conn_free(c);
			return 0;
		}
		(void)sd_event_source_set_io_events(c->source, 0);
		return 0;
	}
	if (!c->answered) {
		(void)strbuf_add(&c->in, data, (size_t)n);
		(void)serve(c);
		return 0;
	}
	(void)strbuf_add(&c->fake->bodies, data, (size_t)n);
	if (c->route->then == FAKE_ECHO) {
		(void)strbuf_add(&c->out, data, (size_t)n);
		(void)flush(c);
	}
	return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct fake_http *f = userdata;
	struct fake_conn *c = calloc(1, sizeof *c);

	(void)source;
	(void)revents;
	MUST(c);
	c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	MUST(c->fd >= 0);
	c->fake = f;
	c->next = f->conns;
	f->conns = c;
	f->n_accepted++;
	f->n_open++;
	MUST(sd_event_add_io(f->loop, &c->source, c->fd, EPOLLIN, on_conn, c) >= 0);
	return 0;
}

void fake_http_start(
	struct fake_http *f, sd_event *loop, const char *path, const struct fake_route *routes)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof in;

	*f = (struct fake_http){.loop = loop, .routes = routes};
	f->listener = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(f->listener >= 0);
	if (path) {
		(void)snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
		MUST(bind(f->listener, (struct sockaddr *)&un, sizeof un) == 0);
	} else {
		MUST(bind(f->listener, (struct sockaddr *)&in, sizeof in) == 0);
		MUST(getsockname(f->listener, (struct sockaddr *)&in, &len) == 0);
		f->port = ntohs(in.sin_port);
	}
	MUST(listen(f->listener, 1000) == 0);
	MUST(sd_event_add_io(loop, &f->source, f->listener, EPOLLIN, on_listener, f) >= 0);
}

void fake_http_stop(struct fake_http *f)
{
	while (f->conns)
		conn_free(f->conns);
	f->source = sd_event_source_disable_unref(f->source);
	f->listener = fd_close(f->listener);
	strbuf_done(&f->heads);
	strbuf_done(&f->bodies);
}

void fake_http_send(struct fake_http *f, const char *data, size_t len)
{
	MUST(f->conns);
	(void)strbuf_add(&f->conns->out, data, len);
	(void)flush(f->conns);
}

void fake_http_close(struct fake_http *f)
{
	MUST(f->conns);
	conn_free(f->conns);
}

bool fake_until(sd_event *loop, const unsigned *n, unsigned want)
{
	uint64_t end = clock_now() + 10 * NSEC_PER_SEC;

	while (*n < want && clock_now() < end)
		MUST(sd_event_run(loop, 100000) >= 0);
	return *n >= want;
}

void fake_settle(sd_event *loop)
{
	while (sd_event_run(loop, 2000) > 0)
		;
}
