/* Answers that come bit by bit: a connection waits, suspended, until there is more. */
#include "control/server_private.h"

#include <errno.h>
#include <sys/epoll.h>

#define BEAT_USEC    15000000
#define STREAM_BLOCK ((size_t)16 << 10)

bool stream_admit(struct control *c, struct answer *a)
{
	if (c->n_streams < LIMIT_CONTROL_STREAMS)
		return true;
	answer_error(a, 429, "more than %d follow already", LIMIT_CONTROL_STREAMS);
	return false;
}

void stream_wake(struct control *c, struct stream *s)
{
	if (!s->suspended)
		return;
	s->suspended = false;
	mhd.resume_connection(s->connection);
	server_kick(c->server);
}

static int on_hang_up(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct stream *s = userdata;

	(void)fd;
	(void)revents;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	s->closing = true;
	stream_wake(s->client->server->c, s);
	return 0;
}

/* While it is suspended the library does not look whether it is still there. */
static void watch(struct stream *s)
{
	struct client *client = s->client;
	const union MHD_ConnectionInfo *info =
		mhd.get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (client->hang_up || !info)
		return;
	/* On TCP half a hang-up is all that can be seen of one. */
	(void)sd_event_add_io(client->server->loop, &client->hang_up, info->connect_fd,
		client->peer.tcp ? EPOLLRDHUP : 0, on_hang_up, s);
}

static ssize_t on_read(void *userdata, uint64_t at, char *buf, size_t max)
{
	struct stream *s = userdata;

	(void)at;
	/* At the end of the program it still gets what there is. */
	ssize_t n = s->ops->read(s, buf, max);
	if (n < 0 || (n == 0 && s->closing))
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		s->suspended = true;
		mhd.suspend_connection(s->connection);
		watch(s);
	}
	return n;
}

static void on_free(void *userdata)
{
	struct stream *s = userdata;
	struct client *client = s->client;
	struct control *c = client->server->c;

	client->hang_up = sd_event_source_disable_unref(client->hang_up);
	*s->here = s->next;
	if (s->next)
		s->next->here = s->here;
	if (--c->n_streams == 0)
		client->server->beat = sd_event_source_disable_unref(client->server->beat);
	s->ops->free(s);
	(void)client_unref(client);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)usec;
	for (struct stream *s = server->c->streams, *next; s; s = next) {
		next = s->next;
		if (s->ops->beat)
			s->ops->beat(s);
	}
	(void)sd_event_source_set_time_relative(source, BEAT_USEC);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

struct MHD_Response *stream_response(
	struct server *server, struct MHD_Connection *connection, struct stream *s)
{
	const union MHD_ConnectionInfo *info =
		mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (!info || !info->socket_context)
		return NULL;
	struct MHD_Response *response =
		mhd.response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, s, on_free);
	if (!response)
		return NULL;
	s->client = info->socket_context;
	s->client->refs++;
	s->connection = connection;
	s->here = &server->c->streams;
	s->next = *s->here;
	if (s->next)
		s->next->here = &s->next;
	*s->here = s;
	server->c->n_streams++;
	if (s->follows)
		(void)mhd.set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	if (!server->beat)
		(void)sd_event_add_time_relative(server->loop, &server->beat, CLOCK_MONOTONIC,
			BEAT_USEC, 0, on_beat, server);
	return response;
}
