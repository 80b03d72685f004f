#include "base/clock.h"
#include "base/str.h"
#include "logs/router_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#define TURNS_BYTES ((size_t)1 << 20) /* of all pipes before the rest of the loop has its turn */

/* ---- the sink ---- */

static void on_writable(void *userdata)
{
	struct router *r = userdata;

	r->stalled = false;
	router_pump(r);
}

void router_pump_later(struct router *r)
{
	(void)sd_event_source_set_enabled(r->more, SD_EVENT_ONESHOT);
}

/* The carry has the lines: their bytes are taken before the sink gets any of them. */
static void take_handed(struct router *r, struct carry *c)
{
	struct tap *t;

	TAILQ_FOREACH(t, &r->handed, handed_link)
	if (t->handed)
		carry_will_take(c, t->dev, t->ino, t->handed);
	carry_publish(c);
	TAILQ_FOREACH(t, &r->handed, handed_link)
	if (t->handed) {
		carry_take(c, t->fd);
		tap_taken(t);
	}
}

/* True when all that the sink held is out. A broken sink says so once and swallows from then on:
 * nobody is left to be told. */
static bool flush_sink(struct router *r)
{
	if (r->sink->carry)
		take_handed(r, r->sink->carry);
	dests_flush(r);
	if (r->sink->ops->flush(r->sink) != -EAGAIN)
		return true;
	r->stalled = true;
	if (r->sink->ops->when_writable(r->sink, r->loop, on_writable, r) < 0) {
		/* Out of memory: without a call back the loop itself must come back. */
		r->stalled = false;
		router_pump_later(r);
	}
	return false;
}

bool router_give(struct router *r, const struct log_line *line)
{
	const struct log_span span = {
		.len = (uint32_t)line->len,
		.end = (uint32_t)line->len,
		.whole = line->whole,
		.partial = line->partial,
	};
	const struct log_lines lines = {.head = *line, .data = line->text, .spans = &span, .n = 1};

	return router_give_lines(r, NULL, &lines) == 1;
}

/* ---- taps ---- */

void router_queue(struct router *r, struct tap *t)
{
	if (t->in != &r->ready)
		tap_move(t, &r->ready);
}

void router_hand(struct router *r, struct tap *t, size_t bytes)
{
	t->handed += bytes;
	if (t->listed)
		return;
	TAILQ_INSERT_TAIL(&r->handed, t, handed_link);
	t->listed = true;
	r->n_handed++;
}

size_t sink_lines(struct sink *s, const struct log_lines *lines)
{
	size_t n = s->ops->lines ? s->ops->lines(s, lines) : 0;

	if (n > 0)
		return n;
	for (; n < lines->n; n++) {
		struct log_line line = lines_at(lines, n);

		if (s->ops->line(s, &line) == -EAGAIN)
			break;
	}
	return n;
}

/* As many as the sink and all others have room for. */
static size_t give_some(struct router *r, struct tap *t, const struct log_lines *lines)
{
	struct log_lines some = *lines;

	if (t && r->n_handed == CARRY_TAKES)
		return 0;
	some.n = dests_fit(r, t, lines);
	if (some.n > 0)
		some.n = sink_lines(r->sink, &some);
	if (some.n == 0)
		return 0;
	dests_put(r, t, &some);
	if (t) {
		size_t bytes = some.spans[some.n - 1].end - some.spans[0].at;

		router_hand(r, t, bytes);
		r->lines += some.n;
		r->bytes += bytes;
	}
	return some.n;
}

size_t router_give_lines(struct router *r, struct tap *t, const struct log_lines *lines)
{
	struct log_lines rest = *lines;

	for (bool flushed = false; rest.n > 0; flushed = true) {
		size_t n = give_some(r, t, &rest);

		rest.spans += n;
		rest.n -= n;
		flushed = flushed && n == 0;
		if (rest.n > 0 && (flushed || !flush_sink(r)))
			break;
	}
	return lines->n - rest.n;
}

