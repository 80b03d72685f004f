#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "io/line.h"
#include "logs/router_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#define WHOLE_PREFIX 256	       /* bytes at most of stamp and origin */
#define TURNS_BYTES  ((size_t)1 << 20) /* of all pipes before the rest of the loop has its turn */

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

/* "2026-11-21T08:00:00.123456+00:00 app[shop/web.1]: text": a digit stands for any of them. */
static bool is_whole(const char *text, size_t len)
{
	static const char stamp[] = "0000-00-00T00:00:00.000000+00:00 ";

	if (len < sizeof stamp + 4)
		return false;
	for (size_t i = 0; i < sizeof stamp - 1; i++)
		if (stamp[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != stamp[i])
			return false;
	text += sizeof stamp - 1;
	return memcmp(text, "app[", 4) == 0 || memcmp(text, "hsup[", 5) == 0;
}

static void hand(struct router *r, struct tap *t, size_t bytes)
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

		hand(r, t, bytes);
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

/* ---- a turn ---- */

struct look {
	size_t len, used;
	bool end; /* nothing follows */
};

/* The next lines of what was looked at, as many as pass together. */
static size_t split(struct router *r, const struct tap *t, const struct look *l)
{
	size_t limit = r->pass_whole ? LIMIT_LINE + WHOLE_PREFIX : LIMIT_LINE, n = 0, at = l->used;

	for (; n < SPANS && at < l->len; n++) {
		const char *data = r->data + at;
		size_t text = 0, piece = line_next(data, l->len - at, limit, l->end, &text);

		/* No room for the rest of the line: waiting would stall the dyno for good. */
		if (piece == 0 && at == 0 && tap_may_be_full(t, l->len)) {
			piece = utf8_cut(data, l->len);
			text = piece = piece ? piece : l->len;
		}
		if (piece == 0)
			break;
		r->spans[n] = (struct log_span){
			.at = (uint32_t)at,
			.len = (uint32_t)text,
			.end = (uint32_t)(at + piece),
			.whole = r->pass_whole && is_whole(data, text),
			.partial = data[piece - 1] != '\n',
		};
		at += piece;
	}
	return n;
}

static struct look look(struct router *r, struct tap *t)
{
	struct look l = {0};

	l.len = tap_look(t, r->scratch, r->data, sizeof r->data);
	router_heat(r, t, l.len > t->rest ? l.len - t->rest : 0);
	if (t->finishing) {
		size_t held = tap_held(t);

		t->owed = held < t->owed ? held : t->owed;
		l.end = l.len >= t->owed;
		l.len = l.end ? t->owed : l.len;
	}
	return l;
}

/* Gives the sink the whole lines that a pipe holds; bytes looked at. */
static size_t turn(struct router *r, struct tap *t)
{
	struct look l = look(r, t);
	struct log_lines lines = {
		.head = {.wall_ns = clock_wall(),
			.source = "app",
			.procid = t->name,
			.color = t->color,
			.stream = t->stream},
		.data = r->data,
		.spans = r->spans,
	};

	while ((lines.n = split(r, t, &l)) > 0) {
		/* What is given may come back into the router, but not to another turn. */
		size_t n = router_give_lines(r, t, &lines);

		if (n > 0)
			l.used = r->spans[n - 1].end;
		if (n < lines.n) {
			router_queue(r, t);
			break;
		}
	}
	t->rest = l.len - l.used;
	if (t->rest == l.len && l.len > 0 && !t->in && !t->listed && !t->finishing && !t->hot)
		router_watch(r, t);
	if (t->hot && !t->in)
		tap_move(t, &r->hot);
	return l.len;
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

static bool tell_notes(struct router *r)
{
	struct log_line line = {.source = "hsup", .stream = STREAM_SYSTEM};

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

void router_pump(struct router *r)
{
	size_t budget = TURNS_BYTES;

	if (r->stalled || !push(r) || !tell_notes(r))
		return;
	for (struct tap *t;
		budget > 0 && !r->stalled && !r->held && (t = TAILQ_FIRST(&r->ready));) {
		tap_move(t, NULL);
		if (t->handed)
			continue;
		size_t looked = turn(r, t);

		budget -= looked < budget ? looked : budget;
		if (t->finishing && t->owed == 0 && !t->listed)
			router_over(r, t);
	}
	if (!r->stalled && push(r) && !r->held && !TAILQ_EMPTY(&r->ready))
		router_pump_later(r);
	if (!r->stalled)
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
