/* The last lines of each dyno and stream, for `hsup logs`: rings in a file that is mapped, so that
 * they outlive the supervisor, however it ends; a dyno that is silent costs nothing.
 *
 * What is added is the line as it was read: its time, its origin, its text. Readers get lines
 * merged in the order of their time, with the format of their choice (logs/format.h). A ring of a
 * dyno that is gone stays readable until its memory is wanted (LIMIT_RINGS_BYTES for all: who has
 * been silent for longest gives first), and a new dyno of the same name goes on in it.
 *
 * One process at a time: the caller holds a lock of its own beside the file. */
#pragma once

#include "base/err.h"
#include "logs/sink.h"

struct rings;
struct ring; /* of one dyno and stream */

/* path: of the file, made (0600) when it is not there, begun anew when it cannot be used; NULL =
 * memory that dies with us. */
int rings_open(const char *path, struct rings **ret_rings, struct err *err) HSUP_MUST_CHECK;

/* No ring, reader or follower of it may be used behind this. NULL allowed. */
struct rings *rings_free(struct rings *r);

/* Why what was in the file is not read any more; NULL = all is well. */
const char *rings_refused(const struct rings *r);

/* Why something could not be kept (the file system is full); told once until it happens again
 * after it went well. NULL = nothing new. To be asked now and then. */
const char *rings_trouble(struct rings *r);

/* ---- lines in ---- */

/* For who adds many lines: a dyno's ring, of at most `bytes` (at least 16 KiB; 0 = nothing is
 * kept, followers still get it) from now on. Costs no more than its name until a line is added.
 * Counted: ring_unref() gives it back. NULL (which the others take) when there is no memory or
 * room for one more, or the name is none; stream: not the supervisor's own lines, which lie
 * together in a ring of theirs. */
struct ring *rings_ring(
	struct rings *r, const char *procid, enum log_stream stream, unsigned color, size_t bytes);
struct ring *ring_unref(struct ring *ring);

enum ring_flags {
	RING_PARTIAL = 1, /* the line goes on in the next one */
	RING_WHOLE = 2,	  /* log_line.whole */
};
void ring_add(
	struct ring *ring, uint64_t wall_ns, const char *text, size_t len, enum ring_flags flags);

/* Any line; looks its ring up by name. r may be NULL. */
void rings_add(struct rings *r, const struct log_line *line, size_t bytes);

/* ---- lines out ---- */

struct ring_query {
	const char *const *names; /* patterns for fnmatch(3): "web.1", "web.*"; "web" is "web.*" */
	size_t n_names;		  /* 0 = all, the supervisor's own lines too */
	unsigned streams;	  /* bits 1 << enum log_stream; 0 = all */
	size_t last;		  /* lines; 0 = all there are */
	uint64_t since;		  /* wall_ns; 0 = from the beginning */
};

bool ring_query_fits(const struct ring_query *q, const char *procid, enum log_stream stream);

/* Calls back for each line that fits, oldest first; what it returns other than 0 ends it and is
 * returned; else 0, or -ENOMEM. The line is valid during the call. */
int rings_read(struct rings *r, const struct ring_query *query,
	int (*line)(void *userdata, const struct log_line *line), void *userdata);

/* The same in steps, for a client that takes its time: what was there at the beginning and still
 * is when it is asked for. The query is not kept but for its names. NULL = out of memory. */
struct ring_reader;
struct ring_reader *ring_reader_new(struct rings *r, const struct ring_query *query);
/* False at the end. The line is valid until the next call, or until one is added. */
bool ring_reader_next(struct ring_reader *reader, struct log_line *ret_line);
struct ring_reader *ring_reader_free(struct ring_reader *reader); /* NULL allowed */

/* From now on every line that fits, when it is added: the call must be short and add nothing (it
 * may unfollow). The query (its last and since mean nothing) must outlive the follower. NULL = out
 * of memory, or LIMIT_FOLLOWERS are there. */
struct ring_follower;
struct ring_follower *rings_follow(struct rings *r, const struct ring_query *query,
	void (*line)(void *userdata, const struct log_line *line), void *userdata);
void rings_unfollow(struct ring_follower *f); /* NULL allowed */
