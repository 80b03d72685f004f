#include "spawn/policy.h"

#include <errno.h>

void policy_init(struct policy *ret_policy, uid_t uid, gid_t gid, const gid_t *groups,
	unsigned n_groups, const struct id_grant *grant, bool terminal)
{
	*ret_policy = (struct policy){
		.change_user = uid == 0,
		.own_uid = uid,
		.own_gid = gid,
		.grant = *grant,
		.must_ask = uid == 0 && grant->own_uid != ID_NONE && !grant->root,
		.terminal = terminal,
		.max_args = SPEC_MAX_ARGS,
		.max_env = SPEC_MAX_ENV,
	};
	for (unsigned i = 0; i < n_groups && i < LIMIT_GROUPS; i++)
		ret_policy->own_groups[ret_policy->n_own_groups++] = groups[i];
}

static bool own_group(const struct policy *p, uint32_t gid)
{
	for (unsigned i = 0; i < p->n_own_groups; i++)
		if (p->own_groups[i] == gid)
			return true;
	return gid == p->own_gid;
}

static bool group_granted(const struct policy *p, uint32_t gid)
{
	return p->change_user ? id_grant_gid(&p->grant, gid) : own_group(p, gid);
}

static bool ids_granted(const struct policy *p, const struct spec *s)
{
	if (p->change_user ? !id_grant_uid(&p->grant, s->uid) || !group_granted(p, s->gid)
			   : s->uid != p->own_uid || s->gid != p->own_gid)
		return false;
	for (unsigned i = 0; i < s->n_groups; i++)
		if (!group_granted(p, s->groups[i]))
			return false;
	return true;
}

/* What is not to be init must not be the first of its pid namespace: nobody would reap there, and
 * it would not get the signals that it does not catch. */
static bool box_granted(const struct policy *p, const struct spec *s, bool first)
{
	if (!s->has_box)
		return !first;
	bool begins = s->box.mode == SPEC_BOX_RUN || s->box.mode == SPEC_BOX_PARK;

	return p->box && !s->has_user && begins == first;
}

int policy_check(const struct policy *p, const struct spec *s, bool first)
{
	if (s->n_args > p->max_args || s->n_env > p->max_env)
		return E2BIG;
	if (s->directory && s->directory[0] != '/')
		return EINVAL;
	/* On the terminal of the root who has started us it could type what root then runs. */
	if (s->session == SPEC_SESSION_FOREGROUND && !p->terminal)
		return EPERM;
	if (!box_granted(p, s, first))
		return EPERM;
	if (s->has_box)
		return 0;
	if (s->has_user ? !ids_granted(p, s) : p->must_ask)
		return EPERM;
	return 0;
}
