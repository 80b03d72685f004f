/* hsup-box: what every file of it shares.
 *
 * The launcher's child becomes this program for a spec that has a box, as root (or, rootless, as
 * who the launcher is, first in a user namespace of its own):
 *
 *   main.c      settings, spec, which mode
 *   plan.c      spec and settings -> what is to be mounted where; pure, nothing has happened yet;
 *               plan_bind.c of the binds
 *   birth.c     SPEC_BOX_RUN: the order of all that follows; gate.c where the dyno's own process
 *               waits meanwhile; warm.c SPEC_BOX_PARK: for whom
 *   ids.c       a uid of its own; user namespaces
 *   cgroup.c    cgroups: made, limited, joined, removed
 *   root.c      the mounts of the plan, pivot_root; root_open.c what they are of, image.c a stack
 *               that is a file, layer.c its folder on the disk, root_layer.c overlays, dev.c
 *               /dev, etc.c files of /etc; mnt.c the system calls
 *   link.c      interfaces, addresses, routes, by netlink.c; publish.c a port of the machine
 *   pasta.c     for who is not root: who passes a network on; slirp.c where there is no pasta
 *   last.c      in the dyno's own process: limits, capabilities, seccomp, exec
 *   init.c      pid 1: what it gives up; watch.c signals, orphans, the end; pty.c between two
 *               terminals
 *   join.c      SPEC_BOX_JOIN; target.c whether its target is one, target_name.c which
 *   claim.c     who is alive: locks
 *   sweep.c     SPEC_BOX_SWEEP: sweep_cgroup.c cgroups, remove.c trees
 *   setup.c     `hsup-box --setup`, `--undo`: what a machine needs once; nft.c its packet filter,
 *               nft_netlink.c what is changed of it later; mend.c `--mend`: it was removed
 *
 * It is executed with every signal blocked: what came since its fork waits for init. Its parent's
 * death may be its own (PR_SET_PDEATHSIG): a change of ids forgets that.
 *
 * Libc only, static. Nothing is allocated on the heap. Whatever fails is told as (stage, errno) in
 * the memory that the launcher shares with its child; then the process exits, and with it, because
 * it is the first of its pid namespace, all that it has begun. */
#pragma once

#include "base/cgroup.h"
#include "base/err.h"
#include "spawn/stages.h"
#include "wire/box_settings.h"
#include "wire/spec.h"

#include <stdbool.h>
#include <sys/types.h>

struct box_cgroup {
	int into;    /* of the unified hierarchy, for CLONE_INTO_CGROUP; -1 = there is none */
	int late[4]; /* of v1 hierarchies: their folders, then the box's cgroup.procs in them: to be
		      * joined when the dyno runs */
	unsigned n_late;
	int moving;  /* memory.move_charge_at_immigrate of one of those; -1 = there is none */
	bool counts; /* `into` limits processes: from the dyno's first instruction on */
};

struct box {
	const struct box_settings *settings;
	const struct spec *spec;
	bool root;	  /* else rootless: uid and gid are the launcher's */
	bool owns_output; /* 1 and 2 are pipes made for this dyno: they become its user's */
	struct rlimit nofile;
	uid_t uid; /* outside; inside it is the same */
	gid_t gid; /* likewise */
	/* Held by us as long as we live; -1 = none. */
	int uid_lock, claim, layer_lock, stack_lock;
	int warm;     /* the launcher's socket; -1 = not parked */
	int terminal; /* the dyno's, in its own process; -1 = none */
	int end;      /* where init tells that the dyno has ended; -1: its own end tells it */
	int parent;   /* a pidfd of whom we are not to outlive, if that is looked at later; or -1 */
	uint32_t machine_address, dyno_address; /* host order; 0 = no network of its own */
	unsigned published, port; /* of the machine's, and where in the dyno it leads; 0 = none */
	struct cgroup_layout hierarchies; /* cgroup_find() */
	int64_t waits_until; /* seconds; how long a birth waits for others; 0 = it has not */
	struct box_cgroup cgroup;
};

/* Tells (stage, error: a positive errno) and exits. In any process of the box. */
HSUP_NORETURN void box_fail(enum wire_stage stage, int error);
/* A step of the birth was taken: in developers' builds, where HSUP_BOX_DIE_AFTER may end us here.
 */
void box_step(const struct box *b);
/* A step of the sandbox is to be left out (developers' builds, HSUP_BOX_SKIP): to prove that it is
 * that step which closes what a probe tries. Always false in others. */
