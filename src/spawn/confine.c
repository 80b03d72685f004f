#include "spawn/confine.h"

#include "base/caps.h"
#include "base/parse.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int confine_parse(const char *text, struct confinement *ret_confinement)
{
	const char *colon = strchr(text, ':');
	struct confinement c = {.on = true};
	char uid[16];

	if (!colon ||
		(size_t)snprintf(uid, sizeof uid, "%.*s", (int)(colon - text), text) >=
			sizeof uid ||
		parse_uint(uid, UINT32_MAX - 1, &c.uid) < 0 ||
		parse_uint(colon + 1, UINT32_MAX - 1, &c.gid) < 0 || c.uid == 0 || c.gid == 0)
		return -EINVAL;
	*ret_confinement = c;
	return 0;
}

int confine_become(const struct confinement *c)
{
	if (!c->on)
		return 0;
	/* To drop one from the bounding set needs a capability, so this goes first. EINVAL: behind
	 * the kernel's last. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	if (errno != EINVAL)
		return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
		setresuid(c->uid, c->uid, c->uid) < 0)
		return -errno;
	int r = caps_drop();
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return filter_install(confine_rules, confine_n_rules);
}
