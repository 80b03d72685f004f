#include "box/mnt.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> cannot both be had. */
#define DETACH 2

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

static int configure(int fs, unsigned command, const char *name, const char *value)
{
	return result(syscall(SYS_fsconfig, fs, command, name, value, 0));
}

int mnt_new(const char *type, const struct mnt_option *options, uint64_t attributes)
{
	_cleanup_close_ int fs = result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));

	if (fs < 0)
		return fs;
	for (; options && options->name; options++) {
		int r = configure(fs, options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			options->name, options->value);
		if (r < 0)
			return r;
	}
	int r = configure(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (r < 0)
		return r;
	return result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes));
}

int mnt_copy(int dir, const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;

	return result(syscall(
		SYS_open_tree, dir, path, recursive ? flags | (unsigned)AT_RECURSIVE : flags));
}

int mnt_set(int mount, uint64_t attributes, int userns, bool recursive)
{
	struct mount_attr a = {.attr_set = attributes};

	if (userns >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)userns;
	}
	return result(syscall(SYS_mount_setattr, mount, "",
		(unsigned)AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0), &a, sizeof a));
}

int mnt_set_shown(int mount, uint64_t attributes, int userns, bool recursive)
{
	int r = mnt_set(mount, attributes, userns, recursive);

	/* EPERM: it is shown through another one already. */
	if (userns >= 0 && (r == -EINVAL || r == -EPERM))
		r = mnt_set(mount, attributes, -1, recursive);
	return r;
}

int mnt_attach(int mount, int dir, const char *path)
{
	return result(syscall(SYS_move_mount, mount, "", dir, path,
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int mnt_open(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = resolve};

	return result(syscall(SYS_openat2, dir, path, &how, sizeof how));
}

int mnt_private(void)
{
	struct mount_attr a = {.propagation = 1 << 18}; /* MS_PRIVATE */

	return result(
		syscall(SYS_mount_setattr, AT_FDCWD, "/", (unsigned)AT_RECURSIVE, &a, sizeof a));
}

int mnt_pivot(void)
{
	/* The old root comes to lie upon the new one, and goes from there. */
	int r = result(syscall(SYS_pivot_root, ".", "."));

	if (r == 0)
		r = result(syscall(SYS_umount2, ".", DETACH));
	/* CVE-2024-21626: no folder of the machine stays the one we are in. */
	if (r == 0)
		r = result(chdir("/"));
	return r;
}
