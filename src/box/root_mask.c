#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* What hides is ours and is never found by a path of the container (CVE-2025-31133); of a mount
 * that is read-only, without devices, programs and set-uid. */
static int mask(struct root_work *w, const char *target)
{
	_cleanup_close_ int at = root_target(w, target);
	struct stat st;

	if (at == -ENOENT)
		return 0; /* this kernel has none */
	if (at < 0 || fstat(at, &st) < 0)
		return at < 0 ? at : -errno;
	_cleanup_close_ int empty =
		mnt_copy(w->scratch, S_ISDIR(st.st_mode) ? "empty" : "mask", false);
	return empty < 0 ? empty : mnt_attach(empty, at, "");
}

int mask_one(struct root_work *w, const struct plan_step *s)
{
	return mask(w, s->target);
}

/* The highest of "0-7,9", or 0. */
static unsigned last_cpu(const struct root_work *w, const char *folder)
{
	char path[128], text[128];
	unsigned last = 0;

	(void)snprintf(path, sizeof path, "%s/possible", folder);
	_cleanup_close_ int fd = mnt_open(w->root, path, O_RDONLY, RESOLVE_IN_ROOT | MNT_STRICT);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof text);
	for (ssize_t i = 0, start = true; i < n; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';
		if (digit)
			last = (start ? 0 : last * 10) + (unsigned)(text[i] - '0');
		start = !digit;
	}
	return last;
}

int mask_cpus(struct root_work *w, const struct plan_step *s)
{
	unsigned last = last_cpu(w, s->target);

	for (unsigned i = 0; i <= last; i++) {
		char path[128];

		(void)snprintf(path, sizeof path, "%s/cpu%u/%s", s->target, i, s->text);
		int r = mask(w, path);
		if (r < 0)
			return r;
	}
	return 0;
}

int mask_read_only(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int at = root_target(w, s->target);

	if (at == -ENOENT)
		return 0;
	_cleanup_close_ int copy = at < 0 ? at : mnt_copy(at, "", false);
	if (copy < 0)
		return copy;
	int r = mnt_set(copy, s->attributes, -1, false);
	return r < 0 ? r : mnt_attach(copy, at, "");
}
