/* The dyno that a command is to join: whether it is one, and where its cgroups are. */
#pragma once

#include "box/box.h"

/* `pid` is init of the dyno whose box has the spec's name, of our own launcher: hsup-box, begun by
 * it, in a mount namespace that only our like can have made. Sets b's uid and gid, those of the
 * dyno; waits a little for one that is not yet born. 0 or negative errno: -ESRCH, it is gone, and
 * the pid may already be another dyno's; -EPERM, it is something else. */
int target_check(struct box *b, pid_t pid) HSUP_MUST_CHECK;
/* target_name.c: the process with this folder in /proc is init of the box of that name: 0; -ESRCH:
 * it is not. */
int target_check_name(int process, const char *name) HSUP_MUST_CHECK;
/* What setns() has to be told for its network: CLONE_NEWNET, or 0, it is the one that we are in:
 * who is not root may not enter that. Or negative errno. */
int target_network(pid_t pid) HSUP_MUST_CHECK;

struct target_cgroups {
	int hierarchies[8]; /* O_PATH: what hsup has there */
	int procs[8];	    /* cgroup.procs */
	unsigned n;
};

/* In the machine's mount namespace; then in the dyno's, by its own procfs; then in the process that
 * is to join them. A dyno without cgroups of its own is none's error. 0 or negative errno. */
int target_open_cgroups(const struct box *b, struct target_cgroups *ret) HSUP_MUST_CHECK;
void target_find_cgroups(struct target_cgroups *c);
int target_join_cgroups(const struct target_cgroups *c) HSUP_MUST_CHECK;
