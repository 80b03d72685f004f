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

int root_own(const struct root_work *w, int dir, const char *name, bool dyno)
{
	uid_t uid = dyno ? w->b->uid : w->root_id;
	gid_t gid = dyno ? w->b->gid : w->root_id;

	/* Rootless, all is ours, and there is nobody else. */
	if (!w->b->root || (uid == 0 && gid == 0))
		return 0;
	return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* ---- what is made before it is mounted ---- */

/* Where those are made, and under which name there. */
static int maker(const struct root_work *w, const struct plan_step *s, const char **ret_name)
{
	*ret_name = w->dev >= 0 ? s->target + sizeof "dev/" - 1 : s->target;
	return w->dev >= 0 ? w->dev : w->skeleton;
}

static int make_dir(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (mkdirat(in, name, s->mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	return root_own(w, in, name, s->of_dyno);
}

static int make_file(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (mknodat(in, name, S_IFREG | s->mode, 0) < 0)
		return -errno;
	return root_own(w, in, name, s->of_dyno);
}

static int make_symlink(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (symlinkat(s->text, in, name) < 0)
		return -errno;
	return root_own(w, in, name, false);
}

/* A name of the machine's that is not there; its folder, when it is one there, and not a link, is
 * needed in the skeleton. */
static int make_whiteout(struct root_work *w, const struct plan_step *s)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof path, "/%s", s->target);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (mkdirat(w->skeleton, path + 1, st.st_mode & 0755) == 0) {
		int r = root_own(w, w->skeleton, path + 1, false);
		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return -errno;
	}
	return mknodat(w->skeleton, s->target, S_IFCHR, 0) < 0 ? -errno : 0;
}

static int no_link(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int host =
		w->r->stack < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat st;

	if (fstatat(w->r->stack < 0 ? host : w->r->stack, s->target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return S_ISLNK(st.st_mode) ? -ELOOP : 0;
}

/* ---- mounts ---- */

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

static int mount_host(struct root_work *w, const struct plan_step *s)
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

static int mount_proc(struct root_work *w, const struct plan_step *s)
{
	int r = mnt_set(w->r->proc, s->attributes, -1, false);

	return r < 0 ? r : attach_checked(w, w->r->proc, s, PROC_SUPER_MAGIC);
}

static int mount_sys(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int sys = mnt_new("sysfs", NULL, s->attributes);

	return sys < 0 ? sys : attach_checked(w, sys, s, SYSFS_MAGIC);
}

static int mount_empty(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int copy = mnt_copy(w->scratch, "empty", false);

	return copy < 0 ? copy : root_attach(w, copy, s->target);
}

static int mount_mqueue(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int queues = mnt_new("mqueue", NULL, s->attributes);

	if (queues == -ENODEV)
		return 0; /* this kernel has none */
	return queues < 0 ? queues : root_attach(w, queues, s->target);
}

static int mount_tmpfs(struct root_work *w, const struct plan_step *s)
{
	char mode[8], uid[16], gid[16];
	struct mnt_option options[] = {
		{"size", s->text}, {"mode", mode}, {"uid", uid}, {"gid", gid}, {NULL, NULL}};

	(void)snprintf(mode, sizeof mode, "%o", s->mode);
	(void)snprintf(uid, sizeof uid, "%u", s->of_dyno ? w->b->uid : w->root_id);
	(void)snprintf(gid, sizeof gid, "%u", s->of_dyno ? w->b->gid : w->root_id);
	if (!w->b->root)
		options[2].name = NULL;
	_cleanup_close_ int fs = mnt_new("tmpfs", options, s->attributes);
	return fs < 0 ? fs : root_attach(w, fs, s->target);
}

/* Component by component, each by descriptor (CVE-2024-45310). */
static int make_target(const struct root_work *w, const struct plan_step *s, bool folder)
{
	char path[PATH_MAX];

	for (const char *from = s->target, *slash; from; from = slash ? slash + 1 : NULL) {
		slash = strchr(from, '/');
		size_t before = (size_t)(from - s->target);
		(void)snprintf(
			path, sizeof path, "%.*s", before > 0 ? (int)before - 1 : 0, s->target);
		_cleanup_close_ int in = before > 0 ? root_target(w, path) : dup(w->root);
		if (in < 0)
			return in;
		(void)snprintf(path, sizeof path, "%.*s",
			slash ? (int)(slash - from) : (int)strlen(from), from);
		int r = slash || folder ? mkdirat(in, path, 0755)
					: mknodat(in, path, S_IFREG | 0644, 0);
		if (r < 0 && errno != EEXIST)
			return -errno;
		if (r == 0)
			r = root_own(w, in, path, s->make == PLAN_TARGET_GIVEN);
		else
			r = 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int mount_bind(struct root_work *w, const struct plan_step *s)
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

static int act(struct root_work *w, const struct plan_step *s)
{
	static int (*const acts[])(struct root_work * w, const struct plan_step *s) = {
		[PLAN_DIR] = make_dir,
		[PLAN_FILE] = make_file,
		[PLAN_TEXT] = etc_write,
		[PLAN_SYMLINK] = make_symlink,
		[PLAN_WHITEOUT] = make_whiteout,
		[PLAN_NO_LINK] = no_link,
		[PLAN_DEVICE] = dev_device,
		[PLAN_ROOT] = layer_root,
		[PLAN_ROOT_HOST] = layer_root,
		[PLAN_HOST] = mount_host,
		[PLAN_HOST_ETC] = layer_host_etc,
		[PLAN_PROC] = mount_proc,
		[PLAN_SYS] = mount_sys,
		[PLAN_EMPTY] = mount_empty,
		[PLAN_DEV] = dev_begin,
		[PLAN_DEV_ATTACH] = dev_attach,
		[PLAN_DEVPTS] = dev_pts,
		[PLAN_MQUEUE] = mount_mqueue,
		[PLAN_TMPFS] = mount_tmpfs,
		[PLAN_APP] = layer_app,
		[PLAN_TMP] = layer_tmp,
		[PLAN_MASK] = mask_one,
		[PLAN_MASK_CPUS] = mask_cpus,
		[PLAN_READ_ONLY] = mask_read_only,
		[PLAN_BIND] = mount_bind,
	};

	return acts[s->type](w, s);
}

static int find_facts(const struct box *b, const struct box_root *r, struct plan_facts *f)
{
	*f = (struct plan_facts){
		.root = b->root,
		.slug = r->slug >= 0,
		.sys = r->sys && b->root,
		.host = r->stack < 0,
		.no_masks = box_skips(b, "masks"),
		.no_read_only = box_skips(b, "readonly"),
		.no_nosuid = box_skips(b, "nosuid"),
		.no_nodev = box_skips(b, "nodev"),
	};
	for (unsigned i = 0; i < b->spec->n_binds; i++) {
		struct stat st;
		if (fstat(r->binds[i], &st) < 0)
			return -errno;
		f->folder[i] = S_ISDIR(st.st_mode);
	}
	for (unsigned i = 0; i < PLAN_HOST_NAMES && f->host; i++) {
		struct plan_host *h = &f->host_names[i];
		char path[16];
		struct stat st;

		(void)snprintf(path, sizeof path, "/%s", plan_host_names[i]);
		h->there = lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
		if (h->there && S_ISLNK(st.st_mode) &&
			readlink(path, h->link, sizeof h->link - 1) <= 0)
			return -errno;
	}
	return 0;
}

static int begin(struct root_work *w)
{
	static const struct mnt_option options[] = {{"mode", "755"}, {"size", "1m"}, {NULL, NULL}};
	static const char *const dirs[] = {"skeleton", "stack", "slug", "layer", "root", "empty"};
	static const char *const seen[] = {"skeleton", "empty", "mask"}; /* in the new root */

	w->scratch =
		mnt_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (w->scratch < 0)
		return w->scratch;
	int r = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(dirs) && r == 0; i++)
		r = mkdirat(w->scratch, dirs[i], 0755) < 0 ? -errno : 0;
	if (r == 0 && mknodat(w->scratch, "mask", S_IFREG | 0444, 0) < 0)
		r = -errno;
	for (unsigned i = 0; i < ARRAY_SIZE(seen) && r == 0; i++)
		r = root_own(w, w->scratch, seen[i], false);
	if (r == 0)
		r = mnt_attach(w->scratch, AT_FDCWD, "/proc");
	if (r == 0 && fchdir(w->scratch) < 0)
		r = -errno;
	if (r < 0)
		return r;
	w->skeleton = mnt_open(
		w->scratch, "skeleton", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | MNT_STRICT);
	return w->skeleton < 0 ? w->skeleton : 0;
}

static int build(struct root_work *w, enum wire_stage *ret_stage)
{
	static struct plan plan;
	struct plan_facts facts;

	*ret_stage = WIRE_STAGE_BINDS;
	int r = find_facts(w->b, w->r, &facts);
	if (r == 0)
		r = plan_make(w->b->spec, &facts, &plan, ret_stage);
	if (r < 0)
		return r;
	w->plan = &plan;
	*ret_stage = WIRE_STAGE_MOUNTS;
	r = mnt_private();
	if (r == 0)
		r = begin(w);
	for (unsigned i = 0; i < plan.n && r == 0; i++) {
		if (i > 0 && plan.steps[i].stage != plan.steps[i - 1].stage)
			box_step(w->b);
		*ret_stage = plan.steps[i].stage;
		r = act(w, &plan.steps[i]);
	}
	if (r < 0)
		return r;
	box_step(w->b);
	*ret_stage = WIRE_STAGE_PIVOT;
	return fchdir(w->root) < 0 ? -errno : mnt_pivot();
}

int root_enter(struct box *b, struct box_root *r, enum wire_stage *ret_stage)
{
	struct root_work w = {
		.b = b,
		.r = r,
		.scratch = -1,
		.skeleton = -1,
		.dev = -1,
		.root = -1,
		.root_id = r->userns >= 0 ? BOX_ROOT_ID : 0,
	};
	mode_t mask = umask(0);
	int e = build(&w, ret_stage);

	(void)umask(mask);
	(void)fd_close(w.scratch);
	(void)fd_close(w.skeleton);
	(void)fd_close(w.dev);
	(void)fd_close(w.root);
	root_close(r);
	return e;
}
