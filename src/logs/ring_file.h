/* What lies in the file of the rings: a header, the directory of the rings, the table of the
 * chunks, the chunks. A ring is the chunks that name it as their owner, in the order of their
 * numbers; what is nobody's is free. The file is sparse: memory is asked for before it is touched,
 * so that a full file system is an error and no SIGBUS.
 *
 * A record lies in one chunk: its head, its bytes, its size once more (to read backwards). It
 * counts when the chunk's `used` is behind it: one store. A line that does not fit into what is
 * left of a chunk goes on in the next one.
 *
 * All of it may have been damaged: readers trust nothing but what they have compared. */
#pragma once

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define RING_MAGIC  "hsuprngs"
#define RING_LAYOUT 1	 /* another one is begun anew: raised with every change in this file */
#define RING_CHUNK  4096 /* bytes; a page */
#define RING_NAME   88	 /* bytes with the NUL; LIMIT_NAME fits */

struct ring_header {
	char magic[8];
	uint32_t layout;
	uint32_t max_entries, max_chunks;   /* the file's shape */
	uint32_t used_entries, used_chunks; /* from the first on; behind them none was ever used */
};

struct ring_entry {
	uint32_t stream; /* enum log_stream; 0 = none; the last store */
	uint32_t color;
	char name[RING_NAME]; /* "" = the supervisor's own lines, of all */
};

struct ring_chunk {
	uint32_t owner; /* 1 + the entry's index; 0 = none; the last store */
	uint32_t used;	/* bytes; what counts */
	uint64_t number;
};

struct ring_record {
	uint64_t wall_ns;
	uint16_t len;
	uint16_t flags;
} __attribute__((packed));

#define RECORD_MORE	 0x100 /* it goes on in the next chunk */
#define RECORD_CONTINUES 0x200 /* it began in the chunk before */
#define RECORD_OVERHEAD	 (sizeof(struct ring_record) + sizeof(uint16_t))

struct ring_file {
	int fd;
	char *map;
	size_t map_len;
	struct ring_header *header;
	struct ring_entry *entries;
	struct ring_chunk *table;
	char *chunks;
	size_t entries_ready, table_ready; /* bytes of them that have memory */
};

/* ret_refused gets a text when what was there is begun anew. */
int ring_file_open(const char *path, uint32_t max_entries, uint32_t max_chunks,
	struct ring_file *ret_file, struct err *ret_refused, struct err *err) HSUP_MUST_CHECK;
void ring_file_close(struct ring_file *f);

/* Memory for one more entry or chunk than are used; 0, or why there is none. */
int ring_file_grow_entries(struct ring_file *f) HSUP_MUST_CHECK;
int ring_file_grow_chunks(struct ring_file *f) HSUP_MUST_CHECK;

static inline char *ring_file_chunk(const struct ring_file *f, uint32_t chunk)
{
	return f->chunks + (size_t)chunk * RING_CHUNK;
}

/* The record at `at` of a chunk of which `used` bytes count. False: none, or a damaged one. */
bool ring_record_at(const char *chunk, size_t used, size_t at, struct ring_record *ret_record,
	size_t *ret_next);
/* Where the record before `at` begins. */
bool ring_record_before(const char *chunk, size_t at, size_t *ret_at);
