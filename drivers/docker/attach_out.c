/* What the container writes, to whoever reads it: the engine waits for them, nobody else does. */
#include "drivers/docker/attach_private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define DEAF_GRACE NSEC_PER_SEC
#define NO_STREAM  "the engine sends what is no stream of a container"

static int resume(sd_event_source *source, int fd, uint32_t events, void *userdata);

int attach_out_open(struct attach *a, const int stdio[3])
{
	struct attach_out *o = &a->out;

	for (unsigned i = 0; i < 2; i++) {
		int r = outlet_open(&o->outlets[i], stdio[i + 1]);

		if (r < 0)
			return r;
		o->terminal[i] = isatty(stdio[i + 1]);
		r = sd_event_add_io(
			a->loop, &o->writable[i], o->outlets[i].fd, EPOLLOUT, resume, a);
		/* A regular file is never waited for. */
		if (r < 0 && r != -EPERM)
			return r;
		if (r >= 0 && (r = sd_event_source_set_enabled(o->writable[i], SD_EVENT_OFF)) < 0)
			return r;
	}
	return 0;
}

void attach_out_end(struct attach *a)
{
	struct attach_out *o = &a->out;

	for (unsigned i = 0; i < 2; i++) {
		o->writable[i] = sd_event_source_disable_unref(o->writable[i]);
		outlet_close(&o->outlets[i]);
	}
	free(o->held);
	o->held = NULL;
	o->data = NULL;
	o->len = o->cap_held = 0;
}

bool attach_out_waits(const struct attach *a)
{
	return a->out.len > 0;
}

/* As a program that writes itself would be told. */
static void turn_deaf(struct attach *a, unsigned i, int error)
{
	struct attach_out *o = &a->out;

	o->writable[i] = sd_event_source_disable_unref(o->writable[i]);
	outlet_close(&o->outlets[i]);
	o->deaf_at = clock_now();
	if (error != EPIPE && !o->terminal[i])
		attach_blame(a, -error, i ? "standard error" : "standard output");
	a->setup.deaf(a->setup.userdata, error == EPIPE	  ? SIGPIPE
					 : o->terminal[i] ? SIGHUP
							  : SIGTERM);
}

/* Bytes, or -EAGAIN: `resume` goes on. */
static ssize_t write_some(struct attach *a, unsigned i, const char *data, size_t len)
{
	struct attach_out *o = &a->out;
	struct outlet *to = &o->outlets[i];

	if (to->fd < 0) {
		if (!o->deaf_said && clock_now() - o->deaf_at > DEAF_GRACE) {
			o->deaf_said = true;
			a->setup.deaf(a->setup.userdata, SIGTERM);
		}
		return (ssize_t)len;
	}
	for (;;) {
		ssize_t n = outlet_write(to, data, outlet_piece(to, data, len));

		if (n >= 0)
			return n;
		if (errno == EAGAIN && o->writable[i]) {
			int r = sd_event_source_set_enabled(o->writable[i], SD_EVENT_ONESHOT);
			return r < 0 ? r : -EAGAIN;
		}
		if (errno != EINTR) {
			turn_deaf(a, i, errno);
			return (ssize_t)len;
		}
	}
}

/* The frame in front, or as much of it as there is. */
static int parse(struct attach_out *o)
{
	struct stream_piece piece = {0};

	ssize_t n = stream_next(&o->parser, o->data, o->len, &piece);
	if (n < 0)
		return (int)n;
	size_t payload = piece.data ? piece.len : 0;
	o->data += (size_t)n - payload;
	o->len -= (size_t)n - payload;
	o->left = payload;
	o->which = piece.which == STREAM_STDERR || piece.which == STREAM_SYSTEM_ERROR;
	return 0;
}

/* 0 = all is written; -EAGAIN = a reader is waited for; -EBADMSG */
static int pour(struct attach *a)
{
	struct attach_out *o = &a->out;

	while (o->len > 0) {
		if (o->left == 0 && a->tty.on)
			o->left = o->len;
		if (o->left == 0) {
			int r = parse(o);

			if (r < 0)
				return r;
			continue;
		}
		ssize_t n = write_some(a, o->which, o->data, o->left);
		if (n < 0)
			return (int)n;
		o->data += n;
		o->len -= (size_t)n;
		o->left -= (size_t)n;
	}
	return 0;
}

static int hold(struct attach_out *o)
{
	int r = mem_grow(&o->held, &o->cap_held, o->len, SIZE_MAX, 1);

	if (r < 0)
		return r;
	memcpy(o->held, o->data, o->len);
	o->data = o->held;
	return 0;
}

int attach_out_take(struct attach *a, const char *data, size_t len)
{
	struct attach_out *o = &a->out;

	a->heard_at = clock_now();
	if (attach_out_waits(a))
		return -EAGAIN;
	o->data = data;
	o->len = len;
	int r = pour(a);
	if (r == -EAGAIN)
		r = hold(o);
	if (r < 0) {
		o->len = 0;
		attach_blame(a, r, r == -EBADMSG ? NO_STREAM : "standard output");
	}
	return r;
}

static int resume(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct attach *a = userdata;

	(void)source;
	(void)fd;
	(void)events;
	int r = pour(a);
	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		a->out.len = 0;
		attach_blame(a, r, NO_STREAM);
		a->pipe = web_pipe_close(a->pipe);
		attach_maybe_over(a);
		return 0;
	}
	a->heard_at = clock_now();
	if (a->pipe)
		web_pipe_resume(a->pipe);
	attach_maybe_over(a);
	return 0;
}
