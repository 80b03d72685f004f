/* The supervisor's own lines that wait while the sink stalls: bounded, then dropped and counted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define NOTES_BYTES ((size_t)256 << 10)

struct note {
	STAILQ_ENTRY(note) link;
	uint64_t wall_ns;
	const char *procid; /* inside text */
	size_t len;	    /* of text */
	char text[];
};

struct notes {
	STAILQ_HEAD(, note) list;
	size_t bytes;
	uint64_t dropped; /* in all */
	uint64_t untold;  /* of those, not yet told */
};

void notes_init(struct notes *n);
void notes_done(struct notes *n);
void notes_add(struct notes *n, uint64_t wall_ns, const char *procid, const char *text, size_t len);
struct note *notes_first(struct notes *n); /* NULL = none waits */
void notes_pop(struct notes *n);
