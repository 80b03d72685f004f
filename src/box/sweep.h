/* Who is alive: each box, from before it makes anything until its init has ended, holds the lock of
 * RUN/boxes/<its name>. The files outlive it: they are removed last of all that it was, by its
 * sweep, which holds the lock meanwhile.
 *
 * Two with different RUNs may have one STATE: each of them sees the layers of all, and none the
 * claims of the other's. So each box also holds a byte, its name's, of STATE/boxes.lock, and who
 * sweeps takes that first. Boxes of a version that had no such lock are known by their cgroups. */
#pragma once

#include "wire/box_settings.h"

#define BOX_CLAIMS "boxes" /* in RUN: their locks; in STATE: their layers */
#define BOX_UIDS   "native.uids"
#define BOX_LAYERS "boxes.lock" /* in STATE */

struct box;
/* Before anything of the box is made: its cgroups and folders are nobody's else. Sets b->claim and
 * b->layer_lock, to be kept open for life (close-on-exec). -EBUSY: the name is in use. */
int box_claim(struct box *b) HSUP_MUST_CHECK;
/* A moment, for what another has and is about to let go of; false: all such waiting of this birth
 * together has been long enough. Who need not wait does not look at the clock. */
bool box_wait(struct box *b);

/* The folder of the claims, made when it is missing. */
int claims_open(const struct box_settings *s) HSUP_MUST_CHECK;
/* Of who has ended, to sweep him: -EBUSY, he has not. */
int claims_take(int claims, const char *name) HSUP_MUST_CHECK;

/* Open, for who only looks: negative errno, there is none. */
int claims_look(int claims, const char *name) HSUP_MUST_CHECK;
/* Who has ended, or nobody knows. Nothing is made, so that nothing is left of having looked. */
bool claim_is_free(int claim);
/* The byte of that name in STATE/boxes.lock. -EBUSY: he lives; -ENOENT: there is no
 * STATE, or none whose files can be locked. */
int layer_lock(const struct box_settings *s, const char *name) HSUP_MUST_CHECK;
/* The same, and nothing is made. */
bool layer_is_locked(const struct box_settings *s, const char *name);
/* Removes the file when nobody has a lock of it. */
void layers_unlock_all(int state);

/* The cgroups of that name, in every hierarchy: whoever is in them is killed. */
int sweep_cgroups(const char *name) HSUP_MUST_CHECK;
/* Somebody is in one of them. */
bool sweep_cgroups_used(const char *name);
/* Cgroups whose boxes nobody knows here, as no claim of theirs is in `claims`: only if nobody is in
 * them, and none of them is new: another hsup, with another RUN, may just be making it. */
void sweep_cgroups_unknown(int claims);
/* Our folders in the hierarchies. -EBUSY: some are still used, by another hsup. */
int sweep_cgroup_parents(void) HSUP_MUST_CHECK;
/* `hsup-box --sweep [--dry-run] NAME=VALUE...`: as the sweep without names, by whoever calls it,
 * who is told on standard output what has gone, or would go: a line each. The exit code. */
int sweep_by_hand(const struct box_settings *s, bool dry) HSUP_MUST_CHECK;
/* With nobody left on the machine: whatever setup has made. 0 too when somebody is. */
int sweep_setup(const struct box_settings *s) HSUP_MUST_CHECK;
