/* Lines on their way to one client: bounded; when he is slow the oldest go, whole lines, and he is
 * told how many where they would have stood. Pure. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tail {
	char *data;
	size_t head, len, cap; /* data[head..len) is to be read */
	size_t limit;	       /* of what is to be read */
	uint64_t lost;	       /* lines not told of yet */
	bool inside;	       /* the last byte that was read is not the end of a line */
	int (*gap)(uint64_t lost, char *to, size_t size); /* the line that tells of them */
};

#define TAIL_GAP_MAX 300

/* Room for `size` bytes at the end, for tail_added(): NULL = out of memory, and the line counts as
 * lost. A single line may be larger than the limit. */
char *tail_room(struct tail *t, size_t size);
/* One line of so many bytes was written there. */
void tail_added(struct tail *t, size_t size);
/* Takes up to max bytes (TAIL_GAP_MAX at least) out; 0 = there is nothing. */
size_t tail_read(struct tail *t, char *to, size_t max);
bool tail_empty(const struct tail *t);
void tail_done(struct tail *t);
