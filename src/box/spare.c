#include "box/spare.h"

#include "base/fd.h"
#include "box/mnt.h"
#include "box/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPARES	 "spares"
#define MOST	 8
#define NEW	 "new"
#define FOLDER	 (O_PATH | O_DIRECTORY)
#define IN_PLACE (RESOLVE_BENEATH | MNT_STRICT)

int spare_open_ours(int dir, const char *name)
{
	_cleanup_close_ int fd = mnt_open(dir, name, FOLDER, IN_PLACE);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 022) ? TAKE_FD(fd) : -EPERM;
}

static int make_folder(int dir, const char *name, mode_t mode)
{
	return mkdirat(dir, name, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int spare_make_parts(int layer, bool work)
{
	int r = work ? make_folder(layer, LAYER_WORK, 0700) : 0;

	if (r == 0)
		r = make_folder(layer, LAYER_UPPER, 0755);
	return r == 0 ? make_folder(layer, LAYER_TMP, 01777) : r;
}

static void name_of(unsigned i, char ret_name[12])
{
	(void)snprintf(ret_name, 12, "%u", i);
}

int spare_take(int state, int boxes, const char *name, unsigned hint)
{
	_cleanup_close_ int spares = spare_open_ours(state, SPARES);

	if (spares < 0)
		return spares;
	for (unsigned i = 0; i < MOST; i++) {
		char from[12];

		name_of((hint + i) % MOST, from);
		int r = fd_rename_new(spares, from, boxes, name);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

/* Complete before it has its name: who dies before that leaves one that the next completes. */
static int make(int spares, const char *name)
{
	int r = make_folder(spares, NEW, LAYER_MODE);
	_cleanup_close_ int layer = r < 0 ? r : mnt_open(spares, NEW, FOLDER, IN_PLACE);

	if (layer < 0)
		return layer;
	r = spare_make_parts(layer, true);
	if (r < 0)
		return r;
	return renameat(spares, NEW, spares, name) < 0 ? -errno : 0;
}

void spare_fill(const char *path)
{
	_cleanup_close_ int state = open(path, FOLDER | O_CLOEXEC);

	if (state < 0 || make_folder(state, SPARES, 0700) < 0)
		return;
	_cleanup_close_ int ours = spare_open_ours(state, SPARES);
	_cleanup_close_ int spares =
		ours < 0 ? ours : mnt_open(ours, ".", O_RDONLY | O_DIRECTORY, IN_PLACE);
	if (spares < 0 || flock(spares, LOCK_EX | LOCK_NB) < 0)
		return;
	mode_t mask = umask(0);
	int r = 0;
	for (unsigned i = 0; i < MOST && r == 0; i++) {
		char name[12];

		name_of(i, name);
		if (faccessat(spares, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			r = make(spares, name);
	}
	(void)umask(mask);
}

void spare_remove(int state)
{
	_cleanup_close_ int spares = mnt_open(state, SPARES, O_RDONLY | O_DIRECTORY, IN_PLACE);

	if (spares < 0)
		return;
	(void)!remove_content(spares);
	(void)unlinkat(state, SPARES, AT_REMOVEDIR);
}
