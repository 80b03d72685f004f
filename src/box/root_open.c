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
#define LOCKS	 ".locks" /* in the folder of the stacks: STACK_LOCKS of io/stack_dir.h */

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

/* For a stack of another making, or the first start on it. */
static int make_lock(int stacks, const char *name, const char *path)
{
	_cleanup_close_ int stack = mnt_open(stacks, name, FOLDER, IN_PLACE);

	if (stack < 0)
		return stack;
	if (mkdirat(stacks, LOCKS, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(stacks, path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* Nobody else can have opened it. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* Whoever would remove the stack asks for the lock alone. It is of a file that only the owner of
 * the stacks can open: a folder that all may read all may lock, and nobody could start on it. Of a
 * file there is no ".." that leads to what else the machine has.
 *
 * Stacks that cannot be written to or locked, or are not ours (rootless, on those of root), may
 * have none, and *ret_lock stays what it is: then whoever removes one does not ask us. */
static int hold_stack(int stacks, const char *name, int *ret_lock)
{
	char path[sizeof LOCKS "/" + SPEC_BOX_NAME_MAX];
	struct stat st;

	(void)snprintf(path, sizeof path, LOCKS "/%s", name);
	_cleanup_close_ int fd = mnt_open(stacks, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, IN_PLACE);
	if (fd == -ENOENT)
		fd = make_lock(stacks, name, path);
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ENOSPC || fd == -EDQUOT)
		return 0;
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (errno == ENOLCK || errno == EOPNOTSUPP)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		return is_ours(fd) ? -EBUSY : 0;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	/* It was removed between the two, with the stack. */
	if (st.st_nlink == 0)
		return -EBUSY;
	*ret_lock = TAKE_FD(fd);
	return 0;
}

static int open_stack(struct box *b, struct box_root *r)
{
	const char *name = b->spec->box_stack;

	if (strcmp(name, "host") == 0)
		return 0;
	_cleanup_close_ int stacks = open_given(b->settings->stacks);
	if (stacks < 0)
		return stacks;
	/* What is opened then is there as long as the lock. */
	int fd = hold_stack(stacks, name, &b->stack_lock);
	if (fd < 0)
		return fd;
	_cleanup_close_ int stack = mnt_open(stacks, name, FOLDER, IN_PLACE);
	if (stack < 0)
		return stack;
	fd = mnt_open(stack, "rootfs", FOLDER, IN_PLACE);
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

int root_open(struct box *b, struct box_root *ret, enum wire_stage *ret_stage)
{
	static const struct {
		enum wire_stage stage;
		int (*open)(struct box *b, struct box_root *r);
	} all[] = {
		{WIRE_STAGE_STACK, open_stack},
		{WIRE_STAGE_APP, open_slug},
		{WIRE_STAGE_BINDS, open_binds},
	};

	int e = 0;

	ret->stack = ret->slug = -1;
	ret->image = false;
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		ret->binds[i] = -1;
	for (unsigned i = 0; i < ARRAY_SIZE(all) && e == 0; i++) {
		*ret_stage = all[i].stage;
		e = all[i].open(b, ret);
	}
	if (e < 0)
		root_close(ret);
	return e;
}

void root_close(struct box_root *r)
{
	r->stack = fd_close(r->stack);
	r->slug = fd_close(r->slug);
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		r->binds[i] = fd_close(r->binds[i]);
}
