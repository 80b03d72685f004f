#pragma once

#include "box/box.h"
#include "box/plan.h"

/* The mount namespace while it is built. All lies in one tmpfs, which is attached to the machine's
 * /proc, a folder that is everywhere and that nothing here looks into, and goes with the old root:
 *   skeleton      the top of the root, see plan.h
 *   stack, slug   where the lower folders of overlays are attached: by path only, before 6.13
 *   layer         where the box's folder is, or a tmpfs
 *   root          where the root is
 *   empty, mask   the folder and the file that hide others */
struct root_work {
	struct box *b;
	struct box_root *r;
	const struct plan *plan;
	int scratch, skeleton;
	int dev;  /* from PLAN_DEV to PLAN_DEV_ATTACH */
	int root; /* from PLAN_ROOT on */
	uid_t root_id;
	bool layer; /* it is attached */
	bool binds_devices;
};

/* root_open.c */
void root_close(struct box_root *r);

/* image.c: root.img of a stack, mounted nowhere: its descriptor, or negative errno; -ENOENT. */
int image_mount(int stack) HSUP_MUST_CHECK;

/* root.c: a folder of the new root, which is looked for in that root and has no link on its way. */
int root_target(const struct root_work *w, const char *target) HSUP_MUST_CHECK;
/* Attaches it there, and closes nothing. */
int root_attach(const struct root_work *w, int mount, const char *target) HSUP_MUST_CHECK;
int root_own(const struct root_work *w, int dir, const char *name, bool dyno) HSUP_MUST_CHECK;

/* root_layer.c: each of these is the step of its name. */
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
