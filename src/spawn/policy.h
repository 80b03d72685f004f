/* What the launcher grants, sealed before the supervisor starts: an unprivileged supervisor that
 * may order any spawn of a root launcher would be root. Pure. */
#pragma once

#include "base/ids.h"
#include "wire/spec.h"

struct policy {
	bool change_user; /* started as root: dynos may have ids of their own */
	uint32_t own_uid, own_gid;
	uint32_t own_groups[LIMIT_GROUPS]; /* kept by every dyno when change_user is false */
	unsigned n_own_groups;
	struct id_grant grant; /* what a dyno may ask for when change_user is true */
	bool must_ask;	       /* it may not stay who the launcher is */
	bool terminal;	       /* it may have the launcher's terminal */
	bool box;	       /* there is an hsup-box: specs with a box are granted */
	unsigned max_args, max_env;
};

/* A launcher with these ids: root grants what `grant` says, others only their own ids. With a
 * supervisor of another user (grant->own_uid) a dyno is root's only when root is granted. */
void policy_init(struct policy *ret_policy, uid_t uid, gid_t gid, const gid_t *groups,
	unsigned n_groups, const struct id_grant *grant, bool terminal);

/* 0, or a positive errno: EPERM (ids, the terminal, a box), E2BIG (counts), EINVAL (a relative
 * directory). first: the child is the first of a pid namespace. That is all a spec can ask for: it
 * has no way to name a helper or a root directory. Its limits and its umask need no grant: a limit
 * is only ever lowered, and every process may choose its umask. A box takes its ids from the range
 * that hsup-box was told, so they cannot be asked for; what else a spec wants of it (folders,
 * networks) is for hsup-box to hold against its own settings. */
int policy_check(const struct policy *p, const struct spec *s, bool first) HSUP_MUST_CHECK;
