/* Reading: a cursor for each ring that fits, in a heap by the time of its line. For the last N
 * lines the cursors first go back from the end together, then forward. */
#include "logs/ring_cursor.h"

#include <errno.h>

struct ring_reader {
	struct ring_query query;
	struct cursor **heap; /* those with a line: the next one is first */
	struct cursor *cursors;
	size_t n_heap, n_cursors;
	size_t left;   /* lines */
	bool back;     /* the latest is first in the heap */
	bool consumed; /* the first one's line is given out */
	struct strbuf joined;
	char name[LIMIT_NAME + 1];
};

static bool goes_first(const struct ring_reader *r, const struct cursor *a, const struct cursor *b)
{
	if (a->wall_ns != b->wall_ns)
		return r->back ? a->wall_ns > b->wall_ns : a->wall_ns < b->wall_ns;
	return r->back ? a > b : a < b;
}

static void sift_down(struct ring_reader *r, size_t at)
{
	for (;;) {
		size_t best = at;

		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < r->n_heap; child++)
			if (goes_first(r, r->heap[child], r->heap[best]))
				best = child;
		if (best == at)
			return;
		struct cursor *moved = r->heap[at];
		r->heap[at] = r->heap[best];
		r->heap[best] = moved;
		at = best;
	}
}

/* The first one has another line now, or none. */
static void first_moved(struct ring_reader *r, bool has_line)
{
	if (!has_line)
		r->heap[0] = r->heap[--r->n_heap];
	sift_down(r, 0);
}

static void make_heap(struct ring_reader *r, bool back)
{
	r->back = back;
	r->n_heap = 0;
	for (size_t i = 0; i < r->n_cursors; i++) {
		struct cursor *c = &r->cursors[i];

		if (back ? cursor_step_back(c, &r->query) : cursor_settle(c, &r->query))
			r->heap[r->n_heap++] = c;
	}
	for (size_t i = r->n_heap / 2; i-- > 0;)
		sift_down(r, i);
}

/* The cursors to where the last N lines begin. */
static void go_back(struct ring_reader *r)
{
	make_heap(r, true);
	for (size_t n = r->query.last; n > 0 && r->n_heap > 0; n--) {
		struct cursor *c = r->heap[0];

		c->start = c->at;
		first_moved(r, cursor_step_back(c, &r->query));
	}
	for (size_t i = 0; i < r->n_cursors; i++)
		r->cursors[i].at = r->cursors[i].start;
}

static bool may_fit(const struct ring_query *q, const struct ring *ring)
{
	if (!ring || ring->n == 0)
		return false;
	/* Of the supervisor's own lines each has a name. */
	if (ring->stream == STREAM_SYSTEM)
		return !q->streams || q->streams & 1U << STREAM_SYSTEM;
	return ring_query_fits(q, ring->name, ring->stream);
}

static void add_cursor(struct ring_reader *r, struct ring *ring)
{
	struct cursor *c = &r->cursors[r->n_cursors++];

	ring->refs++;
	*c = (struct cursor){.ring = ring};
	c->at = c->end = (struct place){ring->ordinal + ring->n - 1, RING_CHUNK};
	(void)cursor_chunk(c, &c->end.at);
	c->start = c->end;
	c->at = r->query.last > 0 ? c->end : (struct place){.ordinal = ring->ordinal};
}

struct ring_reader *ring_reader_new(struct rings *rings, const struct ring_query *query)
{
	struct ring_reader *r = malloc(sizeof *r);
	size_t n = 0;

	if (!r)
		return NULL;
	*r = (struct ring_reader){
		.query = *query,
		.left = query->last ? query->last : SIZE_MAX,
		.joined = STRBUF(2 * RING_LINE_MAX),
	};
	for (size_t i = 0; i < rings->n_entries; i++)
		n += may_fit(query, rings->by_entry[i]);
	r->cursors = calloc(n + 1, sizeof *r->cursors);
	r->heap = calloc(n + 1, sizeof(struct cursor *));
	if (!r->cursors || !r->heap)
		return ring_reader_free(r);
	for (size_t i = 0; i < rings->n_entries; i++) {
		struct ring *ring = rings->by_entry[i];

		if (may_fit(query, ring))
			add_cursor(r, ring);
	}
	if (query->last > 0)
		go_back(r);
	make_heap(r, false);
	return r;
}

struct ring_reader *ring_reader_free(struct ring_reader *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n_cursors; i++)
		(void)ring_unref(r->cursors[i].ring);
	free(r->cursors);
	free(r->heap);
	strbuf_done(&r->joined);
	free(r);
	return NULL;
}

static bool with_name(struct ring_reader *r, const struct cursor *c, struct log_line *line)
{
	const char *name;
	size_t n;

	line->stream = c->ring->stream;
	line->source = line->stream == STREAM_SYSTEM ? "hsup" : "app";
	line->procid = c->ring->name;
	line->color = c->ring->color;
	if (line->stream != STREAM_SYSTEM)
		return true;
	if (!ring_split_name(&line->text, &line->len, &name, &n))
		return false;
	memcpy(r->name, name, n);
	r->name[n] = '\0';
	line->procid = r->name;
	return true;
}

bool ring_reader_next(struct ring_reader *r, struct log_line *ret_line)
{
	if (r->consumed && r->n_heap > 0)
		first_moved(r, cursor_settle(r->heap[0], &r->query));
	r->consumed = false;
	while (r->left > 0 && r->n_heap > 0) {
		struct cursor *c = r->heap[0];
		struct log_line line = {.wall_ns = c->wall_ns};

		/* What it stood on may be gone: then it has another line, with another time. */
		uint64_t was = c->at.ordinal;
		if (!cursor_settle(c, &r->query) || c->at.ordinal != was ||
			c->wall_ns != line.wall_ns) {
			first_moved(r, cursor_settle(c, &r->query));
			continue;
		}
		if (cursor_take(c, &r->joined, &line) && with_name(r, c, &line)) {
			r->left--;
			r->consumed = true;
			*ret_line = line;
			return true;
		}
		first_moved(r, cursor_settle(c, &r->query));
	}
	return false;
}

int rings_read(struct rings *rings, const struct ring_query *query,
	int (*line)(void *userdata, const struct log_line *line), void *userdata)
{
	struct ring_reader *r = ring_reader_new(rings, query);
	struct log_line is;
	int e = 0;

	if (!r)
		return -ENOMEM;
	while (e == 0 && ring_reader_next(r, &is))
		e = line(userdata, &is);
	ring_reader_free(r);
	return e;
}
