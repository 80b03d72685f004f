/* Where this machine's cgroup hierarchies are: controllers are either on hierarchies of the old
 * kind (v1, one or more each) or on the unified one (v2); on a hybrid machine the unified one is
 * there too, without controllers, and still good to know, kill, freeze and count the processor time
 * of a cgroup's processes (cpu.stat is in all of its cgroups).
 *
 * What hsup makes is below HSUP in each: <folder>/hsup/<name>. Plain data, no heap. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

#define CGROUP_PATH   256 /* a longer one is taken for none */
#define CGROUP_PARENT "hsup"

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_PIDS,
	CGROUP_CPUACCT, /* v1 only: the unified hierarchy counts by itself */
	CGROUP_CONTROLLERS,
};

struct cgroup_layout {
	char unified[CGROUP_PATH]; /* its folder; "" = there is none that can be written */
	unsigned controllers; /* that it can have for others: 1 << enum cgroup_controller each */
	char v1[CGROUP_CONTROLLERS][CGROUP_PATH]; /* "" = not on a hierarchy of its own kind */
};

/* From /proc/self/mountinfo and cgroup.controllers. A machine without any is no error. 0 or
 * negative errno. */
int cgroup_layout_load(struct cgroup_layout *ret) HSUP_MUST_CHECK;
/* For who is not root: only the cgroup that we are in ourselves, of the unified hierarchy, if it
 * was delegated to us; `unified` is its folder then, and nothing else is left. */
void cgroup_layout_delegated(struct cgroup_layout *l);
/* The folder of the hierarchy with this controller, NULL = there is none. */
const char *cgroup_folder(const struct cgroup_layout *l, enum cgroup_controller c);

/* Pure: one line of mountinfo (changed while it is read). Of two mounts at one place the later one
 * counts, of two of one hierarchy the first. */
void cgroup_layout_mount(struct cgroup_layout *l, char *line);
/* Pure: the text of cgroup.controllers. */
void cgroup_layout_controllers(struct cgroup_layout *l, const char *text);
/* Pure: our own cgroup of the unified hierarchy, from the text of /proc/self/cgroup: "/" and more.
 * False: none. */
bool cgroup_own(const char *text, char ret_path[CGROUP_PATH]);
