#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int root_target(const struct root_work *w, const char *target)
{
	return mnt_open(w->root, target, O_PATH, RESOLVE_IN_ROOT | MNT_STRICT);
}

int root_attach(const struct root_work *w, int mount, const char *target)
{
	_cleanup_close_ int at = root_target(w, target);

	return at < 0 ? at : mnt_attach(mount, at, "");
}

/* Attaches it, and looks whether it is this that is found there (CVE-2023-27561). */
static int attach_checked(
	const struct root_work *w, int mount, const struct plan_step *s, unsigned long magic)
{
	struct statfs fs;
	int r = root_attach(w, mount, s->target);

	if (r < 0)
		return r;
	_cleanup_close_ int there = root_target(w, s->target);
	if (there < 0 || fstatfs(there, &fs) < 0)
		return there < 0 ? there : -errno;
	return (unsigned long)fs.f_type == magic ? 0 : -EXDEV;
}

int mount_host(struct root_work *w, const struct plan_step *s)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/%s", s->target);
	/* With what is mounted below it; a /usr that is a mount itself is found by its name. */
	_cleanup_close_ int copy = mnt_copy(AT_FDCWD, path, true);
	if (copy < 0)
		return copy;
	int r = mnt_set_shown(copy, s->attributes, w->r->userns, true);
	return r < 0 ? r : root_attach(w, copy, s->target);
}

int mount_proc(struct root_work *w, const struct plan_step *s)
{
	int r = mnt_set(w->r->proc, s->attributes, -1, false);

	return r < 0 ? r : attach_checked(w, w->r->proc, s, PROC_SUPER_MAGIC);
}

int mount_sys(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int sys = mnt_new("sysfs", NULL, s->attributes);

	return sys < 0 ? sys : attach_checked(w, sys, s, SYSFS_MAGIC);
}

int mount_empty(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int copy = mnt_copy(w->scratch, "empty", false);

	return copy < 0 ? copy : root_attach(w, copy, s->target);
}

int mount_mqueue(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int queues = mnt_new("mqueue", NULL, s->attributes);

	if (queues == -ENODEV)
		return 0; /* this kernel has none */
	return queues < 0 ? queues : root_attach(w, queues, s->target);
}

int mount_tmpfs(struct root_work *w, const struct plan_step *s)
{
	char mode[8], uid[16], gid[16];
	struct mnt_option options[] = {
		{"size", s->text}, {"mode", mode}, {"uid", uid}, {"gid", gid}, {NULL, NULL}};

	(void)snprintf(mode, sizeof mode, "%o", s->mode);
	(void)snprintf(uid, sizeof uid, "%u", s->of_dyno ? w->b->uid : w->r->root_id);
	(void)snprintf(gid, sizeof gid, "%u", s->of_dyno ? w->b->gid : w->r->root_id);
	if (!w->b->root)
		options[2].name = NULL;
	_cleanup_close_ int fs = mnt_new("tmpfs", options, s->attributes);
	return fs < 0 ? fs : root_attach(w, fs, s->target);
}

static int make_name(
	const struct root_work *w, const struct plan_step *s, int in, const char *name, bool folder)
{
	int r = folder ? mkdirat(in, name, 0755) : mknodat(in, name, S_IFREG | 0644, 0);

	if (r < 0)
		return errno == EEXIST ? 0 : -errno;
	return root_own(w, in, name, s->make == PLAN_TARGET_GIVEN);
}

/* Component by component, each in a folder that was opened through no link (CVE-2024-45310). */
static int make_target(const struct root_work *w, const struct plan_step *s, bool folder)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s", s->target) >= sizeof path)
		return -ENAMETOOLONG;
	/* The first component is one of ours. */
	for (char *slash = strchr(path, '/'), *next; slash; slash = next) {
		*slash = '\0';
		_cleanup_close_ int in = root_target(w, path);
		*slash = '/';
		if (in < 0)
			return in;
		next = strchr(slash + 1, '/');
		if (next)
			*next = '\0';
		int r = make_name(w, s, in, slash + 1, next || folder);
		if (next)
			*next = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

int mount_bind(struct root_work *w, const struct plan_step *s)
{
	int of = w->r->binds[s->index];
	struct stat st;

	if (fstat(of, &st) < 0)
		return -errno;
	int r = s->make == PLAN_TARGET_IS ? 0 : make_target(w, s, S_ISDIR(st.st_mode));
	_cleanup_close_ int copy = r < 0 ? r : mnt_copy(of, "", true);
	if (copy < 0)
		return copy;
	r = mnt_set(copy, s->attributes, -1, true);
	return r < 0 ? r : root_attach(w, copy, s->target);
}