bool box_skips(const struct box *b, const char *step);

/* ---- ids.c ---- */

/* The first uid of the range, from a hint on, whose byte nobody has locked: open file description
 * locks in RUN/native.uids, so that a death frees it, and nothing else. *ret_lock is inherited by
 * init and closed by the dyno. 0; -EAGAIN: none is free; or negative errno. Sets uid, gid,
 * uid_lock and the addresses. */
int ids_take(struct box *b) HSUP_MUST_CHECK;
/* Rootless: maps of the user namespace that we are in, for uid and gid only: inside as outside. */
int ids_map_own(const struct box *b) HSUP_MUST_CHECK;
/* Writes the maps of `pid`'s user namespace through `proc` (a procfs of its pid namespace): inside
 * uid is b->uid, every other of 0..65535 is one of BOX_ROOT_ID. */
int ids_map_dyno(const struct box *b, int proc, pid_t pid) HSUP_MUST_CHECK;
/* A user namespace that shows files of `owner` as b->uid's (and its group `group`): for an idmapped
 * mount. Its descriptor, or negative errno. */
int ids_owner_map(const struct box *b, int proc, uid_t owner, gid_t group) HSUP_MUST_CHECK;

/* ---- cgroup.c ---- */

/* Once, where the machine's /proc is, before all that follows here: where its hierarchies are. What
 * reads that of the kernel stops every mount of ours meanwhile. */
int cgroup_find(struct box *b) HSUP_MUST_CHECK;
/* A fresh one of this name in each hierarchy that has what the box limits, with the limits set, and
 * in the unified one. Never one that is there: a cgroup that was killed cannot be used again
 * (6.18). Without any hierarchy, or rootless without delegation: `into` is -1, and 0 is returned.
 */
int cgroup_make(const struct box *b, struct box_cgroup *ret) HSUP_MUST_CHECK;
/* Makes those of the late ones, in any process of the box that sees the machine's folders. */
int cgroup_make_late(const struct box *b) HSUP_MUST_CHECK;
/* They are made: what is needed to join them, which may be out of sight. */
int cgroup_open_late(const struct box *b, struct box_cgroup *c) HSUP_MUST_CHECK;
/* Joins the late ones with all processes of this pid namespace but ourselves, until none is left
 * outside. Each may take 10 ms on an idle machine (RCU). */
int cgroup_join_late(struct box_cgroup *c) HSUP_MUST_CHECK;
void cgroup_close(struct box_cgroup *c);

/* ---- plan.c, root.c ---- */

struct box_root {
	int proc;	 /* a mounted procfs of the new pid namespace, detached */
	int userns;	 /* that of the dyno, to show the stack through; -1 = as it is */
	int slug_userns; /* to show the slug through; -1 = as it is */
	uid_t root_id;	 /* outside; who root is in the dyno's user namespace */
	bool sys;	 /* the network is its own: a sysfs of it can be mounted */
	const char *hostname;
	/* Returns when the layer is made, by somebody else; NULL: it is. */
	void (*layer_wait)(void *layer_of);
	void *layer_of;
	/* Set by root_open(). */
	int stack, slug;	   /* folders (O_PATH); -1 = the machine's own root; none */
	bool image;		   /* the stack is a mount of its own, attached nowhere */
	int binds[SPEC_BOX_BINDS]; /* sources, O_PATH; -1 behind the last */
	/* Set by root_enter() of a box that is parked: what is shown in /etc can be written. */
	int skeleton;
};

/* In the mount namespace that root_enter() will be called in (a mount is copied only in its own):
 * opens what the spec names, below what the settings allow: the stack, the slug, the sources of the
 * binds. Nothing is made. *ret_stage says which was wrong. Sets b->stack_lock; -EBUSY: the stack is
 * about to be removed. */
int root_open(struct box *b, struct box_root *ret, enum wire_stage *ret_stage) HSUP_MUST_CHECK;
/* A new folder for the layer, with upper, tmp and, for a slug, work; none where the settings have
 * no place for it. In any process of the box that sees the machine's folders. */
int root_layer_make(const struct box *b) HSUP_MUST_CHECK;
/* In a mount namespace of our own, which sees the machine's /proc no more from here on: plans, and
 * makes all that needs neither r->proc nor a user namespace. 0, or negative errno and the stage:
 * then the box is to end. Once in a process. */