/* Lets the sink's lines out and takes them from their pipes. False when the sink stalls. */
static bool push(struct router *r)
{
	if (!flush_sink(r))
		return false;
	for (struct tap *t; (t = TAILQ_FIRST(&r->handed));) {
		TAILQ_REMOVE(&r->handed, t, handed_link);
		t->listed = false;
		r->n_handed--;
		tap_take(t, r->data, sizeof r->data);
		/* From here on `done` may come back into the router: nothing of t is used after. */
		if (t->finishing && t->owed == 0)
			router_over(r, t);
		else if (t->finishing || tap_held(t) > t->rest + (t->hot ? LOOK_BYTES / 2 : 0))
			router_queue(r, t);
		else if (t->rest > 0 && !t->in)
			router_watch(r, t);
	}
	return true;
}

/* The sink has stalled just now: nothing else comes back to those that go on. */
static void wake_droppers(struct router *r)
{
	struct tap *t;

	/* More may be in their pipes than was looked at. */
	TAILQ_FOREACH(t, &r->handed, handed_link)
	if (t->drop && !t->handed && !t->in)
		router_queue(r, t);
	TAILQ_FOREACH(t, &r->hot, link)
	if (t->drop)
		break;
	if (t)
		router_beat(r);
	TAILQ_FOREACH(t, &r->ready, link)
	if (t->drop && !t->handed && !r->held)
		break;
	if (t)
		router_pump_later(r);
}

/* Says in the log itself what it lacks. */
static bool tell_lost(struct router *r)
{
	char text[L10_BYTES];

	if (r->lost == 0)
		return true;
	struct log_line line = dests_l10(r->lost, r->lost_since, text);
	int e = r->sink->ops->line(r->sink, &line);
	if (e == -EAGAIN && flush_sink(r))
		e = r->sink->ops->line(r->sink, &line);
	if (e == -EAGAIN)
		return false;
	r->lost = 0;
	return true;
}

static bool tell_notes(struct router *r)
{
	struct log_line line = {.source = "hsup", .stream = STREAM_SYSTEM};

	if (!tell_lost(r))
		return false;
	for (struct note *n; (n = notes_first(&r->notes)); notes_pop(&r->notes)) {
		line.wall_ns = n->wall_ns;
		line.procid = n->procid;
		line.text = n->text;
		line.len = n->len;
		if (!router_give(r, &line))
			return false;
	}
	if (r->notes.untold) {
		char text[100];

		line.wall_ns = clock_wall();
		line.procid = "supervisor";
		line.text = text;
		line.len = (size_t)snprintf(text, sizeof text,
			"%llu lines of hsup's own were dropped while the output was stalled",
			(unsigned long long)r->notes.untold);
		if (!router_give(r, &line))
			return false;
		r->notes.untold = 0;
	}
	return true;
}

/* Of types whose dynos do not wait for a sink that stalls. */
static void pump_droppers(struct router *r)
{
	for (struct tap *t = TAILQ_FIRST(&r->ready), *next; t && !r->held; t = next) {
		next = TAILQ_NEXT(t, link);
		if (!t->drop || t->handed)
			continue;
		tap_move(t, NULL);
		router_drop_turn(r, t);
		if (t->finishing && t->owed == 0 && !t->listed) {
			/* Its owner may come back in: the list is another then. */
			router_over(r, t);
			next = TAILQ_FIRST(&r->ready);
		}
	}
	router_beat(r);
}

void router_pump(struct router *r)
{
	size_t budget = TURNS_BYTES;

	if (r->stalled)
		pump_droppers(r);
	if (r->stalled)
		return;
	if (!push(r) || !tell_notes(r)) {
		wake_droppers(r);
		return;
	}
	for (struct tap *t;
		budget > 0 && !r->stalled && !r->held && (t = TAILQ_FIRST(&r->ready));) {
		tap_move(t, NULL);
		if (t->handed)
			continue;
		size_t looked = router_turn(r, t);

		budget -= looked < budget ? looked : budget;
		if (t->finishing && t->owed == 0 && !t->listed)
			router_over(r, t);
	}
	if (!r->stalled && push(r) && !r->held && !TAILQ_EMPTY(&r->ready))
		router_pump_later(r);
	if (r->stalled)
		wake_droppers(r);
	else
		router_beat(r);
}

int router_collect(struct router *r)
{
	struct epoll_event events[256];
	int n = epoll_wait(r->epoll, events, (int)ARRAY_SIZE(events), 0);

	for (int i = 0; i < n; i++)
		router_queue(r, events[i].data.ptr);
	return n;
}
