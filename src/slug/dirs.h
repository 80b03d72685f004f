/* The directories of an unpack in progress. The path to the one in use is held open, part by part,
 * so that a file costs no walk and no part of a name is ever resolved twice.
 *
 * A directory is opened beneath its parent's descriptor with openat2: no symbolic link, no mount
 * point and no magic link is passed. Who removes or replaces a directory says so with dirs_leave(),
 * so that what is held open cannot go stale. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dirs;

/* root stays the caller's; what: "slug", for texts. *count is raised for every directory that is
 * made because a name needs it, up to max (-EFBIG). */
int dirs_new(int root, uint64_t *count, uint64_t max, const char *what,
	struct dirs **ret_dirs) HSUP_MUST_CHECK;
struct dirs *dirs_free(struct dirs *d);

/* The descriptor (O_PATH, not the caller's, valid until the next call) of the directory that the
 * first len bytes of a canonical name mean, made with its parents when missing. */
int dirs_enter(struct dirs *d, const char *path, size_t len, struct err *err) HSUP_MUST_CHECK;
/* The same, but nothing is made: -ENOENT, without a text, when there is no such directory, or when
 * something else is in its place or on the way. */
int dirs_look(struct dirs *d, const char *path, size_t len, struct err *err) HSUP_MUST_CHECK;
/* Holds no directory open that is more than `depth` parts below the root. */
void dirs_leave(struct dirs *d, unsigned depth);
