/* Reading: a cursor for each ring that fits, in a heap by the time of its line. For the last N
 * lines the cursors first go back from the end together, then forward. */
#include "base/str.h"
#include "logs/ring_private.h"

#include <errno.h>

struct place {
	uint64_t ordinal; /* of the chunk */
	size_t at;
};

struct cursor {
	struct ring *ring;
	struct place at, end; /* lines behind `end` came later */
	struct place start;   /* going back: where what was counted begins */
	uint64_t wall_ns;
};

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

/* ---- one ring ---- */

static const char *chunk_at(const struct cursor *c, size_t *ret_used)
{
	const struct ring *ring = c->ring;
	uint32_t chunk = ring_chunk_of(ring, c->at.ordinal);
	size_t used = __atomic_load_n(&ring->rings->file.table[chunk].used, __ATOMIC_ACQUIRE);

	if (used > RING_CHUNK)
		used = 0;
	if (c->at.ordinal == c->end.ordinal && used > c->end.at)
		used = c->end.at;
	*ret_used = used;
	return ring_file_chunk(&ring->rings->file, chunk);
}

/* Chunks may have been given to others since the cursor was here. */
static bool still_there(struct cursor *c)
{
	const struct ring *ring = c->ring;

	if (c->at.ordinal < ring->ordinal)
		c->at = (struct place){.ordinal = ring->ordinal};
	return c->at.ordinal <= c->end.ordinal && c->at.ordinal - ring->ordinal < ring->n;
}

static bool fits(const struct ring_reader *r, const struct cursor *c, const char *chunk,
	const struct ring_record *is)
{
	const char *text = chunk + c->at.at + sizeof *is, *name;
	char copy[LIMIT_NAME + 1];
	size_t len = is->len, n;

	if (is->flags & RECORD_CONTINUES)
		return false;
	if (c->ring->stream != STREAM_SYSTEM)
		return true;
	if (!ring_split_name(&text, &len, &name, &n))
		return false;
	memcpy(copy, name, n);
	copy[n] = '\0';
	return ring_query_fits(&r->query, copy, STREAM_SYSTEM);
}

/* Nothing in this chunk is so new: the next one begins with what is older. */
static bool all_older(const struct ring_reader *r, const struct cursor *c)
{
	struct cursor next = *c;
	struct ring_record is;
	size_t used, behind;

	next.at = (struct place){.ordinal = c->at.ordinal + 1};
	if (r->query.since == 0 || c->at.at > 0 || !still_there(&next))
		return false;
	const char *chunk = chunk_at(&next, &used);
	return ring_record_at(chunk, used, 0, &is, &behind) && is.wall_ns < r->query.since;
}

/* To the next line from here on, which may be the one here. False: there is none. */
static bool settle(const struct ring_reader *r, struct cursor *c)
{
	struct ring_record is;
	size_t used, next;

	while (still_there(c)) {
		const char *chunk = chunk_at(c, &used);

		if (all_older(r, c) || !ring_record_at(chunk, used, c->at.at, &is, &next)) {
			c->at = (struct place){.ordinal = c->at.ordinal + 1};
			continue;
		}
		if (is.wall_ns >= r->query.since && fits(r, c, chunk, &is)) {
			c->wall_ns = is.wall_ns;
			return true;
		}
		c->at.at = next;
	}
	return false;
}

/* To the line before. False: there is none; the cursor is of no use then. */
static bool step_back(const struct ring_reader *r, struct cursor *c)
{
	struct ring_record is;
	size_t used, next;

	for (;;) {
		const char *chunk = chunk_at(c, &used);

		if (!ring_record_before(chunk, c->at.at, &c->at.at)) {
			if (c->at.ordinal == c->ring->ordinal)
				return false;
			c->at.ordinal--;
			(void)chunk_at(c, &c->at.at);
			continue;
		}
		if (!ring_record_at(chunk, used, c->at.at, &is, &next) || !fits(r, c, chunk, &is))
			continue;
		c->wall_ns = is.wall_ns;
		return is.wall_ns >= r->query.since;
	}
}

/* The line at the cursor, which goes behind it. */
static bool take_line(struct ring_reader *r, struct cursor *c, struct log_line *line)
{
	struct ring_record is;
	size_t used, next;
	const char *chunk = chunk_at(c, &used);

	if (!ring_record_at(chunk, used, c->at.at, &is, &next))
		return false;
	line->text = chunk + c->at.at + sizeof is;
	line->len = is.len;
	line->whole = is.flags & RING_WHOLE;
	line->partial = is.flags & RING_PARTIAL;
	c->at.at = next;
	if (!(is.flags & RECORD_MORE))
		return true;

	strbuf_reset(&r->joined);
	(void)strbuf_add(&r->joined, line->text, line->len);
	while (is.flags & RECORD_MORE) {
		c->at = (struct place){.ordinal = c->at.ordinal + 1};
		if (!still_there(c))
			break;
		chunk = chunk_at(c, &used);
		if (!ring_record_at(chunk, used, 0, &is, &next) || !(is.flags & RECORD_CONTINUES) ||
			is.wall_ns != line->wall_ns)
			break;
		(void)strbuf_add(&r->joined, chunk + sizeof is, is.len);
		c->at.at = next;
	}
	/* A kill fell between its pieces, or a later line took their place. */
	if (is.flags & RECORD_MORE)
		line->partial = true;
	line->text = r->joined.data;
	line->len = r->joined.len;
	return r->joined.error == 0;
}

/* ---- all of them ---- */

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

		if (back ? step_back(r, c) : settle(r, c))
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
		first_moved(r, step_back(r, c));
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
	(void)chunk_at(c, &c->end.at);
	c->start = c->end;
	c->at = r->query.last > 0 ? c->end : (struct place){.ordinal = ring->ordinal};
}

struct ring_reader *ring_reader_new(struct rings *rings, const struct ring_query *query)
{
	struct ring_reader *r = calloc(1, sizeof *r);
	size_t n = 0;

	if (!r)
		return NULL;
	r->query = *query;
	r->left = query->last ? query->last : SIZE_MAX;
	r->joined.limit = 2 * RING_LINE_MAX;
	for (size_t i = 0; i < rings->n_entries; i++)
		n += may_fit(query, rings->by_entry[i]);
	r->cursors = calloc(n + 1, sizeof *r->cursors);
	r->heap = calloc(n + 1, sizeof(struct cursor *));
	if (!r->cursors || !r->heap)
		return ring_reader_free(r);
	for (size_t i = 0; i < rings->n_entries; i++)
		if (may_fit(query, rings->by_entry[i]))
			add_cursor(r, rings->by_entry[i]);
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
		first_moved(r, settle(r, r->heap[0]));
	r->consumed = false;
	while (r->left > 0 && r->n_heap > 0) {
		struct cursor *c = r->heap[0];
		struct log_line line = {.wall_ns = c->wall_ns};

		/* What it stood on may be gone: then it has another line, with another time. */
		uint64_t was = c->at.ordinal;
		if (!settle(r, c) || c->at.ordinal != was || c->wall_ns != line.wall_ns) {
			first_moved(r, settle(r, c));
			continue;
		}
		if (take_line(r, c, &line) && with_name(r, c, &line)) {
			r->left--;
			r->consumed = true;
			*ret_line = line;
			return true;
		}
		first_moved(r, settle(r, c));
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
