/* A tree written down, so that it can be compared with itself later: tree.txt of a stack.
 *
 * One line for each of what is in it, the root itself first:
 *
 *   TYPE MODE UID GID SIZE CONTENT PATH
 *
 * TYPE is d, f, l (or c, b, p, s: never in a stack that was added); MODE four octal digits; SIZE
 * the bytes of a file, else 0; CONTENT the SHA-256 of a file, the target of a symbolic link, else
 * "-". PATH is relative, "." for the root. Bytes up to space, above '~' and the backslash are
 * written as \ooo. Sorted by path, part by part, as bytes of what is written here. Times and the
 * sizes of directories are not in it: they are the file system's. */
#pragma once

#include "base/err.h"
#include "slug/digest.h"
#include "slug/unpack.h"

struct tree_count {
	uint64_t bytes, entries; /* of files; without the root */
};

/* Writes that of `root` to `out` (a file, the caller's). */
int tree_write(int root, int out, unpack_tick_fn tick, void *userdata, struct tree_count *ret_count,
	char ret_digest[DIGEST_HEX + 1], struct err *err) HSUP_MUST_CHECK;

/* Compares `root` with what `old` (a file) says, and writes a line to `out` for each difference,
 * TREE_SHOWN at most. -EBADMSG: old is none of ours. */
#define TREE_SHOWN 1000
int tree_compare(int root, int old, int out, unpack_tick_fn tick, void *userdata,
	struct tree_count *ret_count, uint64_t *ret_differences, struct err *err) HSUP_MUST_CHECK;
