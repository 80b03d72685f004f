#include "slug/dirs.h"

#include "base/fd.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct level {
	int fd;
	char name[256];
};

struct dirs {
	int root;
	unsigned depth;
	uint64_t *count;
	uint64_t max;
	const char *what;
	struct level levels[LIMIT_SLUG_DEPTH];
};

int dirs_new(int root, uint64_t *count, uint64_t max, const char *what, struct dirs **ret_dirs)
{
	struct dirs *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->root = root;
	d->count = count;
	d->max = max;
	d->what = what;
	*ret_dirs = d;
	return 0;
}

void dirs_leave(struct dirs *d, unsigned depth)
{
	while (d->depth > depth)
		(void)fd_close(d->levels[--d->depth].fd);
}

struct dirs *dirs_free(struct dirs *d)
{
	if (d) {
		dirs_leave(d, 0);
		free(d);
	}
	return NULL;
}

static int open_beneath(int parent, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, parent, name, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
}

static int make(struct dirs *d, int parent, const char *name, struct err *err)
{
	if (*d->count >= d->max)
		return err_set(err, -EFBIG, "the %s has more than %llu entries", d->what,
			(unsigned long long)d->max);
	(*d->count)++;
	if (mkdirat(parent, name, 0755) < 0)
		return err_errno(err, -errno, "cannot make a directory");
	return 0;
}

static int enter_part(struct dirs *d, const char *part, size_t len, bool may_make, struct err *err)
{
	struct level *l = &d->levels[d->depth];
	int parent = d->depth ? d->levels[d->depth - 1].fd : d->root;

	if (d->depth == LIMIT_SLUG_DEPTH || len >= sizeof l->name)
		return err_set(err, -EBADMSG, "the name is nested too deeply");
	memcpy(l->name, part, len);
	l->name[len] = '\0';

	int fd = open_beneath(parent, l->name);
	if (!may_make && (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR))
		return -ENOENT;
	if (fd == -ENOENT) {
		int r = make(d, parent, l->name, err);
		if (r < 0)
			return r;
		fd = open_beneath(parent, l->name);
	}
	if (fd == -ELOOP)
		return err_set(err, -EBADMSG, "it would be written through a symbolic link");
	if (fd == -ENOTDIR)
		return err_set(err, -EBADMSG, "it would be written below a file");
	if (fd < 0)
		return err_errno(err, fd, "cannot open its directory");
	l->fd = fd;
	d->depth++;
	return 0;
}

static int walk(struct dirs *d, const char *path, size_t len, bool may_make, struct err *err)
{
	unsigned depth = 0;

	while (len > 0) {
		const char *slash = memchr(path, '/', len);
		size_t part = slash ? (size_t)(slash - path) : len;

		if (depth == d->depth || strncmp(d->levels[depth].name, path, part) != 0 ||
			d->levels[depth].name[part] != '\0') {
			dirs_leave(d, depth);
			int r = enter_part(d, path, part, may_make, err);
			if (r < 0)
				return r;
		}
		depth++;
		size_t used = part + (slash != NULL);
		path += used;
		len -= used;
	}
	return depth ? d->levels[depth - 1].fd : d->root;
}

int dirs_enter(struct dirs *d, const char *path, size_t len, struct err *err)
{
	return walk(d, path, len, true, err);
}

int dirs_look(struct dirs *d, const char *path, size_t len, struct err *err)
{
	return walk(d, path, len, false, err);
}
