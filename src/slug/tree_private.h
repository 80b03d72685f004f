/* Of tree.c and tree_compare.c. */
#pragma once

#include "slug/tree.h"

#include <sys/types.h>

struct tree_entry {
	char type;
	unsigned mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	const char *content, *path; /* as they are written down */
};

typedef int (*tree_fn)(void *userdata, const struct tree_entry *entry, struct err *err);

/* Calls `each` for all of it, in the order of the file. */
int tree_walk(int root, tree_fn each, void *each_userdata, unpack_tick_fn tick, void *userdata,
	struct tree_count *ret_count, struct err *err) HSUP_MUST_CHECK;
