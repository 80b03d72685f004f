#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int root_own(const struct root_work *w, int dir, const char *name, bool dyno)
{
	uid_t uid = dyno ? w->b->uid : w->r->root_id;
	gid_t gid = dyno ? w->b->gid : w->r->root_id;

	/* Rootless, all is ours, and there is nobody else. */
	if (!w->b->root || (uid == 0 && gid == 0))
		return 0;
	return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int act(struct root_work *w, const struct plan_step *s)
{
	static int (*const acts[])(struct root_work * w, const struct plan_step *s) = {
		[PLAN_DIR] = skeleton_dir,
		[PLAN_FILE] = skeleton_file,
		[PLAN_TEXT] = etc_write,
		[PLAN_SYMLINK] = skeleton_symlink,
		[PLAN_WHITEOUT] = skeleton_whiteout,
		[PLAN_NO_LINK] = skeleton_no_link,
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
	if (r < 0)
		return r;
	w->skeleton = mnt_open(
		w->scratch, "skeleton", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | MNT_STRICT);
	if (w->skeleton < 0)
		return w->skeleton;
	/* Before it becomes read-only, with all of the scratch file system. */
	if (w->b->warm >= 0)
		w->r->skeleton = mnt_copy(w->skeleton, "", false);
	return w->b->warm >= 0 && w->r->skeleton < 0 ? w->r->skeleton : 0;
}

/* Steps up to `end`. */
static int act_until(struct root_work *w, unsigned end, enum wire_stage *ret_stage)
{
	int r = 0;

	for (; w->next < end && r == 0; w->next++) {
		const struct plan_step *s = &w->plan.steps[w->next];

		if (w->next > 0 && s->stage != s[-1].stage)
			box_step(w->b);
		*ret_stage = s->stage;
		r = act(w, s);
	}
	return r;
}

static unsigned skeleton_end(const struct plan *plan)
{
	unsigned i = 0;

	while (i < plan->n && plan->steps[i].type < PLAN_ROOT)
		i++;
	return i;
}

static int build_skeleton(struct root_work *w, enum wire_stage *ret_stage)
{
	struct plan_facts facts;

	*ret_stage = WIRE_STAGE_BINDS;
	int r = find_facts(w->b, w->r, &facts);
	if (r == 0)
		r = plan_make(w->b->spec, &facts, &w->plan, ret_stage);
	if (r < 0)
		return r;
	*ret_stage = WIRE_STAGE_MOUNTS;
	r = mnt_private();
	if (r == 0)
		r = begin(w);
	return r < 0 ? r : act_until(w, skeleton_end(&w->plan), ret_stage);
}

static int build(struct root_work *w, enum wire_stage *ret_stage)
{
	*ret_stage = WIRE_STAGE_MOUNTS;
	if (fchdir(w->scratch) < 0)
		return -errno;
	int r = act_until(w, w->plan.n, ret_stage);
	if (r < 0)
		return r;
	box_step(w->b);
	*ret_stage = WIRE_STAGE_PIVOT;
	return fchdir(w->root) < 0 ? -errno : mnt_pivot();
}

static struct root_work work;

int root_begin(struct box *b, struct box_root *r, enum wire_stage *ret_stage)
{
	mode_t mask = umask(0);

	work.b = b;
	work.r = r;
	work.scratch = work.skeleton = work.dev = work.root = -1;
	int e = build_skeleton(&work, ret_stage);
	(void)umask(mask);
	return e;
}

int root_enter(struct box_root *r, enum wire_stage *ret_stage)
{
	mode_t mask = umask(0);
	int e = build(&work, ret_stage);

	(void)umask(mask);
	(void)fd_close(work.scratch);
	(void)fd_close(work.skeleton);
	(void)fd_close(work.dev);
	(void)fd_close(work.root);
	root_close(r);
	return e;
}
