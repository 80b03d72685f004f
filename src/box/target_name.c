#include "base/fd.h"
#include "box/list.h"
#include "box/sweep.h"
#include "box/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* It holds the claim of that name: found by what the kernel calls its descriptors, not by what is
 * in our folder of the claims, which may have been settled anew since. */
int target_check_name(int process, const char *name)
{
	static const char removed[] = " (deleted)";
	char path[PATH_MAX], claim[sizeof BOX_CLAIMS + SPEC_BOX_NAME_MAX + 2];
	_cleanup_close_ int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t len = (size_t)snprintf(claim, sizeof claim, "/" BOX_CLAIMS "/%s", name);
	const char *one;
	struct list l;
	bool folder;

	if (fds < 0)
		return -errno;
	list_begin(&l, fds);
	while ((one = list_next(&l, &folder))) {
		ssize_t n = readlinkat(fds, one, path, sizeof path - 1);
		size_t end = n > 0 ? (size_t)n : 0;

		if (end > sizeof removed - 1 &&
			memcmp(path + end - (sizeof removed - 1), removed, sizeof removed - 1) == 0)
			end -= sizeof removed - 1;
		if (end >= len && memcmp(path + end - len, claim, len) == 0)
			return 0;
	}
	return l.failed ? -errno : -ESRCH;
}
