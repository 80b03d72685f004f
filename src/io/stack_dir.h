/* The folder of the stacks: the roots that native dynos run on. One folder for each, NAME-VERSION,
 * with one of these in it:
 *
 *   rootfs/    a tree              with manifest.json and tree.txt of `hsup stack add`
 *   root.img   squashfs, erofs, ext4                likewise
 *
 * or it is a tree itself (bin/ or usr/ lies in it), as those that Go hsup kept: "classic". A
 * version has no '-', so that the name ends at the last one. What begins with a dot is in work.
 *
 * Who has a stack as a dyno's root holds a shared lock (flock) on .locks/NAME-VERSION as long as
 * the dyno lives: `hsup stack remove` refuses until the kernel has ended the last one. Only the
 * owner of the stacks can open what is in .locks: of a folder that all may read, anybody has the
 * lock who asks for it. A box makes its file where there is none; who may not (he is not the owner,
 * or it is a medium that cannot be written to) does without.
 *
 * Looks at names and kinds only; whoever mounts a stack opens it anew, link by link. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define STACK_NAME   100    /* bytes of NAME-VERSION; as SPEC_BOX_NAME_MAX, that carries it */
#define STACK_FOLDER 256    /* of a buffer for it */
#define STACK_HOST   "host" /* the machine's own root: always there, and no folder */

#define STACK_ROOTFS   "rootfs"
#define STACK_IMAGE    "root.img"
#define STACK_MANIFEST "manifest.json"
#define STACK_TREE     "tree.txt"
#define STACK_LOCKS    ".locks"
#define STACK_WORK     ".adding-" /* in front of a random name: an add in progress, or what is left */

enum stack_kind {
	STACK_KIND_NONE = 0, /* there is no root in it */
	STACK_KIND_ROOTFS,
	STACK_KIND_IMAGE,
	STACK_KIND_CLASSIC,
};

struct stack_entry {
	char folder[STACK_NAME + 1]; /* NAME-VERSION */
	size_t name; /* bytes of it that are the name; the version is behind the '-' */
	enum stack_kind kind;
	bool has_manifest;
};

/* [A-Za-z0-9._-], not beginning with a dot, not "host"; a version without '-'. */
bool stack_is_name(const char *text);
bool stack_is_version(const char *text);

/* The folder in `folder` that NAME means: one that is called so exactly, else the newest version
 * (strverscmp) of it. "host" is "host". -ENOENT: there is none, and err says how to add one;
 * -EINVAL: it can be no name; or the errno of reading the folder. */
int stack_find(const char *folder, const char *name, char ret_dir[STACK_FOLDER],
	struct err *err) HSUP_MUST_CHECK;

/* All that have a root, by name, the newest version first. The array is the caller's. A folder that
 * does not exist has none. 0 or negative errno. */
int stack_list(const char *folder, struct stack_entry **ret_entries, size_t *ret_n,
	struct err *err) HSUP_MUST_CHECK;
