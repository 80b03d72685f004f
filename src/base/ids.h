/* Which users and groups dynos may have: said on the launcher's command line, enforced in its
 * forked child (spawn/policy), and looked at by the supervisor for a better message. Pure. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define ID_NONE	    UINT32_MAX /* no user: to the kernel it means "as it is" */
#define IDS_DEFAULT "1000-4294967294"
#define IDS_RANGES  16

struct id_range {
	uint32_t min, max;
};

struct id_grant {
	struct id_range ranges[IDS_RANGES];
	unsigned n;		   /* 0 = every id */
	uint32_t own_uid, own_gid; /* the supervisor's, when it has its own; else ID_NONE */
	bool root;		   /* id 0 too, which no range grants */
};

/* "MIN-MAX", or one number. -EINVAL for anything else. */
int id_range_parse(const char *text, struct id_range *ret_range) HSUP_MUST_CHECK;
/* -E2BIG when there are too many. */
int id_grant_add(struct id_grant *g, struct id_range range) HSUP_MUST_CHECK;

/* The supervisor's own ids are granted only by a range that is that id alone: a dyno of the same
 * user could end the supervisor and rewrite its files, so a wide range does not mean it. */
bool id_grant_uid(const struct id_grant *g, uint32_t uid);
bool id_grant_gid(const struct id_grant *g, uint32_t gid);
