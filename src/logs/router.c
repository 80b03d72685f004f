#include "logs/router.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "logs/router_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NOTE_BYTES 1200

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	(void)router_collect(userdata);
	router_pump(userdata);
	return 0;
}

static int on_more(sd_event_source *source, void *userdata)
{
	(void)source;
	router_pump(userdata);
	return 0;
}

void router_forget(struct router *r, struct tap *t)
{
	tap_move(t, NULL);
	if (t->listed) {
		TAILQ_REMOVE(&r->handed, t, handed_link);
		r->n_handed--;
	}
	TAILQ_REMOVE(&r->taps, t, all);
	dests_untap(r, t);
	/* close() is not enough: the launcher shares the open pipe, so epoll would keep it. */
	if (!t->hot)
		(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, t->fd, NULL);
	tap_free(t);
}

void router_over(struct router *r, struct tap *t)
{
	void (*done)(void *userdata) = t->done;
	void *userdata = t->userdata;

	router_forget(r, t);
	if (done)
		done(userdata);
}

/* ---- the outside ---- */

static int open_router(struct router *r)
{
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0 || pipe2(r->scratch, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* One look passes at once, when the user may have such a pipe. */
	(void)fcntl(r->scratch[1], F_SETPIPE_SZ, 2 * LOOK_BYTES);
	int e = sd_event_add_io(r->loop, &r->io, r->epoll, EPOLLIN, on_io, r);
	if (e >= 0)
		e = sd_event_add_defer(r->loop, &r->more, on_more, r);
	if (e >= 0)
		e = sd_event_source_set_enabled(r->more, SD_EVENT_OFF);
	if (e >= 0)
		e = router_watch_start(r);
	if (e >= 0)
		e = router_heat_start(r);
	return e < 0 ? e : 0;
}

struct router *router_new(sd_event *loop, struct sink *sink, struct err *err)
{
	struct router *r = calloc(1, sizeof *r);

	if (!r) {
		sink->ops->free(sink);
		(void)err_errno(err, -ENOMEM, "log router");
		return NULL;
	}
	r->loop = sd_event_ref(loop);
	r->sink = sink;
	r->epoll = r->scratch[0] = r->scratch[1] = -1;
	TAILQ_INIT(&r->taps);
	TAILQ_INIT(&r->ready);
	TAILQ_INIT(&r->watched);
	TAILQ_INIT(&r->hot);
	TAILQ_INIT(&r->handed);
	notes_init(&r->notes);
	dests_init(r);
	r->book = sink->carry ? sink->carry : carry_new();
	if (!r->book) {
		(void)err_errno(err, -ENOMEM, "log router");
		return router_free(r);
	}

	int e = open_router(r);
	if (e < 0) {
		(void)err_errno(err, e, "log router");
		return router_free(r);
	}
	if (sink->carry) {
		r->carry = carry_owes(sink->carry) ? sink->carry : NULL;
		r->held = r->carry != NULL;
		/* What an earlier supervisor held goes first. */
		router_pump_later(r);
	}
	return r;
}

struct router *router_free(struct router *r)
{
	if (!r)
		return NULL;
	while (!TAILQ_EMPTY(&r->taps))
		router_forget(r, TAILQ_FIRST(&r->taps));
	sd_event_source_disable_unref(r->io);
	sd_event_source_disable_unref(r->more);
	sd_event_source_disable_unref(r->timer);
	sd_event_source_disable_unref(r->beat);
	fd_close(r->epoll);
	fd_close(r->scratch[0]);
	fd_close(r->scratch[1]);
	notes_done(&r->notes);
	dests_done(r);
	if (r->book != r->sink->carry)
		carry_free(r->book);
	r->sink->ops->free(r->sink);
	sd_event_unref(r->loop);
	free(r);
	return NULL;
}

void router_pass_whole(struct router *r)
{
	r->pass_whole = true;
}

int router_tap(struct router *r, const char *name, unsigned color, enum log_stream stream, int fd,
	struct tap **ret_tap)
{
	struct tap *t = tap_new(name, color, stream, fd);

	if (!t) {
		fd_close(fd);
		return -ENOMEM;
	}
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = t};
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int e = -errno;
		tap_free(t);
		return e;
	}
	if (r->carry)
		carry_adopt(r->carry, t->dev, t->ino, fd);
	TAILQ_INSERT_TAIL(&r->taps, t, all);
	dests_tap(t);
	*ret_tap = t;
	return 0;
}

void router_hold(struct router *r)
{
	r->held = true;
}

void router_adopted(struct router *r)
{
	if (r->carry)
		carry_adopted(r->carry);
	r->carry = NULL;
	r->held = false;
	router_pump_later(r);
}

void router_finish(struct router *r, struct tap *t, void (*done)(void *userdata), void *userdata)
{
	t->finishing = true;
	t->done = done;
	t->userdata = userdata;
	/* What is there now, not what may come: someone who still has the pipe open could write
	 * faster than we read, for ever. The dyno itself wrote all it had to write. */
	t->owed = tap_held(t);
	if (t->owed == 0) {
		router_over(r, t);
		return;
	}
	/* At once when possible, so that the last words stand before the note about the end. */
	router_queue(r, t);
	router_pump(r);
}

void router_note(struct router *r, const char *procid, const char *fmt, ...)
{
	char raw[NOTE_BYTES], text[NOTE_BYTES + 200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	/* Names and messages may come from a release: nothing of them may steer the terminal. */
	(void)str_printable(raw, strlen(raw), text, sizeof text);

	struct log_line line = {
		.wall_ns = clock_wall(),
		.source = "hsup",
		.procid = procid ? procid : "supervisor",
		.stream = STREAM_SYSTEM,
		.text = text,
		.len = strlen(text),
	};
	if (r->stalled || notes_first(&r->notes) || r->notes.untold || !router_give(r, &line))
		notes_add(&r->notes, line.wall_ns, line.procid, text, line.len);
	if (!r->stalled)
		router_pump_later(r);
}

void router_disown(struct router *r)
{
	struct tap *t;

	TAILQ_FOREACH(t, &r->taps, all)
	t->done = NULL;
}

void router_flush(struct router *r, uint64_t wait_ns)
{
	uint64_t deadline = clock_now() + wait_ns;

	for (;;) {
		int news = router_collect(r);

		router_watch_round(r);
		router_heat_all(r);
		router_pump(r);
		uint64_t now = clock_now();

		if (!r->stalled && news <= 0 && (r->held || TAILQ_EMPTY(&r->ready)))
			return;
		if (now >= deadline)
			return;
		if (r->stalled) {
			if (r->sink->ops->wait(r->sink, deadline - now) < 0)
				return;
			r->stalled = false;
		}
	}
}

uint64_t router_dropped(const struct router *r)
{
	return r->notes.dropped;
}
