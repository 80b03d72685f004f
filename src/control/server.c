#include "control/server_private.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY ((size_t)32 << 10)
#define RUNS_AT_END	  8

void server_kick(struct server *s)
{
	if (s->kick)
		(void)sd_event_source_set_enabled(s->kick, SD_EVENT_ONESHOT);
}

/* The library's timer: fires too early rather than being set anew at every request. */
static void rearm(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (mhd.get_timeout(s->daemon, &ms) != MHD_YES) {
		s->timer_due = 0;
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
		return;
	}
	if (ms == 0) {
		server_kick(s);
		return;
	}
	uint64_t due = clock_now() + ms * NSEC_PER_MSEC;
	if (s->timer_due && s->timer_due <= due)
		return;
	s->timer_due = due;
	(void)sd_event_source_set_time(s->timer, due / NSEC_PER_USEC + 1);
	(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static void run(struct server *s)
{
	(void)mhd.run(s->daemon);
	rearm(s);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	run(userdata);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *s = userdata;

	(void)source;
	(void)usec;
	s->timer_due = 0;
	run(s);
	return 0;
}

static int on_kick(sd_event_source *source, void *userdata)
{
	(void)source;
	run(userdata);
	return 0;
}

HSUP_PRINTF(2, 0) static void log_from_library(void *userdata, const char *format, va_list ap)
{
	char line[300];

	(void)userdata;
	(void)vsnprintf(line, sizeof line, format, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("control: %s", line);
}

struct client *client_unref(struct client *client)
{
	if (!client || --client->refs)
		return NULL;
	sd_event_source_disable_unref(client->hang_up);
	client->server->n_clients--;
	free(client);
	return NULL;
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	struct server *s = userdata;

	(void)connection;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*context = TAKE_PTR(s->accepting);
	else
		*context = client_unref(*context);
}

int server_start_library(struct server *s, struct err *err)
{
	int r = mhd_load(err);

	if (r < 0)
		return r;
	s->daemon = mhd.start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
					     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
		0, NULL, NULL, call_go_on, s, MHD_OPTION_EXTERNAL_LOGGER, log_from_library, NULL,
		MHD_OPTION_URI_LOG_CALLBACK, call_begin, s, MHD_OPTION_NOTIFY_COMPLETED, call_end,
		s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)LIMIT_CONTROL_IDLE, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)LIMIT_CONTROL_CLIENTS + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!s->daemon)
		return err_set(err, -EIO, "cannot serve: libmicrohttpd does not start");
	const union MHD_DaemonInfo *info = mhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = sd_event_add_io(s->loop, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
	if (r >= 0)
		r = sd_event_add_time(s->loop, &s->timer, CLOCK_MONOTONIC, 0, 1, on_timer, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(s->loop, &s->kick, on_kick, s);
	if (r >= 0)
		return 0;
	s->io = sd_event_source_disable_unref(s->io);
	s->timer = sd_event_source_disable_unref(s->timer);
	mhd.stop_daemon(TAKE_PTR(s->daemon));
	return err_errno(err, r, "cannot serve");
}

static int add_listener(struct server *s, size_t which, int fd)
{
	if (fd < 0)
		return 0;
	int r = sd_event_add_io(s->loop, &s->listeners[which], fd, EPOLLIN, server_accept, s);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(s->listeners[which], true);
	if (r < 0)
		(void)fd_close(fd);
	return r < 0 ? r : 0;
}

int server_open(struct control *c, sd_event *loop, int unix_fd, int tcp_fd, struct tokens *tokens,
	struct server **ret_server, struct err *err)
{
	struct server *s = calloc(1, sizeof *s);

	if (!s) {
		(void)fd_close(unix_fd);
		(void)fd_close(tcp_fd);
		(void)tokens_free(tokens);
		return err_errno(err, -ENOMEM, "control API");
	}
	s->c = c;
	s->loop = sd_event_ref(loop);
	s->tokens = tokens;
	int r = add_listener(s, 0, unix_fd), q = add_listener(s, 1, tcp_fd);
	if (r < 0 || q < 0) {
		(void)server_close(s);
		return err_errno(err, r < 0 ? r : q, "control API");
	}
	*ret_server = s;
	return 0;
}

struct server *server_close(struct server *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++)
		s->listeners[i] = sd_event_source_disable_unref(s->listeners[i]);
	if (s->daemon) {
		/* A connection that is suspended when the library ends ends us, too. */
		for (struct stream *stream = s->c->streams; stream; stream = stream->next) {
			stream->closing = true;
			stream_wake(s->c, stream);
		}
		for (int i = 0; i < RUNS_AT_END; i++)
			(void)mhd.run(s->daemon);
		s->io = sd_event_source_disable_unref(s->io);
		mhd.stop_daemon(s->daemon);
	}
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->kick);
	sd_event_source_disable_unref(s->beat);
	sd_event_source_disable_unref(s->pause);
	sd_event_unref(s->loop);
	(void)tokens_free(s->tokens);
	free(s);
	return NULL;
}
