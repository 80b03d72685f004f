/* The images of one app: FROM the stack's, the slug under /app.
 *
 * Made without a builder: a container of the stack image that never runs, /etc/passwd and
 * /etc/group with the user dyno put in, the slug's files put in as a tar stream that hsup-slug
 * makes from what it has unpacked (JOB_PACK), then committed. Found again by content: its labels
 * say layout of ours, id of the stack image and digest of the slug (the tag is only for people); so
 * an image of the same content is used again by every release that wants it
 * (unless DOCKER_IMAGE_CACHE says no), and a stale one never. No config var comes near it. */
#pragma once

#include "drivers/docker/engine.h"
#include "drivers/driver.h"

#define IMAGE_LABEL_OWNER  "hsup.owner"
#define IMAGE_LABEL_SLUG   "hsup.slug"	 /* hex digest, "" = none */
#define IMAGE_LABEL_STACK  "hsup.stack"	 /* id of the stack image */
#define IMAGE_LABEL_SHELL  "hsup.shell"	 /* "/bin/bash" when it has one, else "/bin/sh" */
#define IMAGE_LABEL_USER   "hsup.user"	 /* "uid:gid" of dyno */
#define IMAGE_LABEL_LAYOUT "hsup.layout" /* of ours */

struct image {
	char *id;	   /* "sha256:..." */
	char *tag;	   /* "hsup/app:0123456789ab" */
	char *shell;	   /* absolute, within it */
	uint32_t uid, gid; /* dyno */
};

struct images;

struct images_setup {
	struct engine *engine;
	const struct driver_context *context; /* loop, owner, slug_helper */
	bool cache;			      /* DOCKER_IMAGE_CACHE */
	/* As driver_events; r < 0: err says what, where and what to do. */
	void (*prepared)(void *userdata, uint64_t handle, int r, const struct err *err);
	void (*progress)(void *userdata, uint64_t handle, const char *text);
	void (*note)(void *userdata, const char *text);
	void *userdata;
};

/* setup is copied. */
int images_open(const struct images_setup *setup, struct images **ret_images,
	struct err *err) HSUP_MUST_CHECK;
struct images *images_close(struct images *i); /* what is on its way is given up; NULL allowed */

/* app: for the name of the image. One at a time by handle; `prepared` follows. Waits for an engine
 * that is gone no longer than 30 s. */
int images_prepare(struct images *i, uint64_t handle, const char *app,
	const struct release *release, struct err *err) HSUP_MUST_CHECK;
void images_prepare_stop(struct images *i, uint64_t handle);

/* What was prepared for a release of this content; NULL = nothing was. Valid until the next
 * images_keep(). */
const struct image *images_find(const struct images *i, const struct release *release);

/* This release is in force now: its image and the youngest other one of this owner stay, the rest
 * is removed, but for those in use. */
void images_keep(struct images *i, const struct release *current);

/* All that is being prepared is given up; what it has made at the engine is removed
 * (images_busy()). */
void images_leave(struct images *i);

/* Something was asked of the engine that it has not done yet; images_close() would leave to the
 * next sweep what comes of it. */
bool images_busy(const struct images *i);

/* Containers that image.c makes and removes again bear this label, and what is left of them is
 * removed at the next start: "hsup.build" = owner. */
#define IMAGE_LABEL_BUILD "hsup.build"
void images_sweep(struct images *i);

/* "cedar-14" -> "heroku/cedar:14", "heroku-24" -> "heroku/heroku:24"; else as it is. -EINVAL when
 * that can be no reference of an image. */
int image_of_stack(
	const char *stack, char *ret_reference, size_t size, struct err *err) HSUP_MUST_CHECK;
