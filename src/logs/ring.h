/* The last lines of each dyno and stream, for `hsup logs`: rings in a file that is mapped, so that
 * they outlive the supervisor; a page that nobody wrote to costs nothing.
 *
 * What is added is the line as it was read: its time, its origin, its text. Readers get lines
 * merged in the order of their time, with the format of their choice (logs/format.h). */
#pragma once

#include "base/err.h"
#include "logs/sink.h"

struct rings;

/* path: of the file, made (0600) when it is not there, begun anew when it cannot be used; NULL =
 * memory that dies with us. */
int rings_open(const char *path, struct rings **ret_rings, struct err *err) HSUP_MUST_CHECK;
struct rings *rings_free(struct rings *r);

/* bytes: of this dyno and stream from now on. */
void rings_add(struct rings *r, const struct log_line *line, size_t bytes);

struct ring_query {
	const char *const *names; /* patterns for fnmatch(3): "web.1", "web.*"; "web" is "web.*" */
	size_t n_names;		  /* 0 = all, the supervisor's own lines too */
	unsigned streams;	  /* bits 1 << enum log_stream; 0 = all */
	size_t last;		  /* lines; 0 = all there are */
	uint64_t since;		  /* wall_ns; 0 = from the beginning */
};

/* Calls back for each line that fits, oldest first; what it returns other than 0 ends it and is
 * returned. The line is valid during the call. */
int rings_read(struct rings *r, const struct ring_query *query,
	int (*line)(void *userdata, const struct log_line *line), void *userdata);

/* From now on every line that fits, when it is added: the call must be short and add nothing. The
 * query (its last and since mean nothing) must outlive the follower. NULL = out of memory. */
struct ring_follower;
struct ring_follower *rings_follow(struct rings *r, const struct ring_query *query,
	void (*line)(void *userdata, const struct log_line *line), void *userdata);
void rings_unfollow(struct ring_follower *f); /* NULL allowed */
