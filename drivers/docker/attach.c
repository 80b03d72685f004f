/* One container of `hsup run` and whoever has called it: its life. */
#include "drivers/docker/attach_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

/* The keys by which a terminal asks the engine to let go of it: the engine always has some, and
 * holds back what might be their beginning. No text in UTF-8 has these bytes, in any order. */
#define NO_DETACH_KEYS "%FE,%FF,%C0,%C1,%FE,%F8,%FF,%C1"

/* After the end of the container, for a stream without a byte and without an end. */
#define PATIENCE (5 * NSEC_PER_SEC)

void attach_blame(struct attach *a, int r, const char *what)
{
	if (!a->why.code)
		(void)err_errno(&a->why, r, "%s", what);
}

void attach_maybe_over(struct attach *a)
{
	if (a->pipe || attach_out_waits(a) || !a->started || !a->setup.over)
		return;
	attach_tty_end(a);
	attach_in_end(a);
	a->patience = sd_event_source_disable_unref(a->patience);
	void (*over)(void *, int, const struct err *) = TAKE_PTR(a->setup.over);
	over(a->setup.userdata, a->why.code, &a->why);
}

/* ---- the stream ---- */

static void on_opened(void *userdata)
{
	struct attach *a = userdata;

	a->opened = true;
	a->setup.opened(a->setup.userdata, 0, NULL);
}

static int on_data(void *userdata, const char *data, size_t len)
{
	/* What runs may write before the engine says that it does. */
	attach_tty_begin(userdata);
	return attach_out_take(userdata, data, len);
}

static void on_writable(void *userdata)
{
	attach_in_more(userdata);
}

static void on_closed(void *userdata, const struct web_result *result)
{
	struct attach *a = userdata;

	a->pipe = NULL;
	if (result->error < 0)
		attach_blame(a, result->error, result->text[0] ? result->text : "attach");
	if (a->opened) {
		attach_maybe_over(a);
		return;
	}
	if (!a->why.code)
		(void)err_set(&a->why, -EPROTO, "attach: the engine answers with %u: %s",
			result->status, result->text);
	a->setup.opened(a->setup.userdata, a->why.code, &a->why);
}

static const struct web_pipe_events pipe_events = {
	.opened = on_opened,
	.data = on_data,
	.writable = on_writable,
	.closed = on_closed,
};

static int open_pipe(struct attach *a, struct err *err)
{
	char path[300];

	(void)snprintf(path, sizeof path,
		"/containers/%.100s/attach?stream=1&stdin=1&stdout=1&stderr=1%s", a->container,
		a->tty.on ? "&detachKeys=" NO_DETACH_KEYS : "");
	return engine_pipe(a->engine, path, &pipe_events, a, &a->pipe, err);
}

/* ---- for its owner ---- */

int attach_new(const struct attach_setup *setup, struct attach **ret_attach, struct err *err)
{
	struct attach *a = calloc(1, sizeof *a);

	if (!a)
		return err_errno(err, -ENOMEM, "attach");
	a->in.fd = a->out.outlets[0].fd = a->out.outlets[1].fd = -1;
	a->engine = setup->engine;
	a->loop = setup->loop;
	a->setup = *setup;
	memcpy(a->stdio, setup->stdio, sizeof a->stdio);
	a->tty.on = attach_is_tty(setup->stdio);
	a->container = strdup(setup->container);
	int r = a->container ? attach_in_open(a, setup) : -ENOMEM;
	if (r == 0)
		r = attach_out_open(a, setup->stdio);
	r = r < 0 ? err_errno(err, r, "attach") : open_pipe(a, err);
	if (r < 0) {
		attach_free(a);
		return r;
	}
	*ret_attach = a;
	return 0;
}

struct attach *attach_free(struct attach *a)
{
	if (!a)
		return NULL;
	web_pipe_close(a->pipe);
	attach_tty_end(a);
	attach_in_end(a);
	attach_out_end(a);
	sd_event_source_disable_unref(a->patience);
	sd_event_source_disable_unref(a->ending);
	free(a->container);
	free(a);
	return NULL;
}

static int on_ending(sd_event_source *source, void *userdata)
{
	(void)source;
	attach_maybe_over(userdata);
	return 0;
}

void attach_started(struct attach *a)
{
	a->started = true;
	attach_tty_begin(a);
	attach_in_begin(a);
	/* It may have broken off since `opened`. */
	if (!a->pipe)
		(void)sd_event_add_defer(a->loop, &a->ending, on_ending, a);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct attach *a = userdata;
	uint64_t silent = clock_now() - a->heard_at;

	(void)usec;
	/* While a reader of ours is waited for the engine is, too. */
	if (attach_out_waits(a))
		silent = 0;
	if (a->pipe && silent >= PATIENCE) {
		attach_blame(a, -ETIMEDOUT, "attach: the engine does not end the stream");
		a->pipe = web_pipe_close(a->pipe);
		attach_maybe_over(a);
		return 0;
	}
	(void)sd_event_source_set_time_relative(source, (PATIENCE - silent) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

void attach_finish(struct attach *a)
{
	if (a->finishing)
		return;
	a->finishing = true;
	attach_in_end(a);
	a->heard_at = clock_now();
	if (a->pipe)
		(void)sd_event_add_time_relative(a->loop, &a->patience, CLOCK_MONOTONIC,
			PATIENCE / NSEC_PER_USEC, 1000, on_patience, a);
}
