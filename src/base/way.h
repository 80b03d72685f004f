/* A directory on a way that may not be all root's own.
 *
 * Who owns a directory can put a link, or another directory, in the place of what is below it, at
 * any moment. So root goes there step by step, by descriptors. Where nobody but root could have put
 * them, links are followed. From the first directory on that is another's, or that others can write
 * to, a link is refused, and so is what belongs to neither root nor whose that directory is. Others
 * than root have nothing to lose that way, and go where it leads. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct way {
	int fd;	     /* O_PATH, of the last directory; -1 = none */
	bool safe;   /* nobody but root could have put it there */
	bool made;   /* by this call */
	uid_t owner; /* when it is not safe: whose it is from some directory on; 0: anybody's */
};

/* path: absolute. make: what is missing is made, with mode 0755, but not where a link leads. The
 * caller closes it with way_done(), also after a failure. -EPERM: refused as said above; else the
 * errno. */
int way_open(struct way *w, const char *path, bool make, struct err *err) HSUP_MUST_CHECK;
void way_done(struct way *w);

/* A directory with nothing in it; false when it is none, or cannot be read. Takes fd. */
bool way_is_empty(int fd);

/* Makes the directory uid's, unless it is already. Only what is root's: one that nobody else could
 * have put there, or one with nothing in it. Else -EPERM, for it may be any that root has made. */
int way_give(const struct way *w, uid_t uid, gid_t gid) HSUP_MUST_CHECK;
