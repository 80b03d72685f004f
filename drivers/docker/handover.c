/* Bytes that a container reads first of all: nothing else of them is left anywhere. */
#include "drivers/docker/attach.h"

#include <errno.h>
#include <stdio.h>

struct handover {
	struct web_pipe *pipe;
	void (*opened)(void *userdata);
	void (*done)(void *userdata, int r, const struct err *err);
	void *userdata;
	bool is_open, shut;
	size_t len, sent;
	char data[];
};

static void give(struct handover *h)
{
	while (h->sent < h->len) {
		ssize_t n = web_pipe_send(h->pipe, h->data + h->sent, h->len - h->sent);

		if (n <= 0)
			return; /* `writable` or `closed` follows */
		h->sent += (size_t)n;
	}
	if (!h->shut) {
		h->shut = true;
		(void)web_pipe_shut(h->pipe);
	}
}

static void on_opened(void *userdata)
{
	struct handover *h = userdata;

	h->is_open = true;
	give(h);
	if (h->opened)
		h->opened(h->userdata);
}

static void on_writable(void *userdata)
{
	give(userdata);
}

static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	(void)data;
	(void)len;
	return 0;
}

static void on_closed(void *userdata, const struct web_result *result)
{
	struct handover *h = userdata;
	struct err err = {0};

	h->pipe = NULL;
	if (result->error < 0)
		(void)err_errno(
			&err, result->error, "%s", result->text[0] ? result->text : "attach");
	else if (!h->is_open)
		(void)err_set(&err, -EPROTO, "attach: the engine answers with %u: %s",
			result->status, result->text);
	else if (!h->shut)
		(void)err_set(&err, -EPIPE, "attach: the container does not read");
	void (*done)(void *, int, const struct err *) = h->done;
	userdata = h->userdata;
	handover_free(h);
	done(userdata, err.code, &err);
}

static const struct web_pipe_events pipe_events = {
	.opened = on_opened,
	.data = on_data,
	.writable = on_writable,
	.closed = on_closed,
};

int handover_new(struct engine *engine, const char *container, const void *data, size_t len,
	void (*opened)(void *userdata), void (*done)(void *userdata, int r, const struct err *err),
	void *userdata, struct handover **ret_handover, struct err *err)
{
	struct handover *h = calloc(1, sizeof *h + len);
	char path[200];

	if (!h)
		return err_errno(err, -ENOMEM, "attach");
	h->opened = opened;
	h->done = done;
	h->userdata = userdata;
	h->len = len;
	if (len > 0)
		memcpy(h->data, data, len);
	(void)snprintf(path, sizeof path, "/containers/%.100s/attach?stream=1&stdin=1", container);
	int r = engine_pipe(engine, path, &pipe_events, h, &h->pipe, err);
	if (r < 0) {
		handover_free(h);
		return r;
	}
	*ret_handover = h;
	return 0;
}

struct handover *handover_free(struct handover *h)
{
	if (!h)
		return NULL;
	web_pipe_close(h->pipe);
	explicit_bzero(h->data, h->len);
	free(h);
	return NULL;
}
