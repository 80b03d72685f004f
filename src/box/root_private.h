#pragma once

#include "box/box.h"
#include "box/plan.h"

/* The mount namespace while it is built. All lies in one tmpfs, which is attached to the machine's
 * /proc, a folder that is everywhere and that nothing here looks into, and goes with the old root:
 *   skeleton      the top of the root, see plan.h
 *   held          the mount that the stack is locked by
 *   stack, slug   where the lower folders of overlays are attached: by path only, before 6.13
 *   layer         where the box's folder is, or a tmpfs
 *   root          where the root is
 *   empty, mask   the folder and the file that hide others */
struct root_work {
	struct box *b;
	struct box_root *r;
	struct plan plan;
	unsigned next; /* step of the plan */
	int scratch, skeleton;
	int dev;    /* from PLAN_DEV to PLAN_DEV_ATTACH */
	int root;   /* from PLAN_ROOT on */
	bool layer; /* it is attached */
	bool binds_devices;
};

/* root_open.c */
void root_close(struct box_root *r);

/* layer.c: that which was made: O_PATH, of the mount namespace we are in. */
int root_layer_open(const struct box *b) HSUP_MUST_CHECK;
/* Makes what a layer is made of, in a folder that is one from now on; the dyno's is its own. */
int root_layer_parts(const struct box *b, int layer) HSUP_MUST_CHECK;

/* image.c: root.img of a stack, mounted nowhere: its descriptor, or negative errno; -ENOENT. */
int image_mount(int stack) HSUP_MUST_CHECK;

/* root.c */
int root_own(const struct root_work *w, int dir, const char *name, bool dyno) HSUP_MUST_CHECK;

/* root_mount.c: a name of the new root, which is looked for in that root and has no link on its way
 * (CVE-2019-16884, CVE-2019-19921, CVE-2023-28642). */
int root_target(const struct root_work *w, const char *target) HSUP_MUST_CHECK;
/* Attaches it there, and closes nothing. */
int root_attach(const struct root_work *w, int mount, const char *target) HSUP_MUST_CHECK;
/* Each of these, and of those below, is the step of its name. */
int mount_host(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_proc(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_sys(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_empty(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_mqueue(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_tmpfs(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mount_bind(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;

/* root_skeleton.c */
int skeleton_dir(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int skeleton_file(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int skeleton_symlink(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int skeleton_whiteout(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int skeleton_no_link(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;

/* root_layer.c */
int layer_root(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int layer_host_etc(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int layer_app(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int layer_tmp(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;

/* dev.c */
int dev_begin(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int dev_device(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int dev_attach(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int dev_pts(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;

/* root_mask.c */
int mask_one(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mask_cpus(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
int mask_read_only(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;

/* etc.c */
int etc_write(struct root_work *w, const struct plan_step *s) HSUP_MUST_CHECK;
