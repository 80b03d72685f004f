/* The standard input of a dyno that has one: from its FIFO to its container. */
#include "drivers/docker/attach.h"

#include "base/clock.h"
#include "base/fd.h"
#include "drivers/stdin_fifo.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FEED_BYTES ((size_t)4 << 10)
#define FEED_AGAIN NSEC_PER_SEC

struct feed {
	struct engine *engine;
	sd_event *loop;
	char *dir, *container;
	uint64_t id;
	uint32_t generation;
	int fifo;
	struct web_pipe *pipe; /* opened when there is something to send */
	bool opened;
	sd_event_source *readable, *again;
	char data[FEED_BYTES];
	size_t len, sent;
};

static void pump(struct feed *f);

static int wake(sd_event_source *source)
{
	return source ? sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) : 0;
}

static void on_opened(void *userdata)
{
	struct feed *f = userdata;

	f->opened = true;
	pump(f);
}

static void on_writable(void *userdata)
{
	pump(userdata);
}

static void try_later(struct feed *f)
{
	f->opened = false;
	(void)sd_event_source_set_time_relative(f->again, FEED_AGAIN / NSEC_PER_USEC);
	(void)wake(f->again);
}

/* What it had taken is its own; the rest waits here, and in the FIFO. */
static void on_closed(void *userdata, const struct web_result *result)
{
	struct feed *f = userdata;

	(void)result;
	f->pipe = NULL;
	(void)sd_event_source_set_enabled(f->readable, SD_EVENT_OFF);
	try_later(f);
}

/* It was asked for nothing that it could say. */
static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	(void)data;
	(void)len;
	return 0;
}

static const struct web_pipe_events pipe_events = {
	.opened = on_opened,
	.data = on_data,
	.writable = on_writable,
	.closed = on_closed,
};

static void connect_pipe(struct feed *f)
{
	char path[200];
	struct err err;

	(void)snprintf(
		path, sizeof path, "/containers/%.100s/attach?stream=1&stdin=1", f->container);
	if (engine_pipe(f->engine, path, &pipe_events, f, &f->pipe, &err) < 0) {
		f->pipe = NULL;
		try_later(f);
	}
}

static void pump(struct feed *f)
{
	if (!f->pipe && f->len > 0)
		connect_pipe(f);
	if (!f->opened)
		return;
	while (f->sent < f->len) {
		ssize_t n = web_pipe_send(f->pipe, f->data + f->sent, f->len - f->sent);

		if (n <= 0)
			return; /* `writable` or `closed` follows */
		f->sent += (size_t)n;
	}
	f->sent = f->len = 0;
	(void)wake(f->readable);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct feed *f = userdata;

	(void)events;
	ssize_t n = read(fd, f->data, sizeof f->data);
	if (n > 0) {
		f->len = (size_t)n;
		pump(f);
		return 0;
	}
	return wake(source);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct feed *f = userdata;

	(void)source;
	(void)usec;
	if (f->len > 0)
		pump(f);
	else
		(void)wake(f->readable);
	return 0;
}

static int open_fifo(struct feed *f)
{
	f->fifo = stdin_fifo_find(f->dir, f->id, f->generation);
	if (f->fifo == -ENXIO)
		f->fifo = stdin_fifo_make(f->dir, f->id, f->generation);
	return f->fifo < 0 ? f->fifo : fd_nonblock(f->fifo, true);
}

int feed_new(struct engine *engine, sd_event *loop, const char *dir, uint64_t id,
	uint32_t generation, const char *container, struct feed **ret_feed, struct err *err)
{
	struct feed *f = dir ? calloc(1, sizeof *f) : NULL;

	if (!f)
		return err_errno(err, dir ? -ENOMEM : -ENXIO, "Stdin");
	*f = (struct feed){.engine = engine,
		.loop = loop,
		.id = id,
		.generation = generation,
		.fifo = -1,
		.dir = strdup(dir),
		.container = strdup(container)};
	int r = f->dir && f->container ? open_fifo(f) : -ENOMEM;
	if (r < 0) {
		feed_free(f, false);
		return err_errno(err, r, "Stdin: %.300s", dir);
	}
	*ret_feed = f;
	return 0;
}

void feed_go(struct feed *f)
{
	if (f->readable)
		return;
	if (sd_event_add_time_relative(f->loop, &f->again, CLOCK_MONOTONIC, 0, 1000, on_again, f) <
			0 ||
		sd_event_source_set_enabled(f->again, SD_EVENT_OFF) < 0 ||
		sd_event_add_io(f->loop, &f->readable, f->fifo, EPOLLIN, on_readable, f) < 0)
		return;
	(void)wake(f->readable);
}

int feed_open(const struct feed *f)
{
	return stdin_fifo_open(f->dir, f->id, f->generation);
}

struct feed *feed_free(struct feed *f, bool ended)
{
	if (!f)
		return NULL;
	web_pipe_close(f->pipe);
	sd_event_source_disable_unref(f->readable);
	sd_event_source_disable_unref(f->again);
	(void)fd_close(f->fifo);
	if (ended && f->dir) {
		stdin_fifo_remove(f->dir, f->id, f->generation);
		(void)rmdir(f->dir); /* when it was the last */
	}
	free(f->dir);
	free(f->container);
	free(f);
	return NULL;
}
