/* From there to us. */
#include "io/web_pipe_private.h"

#include <errno.h>
#include <sys/epoll.h>

#define AT_ONCE 16 /* pieces read before others have their turn */

static void give(struct web_pipe *p, const char *data, size_t len)
{
	int r = len ? p->events->data(p->userdata, data, len) : 0;

	if (transfer_is_mute(&p->t) || r == 0)
		return;
	if (r != -EAGAIN) {
		pipe_finish(p, -ECANCELED, "given up");
		return;
	}
	p->no_data = true;
	p->held = malloc(len);
	if (!p->held) {
		pipe_finish(p, -ENOMEM, "out of memory");
		return;
	}
	memcpy(p->held, data, len);
	p->held_len = len;
}

static void opened(struct web_pipe *p)
{
	/* What came with the head belongs to the pipe; the buffer is not needed any more. */
	struct strbuf answer = p->answer;

	p->answer = (struct strbuf){0};
	p->state = PIPE_OPEN;
	if (p->want_writable)
		transfer_later(&p->t, TODO_RESUME);
	p->late = sd_event_source_disable_unref(p->late);
	p->events->opened(p->userdata);
	if (!transfer_is_mute(&p->t))
		give(p, answer.data + p->head.len, answer.len - p->head.len);
	strbuf_done(&answer);
}

static void take_answer(struct web_pipe *p, const char *data, size_t len)
{
	char text[WEB_TEXT_MAX + 1];

	if (p->out) {
		pipe_finish(p, -EPROTO, "it answers before it is asked");
		return;
	}
	if (strbuf_add(&p->answer, data, len) < 0) {
		pipe_finish(
			p, p->answer.error == -E2BIG ? -EPROTO : -ENOMEM, "the answer is too long");
		return;
	}
	while (p->state == PIPE_ASKS) {
		int r = web_head_parse(p->answer.data, p->answer.len, &p->head);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			pipe_finish(p, r, "what answers speaks no HTTP");
			return;
		}
		if (p->head.status == 101 || p->head.status == 200) {
			opened(p);
			return;
		}
		if (p->head.status >= 200) {
			p->state = PIPE_REFUSED;
			break;
		}
		/* Another head follows an interim one. */
		p->answer.len -= p->head.len;
		memmove(p->answer.data, p->answer.data + p->head.len, p->answer.len + 1);
		p->head.status = 0;
		if (p->answer.len == 0)
			return;
	}
	if (web_head_body(
		    &p->head, p->answer.data + p->head.len, p->answer.len - p->head.len, text))
		pipe_finish(p, 0, text);
}

static void ended_there(struct web_pipe *p)
{
	if (p->state == PIPE_OPEN)
		pipe_finish(p, 0, "");
	else if (p->state == PIPE_REFUSED)
		pipe_finish_refused(p);
	else
		pipe_finish(p, -ECONNRESET, "it ended without an answer");
}

static void read_some(struct web_pipe *p)
{
	char data[WEB_PIECE];

	/* To the last byte: what TLS has decrypted already no poll tells of. */
	for (int i = 0; i < AT_ONCE && !p->no_data; i++) {
		size_t n = 0;
		CURLcode code = curl->recv(p->t.easy, data, sizeof data, &n);

		if (code == CURLE_AGAIN)
			return;
		if (code != CURLE_OK)
			pipe_finish_by(p, code);
		else if (n == 0)
			ended_there(p);
		else if (p->state == PIPE_OPEN)
			give(p, data, n);
		else
			take_answer(p, data, n);
		if (transfer_is_mute(&p->t))
			return;
	}
	if (!p->no_data)
		transfer_later(&p->t, TODO_RESUME);
}

static void watch(struct web_pipe *p)
{
	uint32_t events = p->no_data ? 0 : EPOLLIN;

	if (pipe_has_to_send(p))
		events |= EPOLLOUT;
	/* A hang-up is told even to who asks for nothing, again and again. */
	(void)sd_event_source_set_io_events(p->io, events);
	(void)sd_event_source_set_enabled(p->io, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

void pipe_pump(struct web_pipe *p)
{
	CURLcode code = pipe_flush(p);

	if (transfer_is_mute(&p->t))
		return;
	if (code != CURLE_OK) {
		pipe_finish_by(p, code);
		return;
	}
	read_some(p);
	if (!transfer_is_mute(&p->t))
		watch(p);
}

void pipe_resume(struct transfer *t)
{
	struct web_pipe *p = (struct web_pipe *)t;
	bool resumed = p->resumed;

	if (p->fd < 0)
		return;
	/* Before the user is asked, who may say it again. */
	p->resumed = false;
	if (resumed && p->no_data) {
		_cleanup_free_ char *held = TAKE_PTR(p->held);

		p->no_data = false;
		give(p, held, p->held_len);
		if (transfer_is_mute(t))
			return;
	}
	pipe_pump(p);
}
