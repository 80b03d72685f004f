/* What is in a folder, and which processes a cgroup has: read in pieces, with no heap. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <sys/types.h>

struct list {
	int fd;
	size_t at, len;
	bool failed; /* the end is not the end: errno */
	_Alignas(8) char data[4096];
};

/* From where fd is; it stays the caller's. */
static inline void list_begin(struct list *l, int fd)
{
	l->fd = fd;
	l->at = l->len = 0;
	l->failed = false;
}

/* The next name, "." and ".." left out; NULL: no more, or it failed. Valid until the next call.
 * *ret_folder: surely one; a false may be one too where the file system does not say. */
const char *list_next(struct list *l, bool *ret_folder);
/* Of a file with a number in each line: the next one, above 1; 0: no more, or it failed. (cgroup.
 * procs has zeros for those whom our pid namespace does not see.) */
pid_t list_next_pid(struct list *l);
