/* Mounts by descriptor: the new mount API and openat2(), which musl has no names for. Every call
 * returns a descriptor (close-on-exec, the caller's) or 0, or negative errno. Attributes are
 * MOUNT_ATTR_*. */
#pragma once

#include "base/mem.h"

#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>

/* No name of ours goes through a link that somebody else may have put there. */
#define MNT_STRICT (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct mnt_option {
	const char *name, *value; /* value NULL: a flag */
};

/* A new file system, mounted nowhere. Options end with a NULL name; may be NULL. */
int mnt_new(
	const char *type, const struct mnt_option *options, uint64_t attributes) HSUP_MUST_CHECK;
/* A copy of a mount from `path` below dir on ("": dir itself), mounted nowhere; with all mounts
 * below it when `recursive`. */
int mnt_copy(int dir, const char *path, bool recursive) HSUP_MUST_CHECK;
/* Sets attributes; and the ids of its files shown through userns, unless that is -1: -EINVAL when
 * the file system cannot (tmpfs and squashfs of 6.1), and nothing was set. */
int mnt_set(int mount, uint64_t attributes, int userns, bool recursive) HSUP_MUST_CHECK;
/* The same, shown as it is when its ids cannot be shown otherwise. */
int mnt_set_shown(int mount, uint64_t attributes, int userns, bool recursive) HSUP_MUST_CHECK;
int mnt_attach(int mount, int dir, const char *path) HSUP_MUST_CHECK;
/* openat2() below dir; with RESOLVE_* as given. */
int mnt_open(int dir, const char *path, int flags, uint64_t resolve) HSUP_MUST_CHECK;
/* No mount of ours is seen outside, nor the other way round. */
int mnt_private(void) HSUP_MUST_CHECK;
/* The folder we are in, a mount, becomes the root of all of the mount namespace; the one before is
 * gone, with all that is mounted in it. */
int mnt_pivot(void) HSUP_MUST_CHECK;
