#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Complete before anybody could have put a link in it: mounted nowhere (CVE-2026-41579). */
int dev_begin(struct root_work *w, const struct plan_step *s)
{
	static const struct mnt_option options[] = {{"mode", "755"}, {"size", "64k"}, {NULL, NULL}};

	w->dev = mnt_new("tmpfs", options, s->attributes);
	return w->dev < 0 ? w->dev : root_own(w, w->dev, "", false);
}

static const char *name_of(const struct plan_step *s)
{
	return s->target + sizeof "dev/" - 1;
}

static dev_t number_of(const struct plan_step *s)
{
	return makedev(s->mode >> 8, s->mode & 255);
}

int dev_device(struct root_work *w, const struct plan_step *s)
{
	const char *name = name_of(s);

	if (mknodat(w->dev, name, S_IFCHR | 0666, number_of(s)) == 0)
		return root_own(w, w->dev, name, false);
	if (errno != EPERM)
		return -errno;
	/* In a user namespace, or where a cgroup of ours forbids it: the machine's own. */
	w->binds_devices = true;
	return mknodat(w->dev, name, S_IFREG | 0444, 0) < 0 ? -errno : 0;
}

static int bind_device(struct root_work *w, const struct plan_step *s)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof path, "/%s", s->target);
	_cleanup_close_ int of = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (of < 0 || fstat(of, &st) < 0)
		return -errno;
	/* Is it what its name says? (CVE-2025-31133) */
	if (!S_ISCHR(st.st_mode) || st.st_rdev != number_of(s))
		return -ENODEV;
	_cleanup_close_ int copy = mnt_copy(of, "", false);
	if (copy < 0)
		return copy;
	int r = mnt_set(copy, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, -1, false);
	return r < 0 ? r : root_attach(w, copy, s->target);
}

int dev_attach(struct root_work *w, const struct plan_step *s)
{
	int r = mnt_set(w->dev, s->attributes, -1, false);

	if (r == 0)
		r = root_attach(w, w->dev, s->target);
	w->dev = fd_close(w->dev);
	for (unsigned i = 0; i < w->plan.n && w->binds_devices && r == 0; i++)
		if (w->plan.steps[i].type == PLAN_DEVICE)
			r = bind_device(w, &w->plan.steps[i]);
	return r;
}

int dev_pts(struct root_work *w, const struct plan_step *s)
{
	char group[16];
	struct mnt_option options[] = {{"newinstance", NULL}, {"ptmxmode", "0666"},
		{"mode", "0620"}, {"gid", group}, {NULL, NULL}};

	/* Debian's group tty; rootless, there is one group only. */
	(void)snprintf(group, sizeof group, "%u", w->r->root_id + 5);
	if (!w->b->root)
		options[3].name = NULL;
	_cleanup_close_ int pts = mnt_new("devpts", options, s->attributes);
	return pts < 0 ? pts : root_attach(w, pts, s->target);
}
