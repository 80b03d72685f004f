/* What the launcher grants, sealed before the supervisor starts: an unprivileged supervisor that
 * may order any spawn of a root launcher would be root. Pure. */
#pragma once

#include "wire/spec.h"

struct policy {
	bool change_user; /* started as root: dynos may have ids of their own */
	uint32_t own_uid, own_gid;
	uint32_t own_groups[LIMIT_GROUPS]; /* kept by every dyno when change_user is false */
	unsigned n_own_groups;
	uint32_t uid_min, uid_max; /* what a dyno may ask for when change_user is true */
	uint32_t gid_min, gid_max;
	unsigned max_args, max_env;
};

/* The policy of this launcher: root grants any id, others only their own. */
void policy_init(
	struct policy *ret_policy, uid_t uid, gid_t gid, const gid_t *groups, unsigned n_groups);

/* 0, or a positive errno: EPERM (ids), E2BIG (counts), EINVAL (a relative directory). */
int policy_check(const struct policy *p, const struct spec *s) HSUP_MUST_CHECK;
