/* One ring, line by line. */
#include "logs/ring_cursor.h"

const char *cursor_chunk(const struct cursor *c, size_t *ret_used)
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

static bool fits(const struct ring_query *q, const struct cursor *c, const char *chunk,
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
	return ring_query_fits(q, copy, STREAM_SYSTEM);
}

/* Nothing in this chunk is so new: the next one begins with what is older. */
static bool all_older(const struct ring_query *q, const struct cursor *c)
{
	struct cursor next = *c;
	struct ring_record is;
	size_t used, behind;

	next.at = (struct place){.ordinal = c->at.ordinal + 1};
	if (q->since == 0 || c->at.at > 0 || !still_there(&next))
		return false;
	const char *chunk = cursor_chunk(&next, &used);
	return ring_record_at(chunk, used, 0, &is, &behind) && is.wall_ns < q->since;
}

/* To the next line from here on, which may be the one here. False: there is none. */
bool cursor_settle(struct cursor *c, const struct ring_query *q)
{
	struct ring_record is;
	size_t used, next;

	while (still_there(c)) {
		const char *chunk = cursor_chunk(c, &used);

		if (all_older(q, c) || !ring_record_at(chunk, used, c->at.at, &is, &next)) {
			c->at = (struct place){.ordinal = c->at.ordinal + 1};
			continue;
		}
		if (is.wall_ns >= q->since && fits(q, c, chunk, &is)) {
			c->wall_ns = is.wall_ns;
			return true;
		}
		c->at.at = next;
	}
	return false;
}

/* To the line before. False: there is none; the cursor is of no use then. */
bool cursor_step_back(struct cursor *c, const struct ring_query *q)
{
	struct ring_record is;
	size_t used, next;

	for (;;) {
		const char *chunk = cursor_chunk(c, &used);

		if (!ring_record_before(chunk, c->at.at, &c->at.at)) {
			if (c->at.ordinal == c->ring->ordinal)
				return false;
			c->at.ordinal--;
			(void)cursor_chunk(c, &c->at.at);
			continue;
		}
		if (!ring_record_at(chunk, used, c->at.at, &is, &next) || !fits(q, c, chunk, &is))
			continue;
		c->wall_ns = is.wall_ns;
		return is.wall_ns >= q->since;
	}
}

/* The line at the cursor, which goes behind it. */
bool cursor_take(struct cursor *c, struct strbuf *joined, struct log_line *line)
{
	struct ring_record is;
	size_t used, next;
	const char *chunk = cursor_chunk(c, &used);

	if (!ring_record_at(chunk, used, c->at.at, &is, &next))
		return false;
	line->text = chunk + c->at.at + sizeof is;
	line->len = is.len;
	line->whole = is.flags & RING_WHOLE;
	line->partial = is.flags & RING_PARTIAL;
	c->at.at = next;
	if (!(is.flags & RECORD_MORE))
		return true;

	strbuf_reset(joined);
	(void)strbuf_add(joined, line->text, line->len);
	while (is.flags & RECORD_MORE) {
		c->at = (struct place){.ordinal = c->at.ordinal + 1};
		if (!still_there(c))
			break;
		chunk = cursor_chunk(c, &used);
		if (!ring_record_at(chunk, used, 0, &is, &next) || !(is.flags & RECORD_CONTINUES) ||
			is.wall_ns != line->wall_ns)
			break;
		(void)strbuf_add(joined, chunk + sizeof is, is.len);
		c->at.at = next;
	}
	/* A kill fell between its pieces, or a later line took their place. */
	if (is.flags & RECORD_MORE)
		line->partial = true;
	line->text = joined->data;
	line->len = joined->len;
	return joined->error == 0;
}
