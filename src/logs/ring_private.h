/* The rings from inside. ring.c: adding; ring_names.c: the directory; ring_space.c: who gets which
 * chunk; ring_load.c: what an earlier life left; ring_read.c, ring_follow.c: readers. */
#pragma once

#include "logs/ring.h"
#include "logs/ring_file.h"

#include <sys/queue.h>

#define RING_LINE_MAX (LIMIT_LINE + 512) /* bytes; a whole line of another hsup has a prefix */

TAILQ_HEAD(ring_list, ring);

struct ring {
	TAILQ_ENTRY(ring) link; /* in `lately`, while listed */
	struct ring *same;	/* next of its bucket */
	struct rings *rings;
	uint32_t entry; /* its index in the directory */
	enum log_stream stream;
	unsigned color;
	unsigned refs;
	bool listed;
	uint32_t newest; /* chunk */
	uint32_t used;	 /* bytes of it; all when there is none, or it is damaged */
	uint32_t n;	 /* chunks */
	uint32_t max;	 /* chunks */
	uint32_t first;	 /* where the oldest is in `chunks`, which goes round */
	size_t cap;
	uint32_t *chunks;
	uint64_t ordinal; /* of the oldest; counts up with each */
	unsigned epoch;	  /* of `followed` */
	uint64_t followed;
	char name[];
};

struct rings {
	struct ring_file file;
	struct ring **by_entry;
	size_t n_entries, cap_entries;
	struct ring **buckets;
	size_t n_buckets;	 /* a power of two */
	struct ring_list lately; /* with chunks; who wrote last is last */
	struct ring *newest;	 /* who wrote last; NULL = not known */
	uint32_t *spare;	 /* chunks that nobody has */
	size_t n_spare, cap_spare;
	uint64_t number;   /* of the last chunk given */
	uint64_t retry_ns; /* the file system was full: not asked again before; 0 = it was not */
	struct err refused, trouble;
	bool trouble_told;
	struct ring_follower *followers[LIMIT_FOLLOWERS];
	uint64_t following; /* bits of those there are */
	unsigned epoch;
};

/* As rings_open(), with another shape than everybody has. */
int rings_open_shape(const char *path, uint32_t max_entries, uint32_t max_chunks,
	struct rings **ret_rings, struct err *err) HSUP_MUST_CHECK;

/* The ring, made when it is not there; NULL = it cannot be. Not counted. */
struct ring *rings_find(struct rings *r, const char *name, enum log_stream stream);
bool ring_name_valid(const char *name, size_t len);
bool rings_more_buckets(struct rings *r);
/* For an entry that is in the file already. */
struct ring *rings_insert(
	struct rings *r, uint32_t entry, const char *name, enum log_stream stream, unsigned color);
void rings_load(struct rings *r);

/* ---- chunks ---- */

/* A new newest one for the ring. False: there is none to be had. */
bool ring_next_chunk(struct ring *ring);
bool ring_push(struct ring *ring, uint32_t chunk);
/* All of its chunks become spare. */
void ring_drop(struct ring *ring);
/* It writes now. */
void ring_touch(struct ring *ring);
void rings_spare(struct rings *r, uint32_t chunk);

static inline uint32_t ring_chunk_of(const struct ring *ring, uint64_t ordinal)
{
	return ring->chunks[(ring->first + (ordinal - ring->ordinal)) % ring->cap];
}

/* ---- the supervisor's own lines: one ring, each line with its name before the text ---- */

/* The name of such a line (not NUL-terminated). False: it is damaged. */
bool ring_split_name(const char **text, size_t *len, const char **ret_name, size_t *ret_len);

/* ---- followers ---- */

void ring_tell(struct ring *ring, const struct log_line *line);
void ring_tell_own(struct rings *r, const struct log_line *line);
