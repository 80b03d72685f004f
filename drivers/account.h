/* A `User` of a process type: name or number -> ids, groups and home. */
#pragma once

#include "base/err.h"
#include "base/limits.h"

#include <sys/types.h>

struct account {
	char *asked; /* what was looked up; NULL = nothing yet */
	char *name, *home;
	uid_t uid;
	gid_t gid;
	gid_t groups[LIMIT_GROUPS];
	unsigned n_groups;
};

/* Fills *a, or leaves it alone when it holds the answer already: many dynos of one type ask in a
 * row, and the user database may be slow. -ENOENT: there is no such user. The owner calls
 * account_done(). */
int account_find(struct account *a, const char *user, struct err *err) HSUP_MUST_CHECK;
void account_done(struct account *a);
