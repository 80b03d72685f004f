#include "io/web_pipe_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#define SLACK 10000 /* us */

static const struct transfer_kind pipe_kind;

static void drop_sources(struct web_pipe *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	p->late = sd_event_source_disable_unref(p->late);
}

static void destroy(struct transfer *t)
{
	struct web_pipe *p = (struct web_pipe *)t;

	/* libcurl closes the socket: nobody may be watching it by then. */
	drop_sources(p);
	transfer_done(t);
	strbuf_done(&p->answer);
	free(p->out);
	free(p->held);
	free(p);
}

void pipe_finish(struct web_pipe *p, int error, const char *text)
{
	drop_sources(p);
	transfer_detach(&p->t);
	p->fd = -1;
	p->t.over = true;
	p->events->closed(p->userdata,
		&(struct web_result){.error = error, .status = p->head.status, .text = text});
	transfer_free(&p->t);
}

void pipe_finish_by(struct web_pipe *p, CURLcode code)
{
	const char *text;
	int error = web_error(&p->t, code, &text);

	pipe_finish(p, error, text);
}

void pipe_finish_refused(struct web_pipe *p)
{
	char text[WEB_TEXT_MAX + 1];

	(void)web_head_body(
		&p->head, p->answer.data + p->head.len, p->answer.len - p->head.len, text);
	pipe_finish(p, 0, text);
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct web_pipe *p = userdata;
	struct web *w = p->t.web;

	(void)source;
	(void)usec;
	if (transfer_is_mute(&p->t))
		return 0;
	web_enter(w);
	if (p->state == PIPE_REFUSED)
		pipe_finish_refused(p);
	else
		pipe_finish(p, -ETIMEDOUT, "no answer came in time");
	web_leave(w);
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct web_pipe *p = userdata;
	struct web *w = p->t.web;

	(void)source;
	(void)fd;
	(void)revents;
	if (transfer_is_mute(&p->t))
		return 0;
	web_enter(w);
	pipe_pump(p);
	web_leave(w);
	return 0;
}

static void connected(struct transfer *t, CURLcode code)
{
	struct web_pipe *p = (struct web_pipe *)t;
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (code == CURLE_OK)
		code = curl->getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (code != CURLE_OK || fd == CURL_SOCKET_BAD) {
		pipe_finish_by(p, code == CURLE_OK ? CURLE_RECV_ERROR : code);
		return;
	}
	p->fd = fd;
	p->state = PIPE_ASKS;
	int r = sd_event_add_io(t->web->loop, &p->io, fd, EPOLLIN, on_io, p);
	if (r < 0)
		pipe_finish(p, r, "cannot watch the connection");
	else
		pipe_pump(p);
}

/* ---- the user's side ---- */

static int set_up(struct web_pipe *p, const char *method, const char *path, uint64_t timeout)
{
	struct web *w = p->t.web;
	CURL *e = p->t.easy;

	CURLcode r = curl->setopt(e, CURLOPT_CONNECT_ONLY, 1L);
	/* Not one that is kept for calls. (FORBID_REUSE would close it at once.) */
	r |= curl->setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	if (r != CURLE_OK)
		return -ENOMEM;
	int n = asprintf(&p->out,
		"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
		"Content-Length: 0\r\n\r\n",
		method, path, strstr(w->base, "://") + 3);
	if (n < 0) {
		p->out = NULL;
		return -ENOMEM;
	}
	p->out_len = (size_t)n;
	return timeout ? sd_event_add_time_relative(w->loop, &p->late, CLOCK_MONOTONIC,
				 timeout / NSEC_PER_USEC + 1, SLACK, on_late, p)
		       : 0;
}

int web_pipe_open(struct web *w, const char *method, const char *path, uint64_t timeout,
	const struct web_pipe_events *events, void *userdata, struct web_pipe **ret_pipe,
	struct err *err)
{
	struct web_pipe *p = calloc(1, sizeof *p);

	if (!p)
		return err_errno(err, -ENOMEM, "HTTP request");
	p->events = events;
	p->userdata = userdata;
	p->fd = -1;
	p->answer = STRBUF((size_t)WEB_HEAD_MAX + WEB_PIECE);
	int r = transfer_init(&p->t, w, &pipe_kind, "/", err);
	if (r < 0) {
		free(p);
		return r;
	}
	r = set_up(p, method, path, timeout);
	if (r < 0)
		(void)err_errno(err, r, "HTTP request");
	else
		r = transfer_start(&p->t, err);
	if (r < 0) {
		destroy(&p->t);
		return r;
	}
	*ret_pipe = p;
	return 0;
}

void web_pipe_resume(struct web_pipe *p)
{
	if (transfer_is_mute(&p->t))
		return;
	p->resumed = true;
	transfer_later(&p->t, TODO_RESUME);
}

struct web_pipe *web_pipe_close(struct web_pipe *p)
{
	if (p && !p->t.over)
		transfer_free(&p->t);
	return NULL;
}

static const struct transfer_kind pipe_kind = {
	.ended = connected,
	.resume = pipe_resume,
	.destroy = destroy,
};
