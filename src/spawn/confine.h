/* The supervisor gives up what a root launcher has: libc only, without allocating. */
#pragma once

#include "base/filter.h"

#include <stdbool.h>
#include <sys/types.h>

struct confinement {
	bool on; /* else the supervisor is who the launcher is */
	uid_t uid;
	gid_t gid;
};

/* "UID:GID", numbers above 0. -EINVAL for anything else. */
int confine_parse(const char *text, struct confinement *ret_confinement) HSUP_MUST_CHECK;

/* In the forked child: becomes uid and gid with no other group, no capability in any set, no way to
 * new privileges, and only the system calls of confine_rules; so does whatever it starts, the slug
 * helper above all. None of it can be undone. 0 or negative errno: then it must not go on. */
int confine_become(const struct confinement *c) HSUP_MUST_CHECK;

/* For the test that holds them against libseccomp. */
extern const struct filter_rule confine_rules[];
extern const size_t confine_n_rules;
