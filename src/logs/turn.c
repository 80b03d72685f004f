/* A look at what one pipe holds, and its lines on their way. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "io/line.h"
#include "logs/router_private.h"

#include <string.h>

#define WHOLE_PREFIX 256 /* bytes at most of stamp and origin */

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

static struct log_lines lines_of(const struct router *r, const struct tap *t)
{
	return (struct log_lines){
		.head = {.wall_ns = clock_wall(),
			.source = "app",
			.procid = t->name,
			.color = t->color,
			.stream = t->stream},
		.data = r->data,
		.spans = r->spans,
	};
}

/* Gives the sink the whole lines that a pipe holds; bytes looked at. */
size_t router_turn(struct router *r, struct tap *t)
{
	struct look l = look(r, t);
	struct log_lines lines = lines_of(r, t);

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

void router_drop_turn(struct router *r, struct tap *t)
{
	struct look l = look(r, t);
	struct log_lines lines = lines_of(r, t);
	bool flushed = false;

	while ((lines.n = split(r, t, &l)) > 0) {
		size_t n = dests_fit(r, t, &lines);

		if (n == 0 && flushed)
			break;
		flushed = n == 0;
		if (n == 0) {
			dests_flush(r);
			continue;
		}
		lines.n = n;
		dests_put(r, t, &lines);
		l.used = r->spans[n - 1].end;
		r->lost_since = r->lost ? r->lost_since : lines.head.wall_ns;
		r->lost += n;
		r->dropped += n;
		r->lines += n;
	}
	dests_flush(r);
	r->bytes += l.used;
	t->handed = l.used;
	t->rest = l.len - l.used;
	tap_take(t, r->data, sizeof r->data);
	if (tap_held(t) > t->rest || (t->finishing && t->owed > 0)) {
		router_queue(r, t);
		router_pump_later(r);
	} else if (t->hot) {
		tap_move(t, &r->hot);
	} else if (t->rest > 0) {
		router_watch(r, t);
	}
}