int root_begin(struct box *b, struct box_root *r, enum wire_stage *ret_stage) HSUP_MUST_CHECK;
/* Then: mounts all, enters it, detaches the old. The working folder is the new root's. Closes what
 * root_open() opened, in any case. 0, or negative errno and the stage. */
int root_enter(struct box_root *r, enum wire_stage *ret_stage) HSUP_MUST_CHECK;

/* ---- etc.c ---- */

/* The dyno's hostname is another, r->hostname: in its root, where nobody has looked yet, by
 * r->skeleton. */
int etc_rename(struct box *b, struct box_root *r) HSUP_MUST_CHECK;

/* ---- link.c ---- */

/* A netlink socket of the network namespace we are in. */
int link_open(void) HSUP_MUST_CHECK;
/* A pair: hv<uid> here (up, with the machine's address), eth0 in `netns`. And eth1, when the
 * settings have one. */
int link_make(const struct box *b, int machine, int netns) HSUP_MUST_CHECK;
/* Else eth1 is a macvlan. What the kernel can load it loads; nothing is made. */
bool link_has_ipvlan(int machine);
/* What link_make() of who had this uid has made is still there: somebody has a socket of its
 * network, or the kernel has not got round to it. `machine`: link_open()'s, of this network. */
bool link_stands(int machine, uid_t uid);
/* Inside: lo and eth0 (eth1) up, addresses, routes. Loopback only with SPEC_BOX_NET_NONE. */
int link_configure(const struct box *b) HSUP_MUST_CHECK;

/* ---- publish.c: of who is root, and has a network of his own ---- */

/* Whether a port of the machine is to lead to the dyno, and which: sets b->published and b->port,
 * and writes it into b->claim. -EADDRINUSE: another living box has that port. */
int publish_take(struct box *b) HSUP_MUST_CHECK;
/* Where the dyno is told to listen, the first PORT of its environment; 0 = it is not. */
unsigned publish_port(const struct spec *spec);
/* What was taken is what the dyno of this spec is to have: a parked box's is not its own. */
bool publish_fits(const struct box *b, const struct spec *spec);
/* fd: nft_open()'s, of the machine's network; not used when nothing was taken. */
int publish_make(const struct box *b, int fd) HSUP_MUST_CHECK;
/* Of a box that lives, whose claim this is: what was lost with the map is there again. fd as above.
 */
int publish_again(int claim, int fd) HSUP_MUST_CHECK;
/* Of a box that has ended, whose claim this is. */
int publish_sweep(const struct box_settings *s, int claim) HSUP_MUST_CHECK;

/* ---- last.c ---- */

/* No capability can be had any more; those we have stay. The first part of last_become(), which
 * needs nothing that is made around the dyno. */
void last_prepare(const struct box *b);
/* No new privileges, and the filter, which the kernel takes 0.1 ms to install: from here on only
 * what a dyno may call, and what last_become() needs of that. Once; else last_become() does it. */
void last_confine(const struct box *b);
/* Becomes the dyno's program: in its process, which is in all its namespaces and in its root. */
HSUP_NORETURN void last_become(struct box *b);

/* ---- init.c ---- */

/* Pid 1, until the dyno's process `pid`, which is on its way through the gate, has ended; then all
 * the rest of the namespace is killed by us. */
struct gate;
struct pty;
HSUP_NORETURN void init_run(struct box *b, pid_t pid, struct gate *gate, struct pty *pty);

/* ---- modes ---- */

HSUP_NORETURN void birth_run(struct box *b);
HSUP_NORETURN void join_run(struct box *b);
HSUP_NORETURN void sweep_run(struct box *b);
/* `hsup-box --setup NAME=VALUE...`: folders, ip_forward, the nft table. Says on standard error what
 * is wrong, in one line; the exit code. */
int setup_run(const struct box_settings *s) HSUP_MUST_CHECK;
/* `hsup-box --undo NAME=VALUE...`: nothing came of the start that it was for. Stays if anybody has
 * to do with it. Says on standard error what is wrong; the exit code. */
int setup_undo(const struct box_settings *s) HSUP_MUST_CHECK;
/* `hsup-box --mend NAME=VALUE...`: somebody has removed the nft table. If any box lives it is made
 * again, with the ports that lead to those that do. Said on standard error; the exit code. */
int mend_run(const struct box_settings *s) HSUP_MUST_CHECK;
/* Before the machine's network namespace is left: the nft table is there, else (somebody has
 * flushed all tables) it is made again. Without it nothing is between a dyno and the machine. */
int setup_ensure(const struct box_settings *s) HSUP_MUST_CHECK;
