#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER	 (O_PATH | O_DIRECTORY)
#define IN_PLACE (RESOLVE_BENEATH | MNT_STRICT)

/* A folder of the operator's: links on the way to it are his. */
static int open_given(const char *path)
{
	int fd = path[0] ? open(path, FOLDER | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : path[0] ? -errno : -ENOENT;
}

/* A path that came with a spec, below one of the folders that it may be in: opened once, through no
 * link, and used by this descriptor only (CVE-2021-30465). -EACCES: it is in none of them. */
static int open_allowed(
	const char *path, size_t len, const char (*folders)[PATH_MAX], unsigned n, int flags)
{
	char rest[PATH_MAX];

	for (unsigned i = 0; i < n; i++) {
		const char *below = plan_below(path, len, folders[i]);

		if (!below)
			continue;
		size_t left = len - (size_t)(below - path);
		if (left >= sizeof rest)
			return -ENAMETOOLONG;
		_cleanup_close_ int folder = open_given(folders[i]);
		if (folder < 0)
			return folder;
		if (left == 0)
			return TAKE_FD(folder);
		(void)snprintf(rest, sizeof rest, "%.*s", (int)left, below);
		return mnt_open(folder, rest, flags, IN_PLACE);
	}
	return -EACCES;
}

/* Whoever would remove the stack asks for the lock alone. It is held by way of a mount that begins
 * at the stack: from this folder, which init keeps, no ".." leads to what else the machine has. */
static int hold_stack(int stack)
{
	_cleanup_close_ int mount = mnt_copy(stack, "", false);

	if (mount < 0)
		return mount;
	_cleanup_close_ int fd = mnt_open(mount, ".", O_RDONLY | O_DIRECTORY, IN_PLACE);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

static int open_stack(struct box *b, struct box_root *r)
{
	if (strcmp(b->spec->box_stack, "host") == 0)
		return 0;
	_cleanup_close_ int stacks = open_given(b->settings->stacks);
	if (stacks < 0)
		return stacks;
	_cleanup_close_ int stack = mnt_open(stacks, b->spec->box_stack, FOLDER, IN_PLACE);
	if (stack < 0)
		return stack;
	b->stack_lock = hold_stack(stack);
	if (b->stack_lock < 0)
		return b->stack_lock;
	int fd = mnt_open(stack, "rootfs", FOLDER, IN_PLACE);
	if (fd == -ENOENT) {
		fd = image_mount(stack);
		r->image = fd >= 0;
	}
	if (fd == -ENOENT)
		fd = TAKE_FD(stack);
	r->stack = fd;
	return fd < 0 ? fd : 0;
}

static int open_slug(struct box *b, struct box_root *r)
{
	const struct box_settings *s = b->settings;
	const char *path = b->spec->box_slug;

	if (!path)
		return 0;
	r->slug = open_allowed(path, strlen(path), s->slugs, s->n_slugs, FOLDER);
	return r->slug < 0 ? r->slug : 0;
}

static int open_binds(struct box *b, struct box_root *r)
{
	const struct box_settings *s = b->settings;

	for (unsigned i = 0; i < b->spec->n_binds; i++) {
		struct plan_bind bind;
		int e = plan_bind_parse(b->spec->binds[i], &bind);

		if (e == 0)
			e = r->binds[i] = open_allowed(
				bind.source, bind.source_len, s->binds, s->n_binds, O_PATH);
		if (e < 0)
			return e;
	}
	return 0;
}

static int make_part(const struct box *b, int layer, const char *name, mode_t mode)
{
	if (mkdirat(layer, name, mode) < 0)
		return -errno;
	if (b->root && fchownat(layer, name, b->uid, b->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* What is in it while the dyno lives is nobody else's: a file there may be set-uid, or may be open
 * to all because nobody else is in its container. */
static int open_boxes(const char *state_path)
{
	_cleanup_close_ int state = open_given(state_path);

	if (state < 0)
		return state;
	if (mkdirat(state, "boxes", 0700) < 0 && errno != EEXIST)
		return -errno;
	_cleanup_close_ int boxes = mnt_open(state, "boxes", FOLDER, IN_PLACE);
	struct stat st;
	if (boxes < 0 || fstat(boxes, &st) < 0)
		return boxes < 0 ? boxes : -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 022) ? TAKE_FD(boxes) : -EPERM;
}

static int open_layer(struct box *b, struct box_root *r)
{
	const char *name = b->spec->box_name;

	if (!b->settings->state[0])
		return 0;
	_cleanup_close_ int boxes = open_boxes(b->settings->state);
	if (boxes < 0)
		return boxes;
	/* Never one that is there: its owner may be another, alive. */
	if (mkdirat(boxes, name, 0711) < 0)
		return -errno;
	r->layer = mnt_open(boxes, name, FOLDER, IN_PLACE);
	if (r->layer < 0)
		return r->layer;
	/* (The kernel works in it, as who has mounted it; where there is an overlay.) */
	if (r->slug >= 0 && mkdirat(r->layer, "work", 0700) < 0)
		return -errno;
	int e = make_part(b, r->layer, "upper", 0755);
	return e < 0 ? e : make_part(b, r->layer, "tmp", 01777);
}

int root_open(struct box *b, struct box_root *ret, enum wire_stage *ret_stage)
{
	static const struct {
		enum wire_stage stage;
		int (*open)(struct box *b, struct box_root *r);
	} all[] = {
		{WIRE_STAGE_STACK, open_stack},
		{WIRE_STAGE_APP, open_slug},
		{WIRE_STAGE_BINDS, open_binds},
		{WIRE_STAGE_APP, open_layer},
	};

	mode_t mask = umask(0);
	int e = 0;

	ret->stack = ret->slug = ret->layer = -1;
	ret->image = false;
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		ret->binds[i] = -1;
	for (unsigned i = 0; i < ARRAY_SIZE(all) && e == 0; i++) {
		*ret_stage = all[i].stage;
		e = all[i].open(b, ret);
	}
	(void)umask(mask);
	if (e < 0)
		root_close(ret);
	return e;
}

void root_close(struct box_root *r)
{
	r->stack = fd_close(r->stack);
	r->slug = fd_close(r->slug);
	r->layer = fd_close(r->layer);
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		r->binds[i] = fd_close(r->binds[i]);
}
