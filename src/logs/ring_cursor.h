/* A place in one ring, for readers. */
#pragma once

#include "base/str.h"
#include "logs/ring_private.h"

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

/* The chunk it is in, of which *ret_used bytes may be read. */
const char *cursor_chunk(const struct cursor *c, size_t *ret_used);

/* To the next line that fits from here on, which may be the one here: its time is in the cursor.
 * False: there is none. */
bool cursor_settle(struct cursor *c, const struct ring_query *q);

/* To the line before that fits. False: there is none; the cursor is of no use then. */
bool cursor_step_back(struct cursor *c, const struct ring_query *q);

/* The line at the cursor, which goes behind it; text and flags only. One of several pieces is put
 * together in `joined`. */
bool cursor_take(struct cursor *c, struct strbuf *joined, struct log_line *line);
