#include "box/remove.h"

#include "base/fd.h"
#include "box/list.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct removal {
	int top;
	uint64_t moved; /* folders, so far: in their new names */
	bool left;	/* something is still there that was not before: look again */
	bool went;	/* there is more room than before */
	unsigned failed;
	int first; /* errno of the first that could not go */
};

static void note(struct removal *m, int error)
{
	if (m->failed++ == 0)
		m->first = error;
}

static int open_folder(int dir, const char *name)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof how);

	/* Not root, and its owner had shut it: overlay does that with its own. */
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
	if (fd < 0)
		return -errno;
	if (geteuid() != 0)
		(void)fchmod((int)fd, 0700);
	return (int)fd;
}

/* Is it gone? A file always; a folder when it was empty. */
static bool gone(struct removal *m, int dir, const char *name, bool folder)
{
	if (!folder && unlinkat(dir, name, 0) == 0)
		return m->went = true;
	/* EPERM is what POSIX has for a folder; the file system had not said that it is one. */
	if (!folder && errno != EISDIR && errno != EPERM)
		return errno == ENOENT;
	int saved = errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return m->went = true;
	if (errno == ENOENT)
		return true;
	if (errno == ENOTDIR)
		errno = saved;
	return false;
}

/* Out of its folder, to the top, where it waits for its turn. */
static void move_up(struct removal *m, int dir, const char *name)
{
	char to[32];
	int r;

	do {
		(void)snprintf(to, sizeof to, "hsup-%llu", (unsigned long long)m->moved++);
		r = fd_rename_new(dir, name, m->top, to);
		/* Not root: a folder's own permissions count, since its ".." changes. */
		if (r == -EACCES && fchmodat(dir, name, 0700, 0) == 0)
			r = fd_rename_new(dir, name, m->top, to);
	} while (r == -EEXIST);
	if (r < 0)
		note(m, r);
	else
		m->left = true;
}

/* A folder of the top one: emptied, and removed if nothing resisted. */
static void remove_folder(struct removal *m, const char *name)
{
	_cleanup_close_ int dir = open_folder(m->top, name);
	struct list l;
	unsigned before = m->failed;
	const char *one;
	bool folder;

	if (dir < 0) {
		note(m, dir);
		return;
	}
	list_begin(&l, dir);
	while ((one = list_next(&l, &folder))) {
		if (gone(m, dir, one, folder))
			continue;
		if (errno == ENOTEMPTY || errno == EEXIST)
			move_up(m, dir, one);
		else
			note(m, -errno);
	}
	if (l.failed)
		note(m, -errno);
	if (unlinkat(m->top, name, AT_REMOVEDIR) == 0) {
		m->went = true;
		return;
	}
	/* Some file systems pass names over when others are removed meanwhile. */
	if (errno == ENOTEMPTY && m->failed == before)
		m->left = true;
	else
		note(m, -errno);
}

static void remove_pass(struct removal *m)
{
	struct list l;
	const char *name;
	bool folder;

	list_begin(&l, m->top);
	m->left = m->went = false;
	m->failed = 0;
	m->first = 0;
	if (lseek(m->top, 0, SEEK_SET) < 0)
		note(m, -errno);
	while ((name = list_next(&l, &folder))) {
		if (gone(m, m->top, name, folder))
			continue;
		if (errno == ENOTEMPTY || errno == EEXIST)
			remove_folder(m, name);
		else
			note(m, -errno);
	}
	if (l.failed)
		note(m, -errno);
}

int remove_content(int dir)
{
	struct removal m = {.top = dir};

	/* What is moved up while we read may be seen in the same pass, or in the next. What could
	 * not be moved on a full disk can be, perhaps, when something has gone from it. */
	do
		remove_pass(&m);
	while (m.left || (m.failed && m.went));
	return m.first;
}
