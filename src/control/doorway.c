/* Who comes in, and who is turned away before the library sees him. */
#include "control/server_private.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define ACCEPT_AT_ONCE 16
#define PAUSE_USEC     1000000 /* no descriptor was left for a client */
#define SEND_BUFFER    (256 << 10)

/* Whom the library never sees. */
static void turn_away(int fd, unsigned status, const char *reason, const char *text)
{
	char answer[400], body[200];

	(void)snprintf(
		body, sizeof body, "{\"id\":\"%s\",\"message\":\"%s\"}\n", answer_id(status), text);
	(void)snprintf(answer, sizeof answer,
		"HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"Retry-After: 1\r\nConnection: close\r\n\r\n%s",
		status, reason, strlen(body), body);
	(void)send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
	/* What he has sent, unread, would take the answer away from him. */
	char request[4096];
	(void)shutdown(fd, SHUT_WR);
	(void)recv(fd, request, sizeof request, MSG_DONTWAIT);
}

static void take_in(struct server *s, int taken, bool tcp)
{
	_cleanup_close_ int fd = taken;
	struct err err = {0};
	struct peer peer;
	int on = 1, size = SEND_BUFFER;

	if (peer_of(fd, tcp, s->c->options, &peer) < 0)
		return;
	size_t most = LIMIT_CONTROL_CLIENTS;
	if (peer.role != ROLE_OPERATE)
		most -= LIMIT_CONTROL_RESERVED;
	if (s->n_clients >= most) {
		turn_away(fd, 429, "Too Many Requests", "too many clients at once");
		return;
	}
	int r = s->daemon ? 0 : server_start_library(s, &err);
	if (r < 0) {
		if (!s->told)
			log_error("control: %s", err.text);
		s->told = true;
		turn_away(fd, 503, "Service Unavailable",
			"libmicrohttpd cannot be used; see the log");
		return;
	}
	if (tcp) {
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	}
	struct client *client = calloc(1, sizeof *client);
	if (!client)
		return;
	s->n_clients++;
	client->refs = 1;
	client->server = s;
	client->peer = peer;
	s->accepting = client;
	/* It takes the descriptor, also when it fails. */
	if (mhd.add_connection(s->daemon, TAKE_FD(fd), NULL, 0) != MHD_YES)
		log_debug("control: a client could not be taken in: %s", err_name(errno));
	s->accepting = client_unref(s->accepting);
	server_kick(s);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *s = userdata;

	(void)source;
	(void)usec;
	for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++)
		if (s->listeners[i])
			(void)sd_event_source_set_enabled(s->listeners[i], SD_EVENT_ON);
	s->pause = sd_event_source_disable_unref(s->pause);
	return 0;
}

/* Who waits at the door when no descriptor is left would have us look at once again. */
static void pause_listening(struct server *s)
{
	if (s->pause || sd_event_add_time_relative(s->loop, &s->pause, CLOCK_MONOTONIC, PAUSE_USEC,
				0, on_pause_over, s) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++)
		if (s->listeners[i])
			(void)sd_event_source_set_enabled(s->listeners[i], SD_EVENT_OFF);
}

int server_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct server *s = userdata;

	(void)revents;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (peer >= 0)
			take_in(s, peer, source == s->listeners[1]);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listening(s);
		if (peer < 0 && errno != ECONNABORTED && errno != EINTR)
			break;
	}
	return 0;
}
