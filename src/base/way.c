#include "base/way.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as in the kernel */

/* What is still to be gone. */
struct rest {
	char text[PATH_MAX];
	size_t asked; /* so much of its end is of the path, and not of links */
	unsigned links;
};

static bool is_ours(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* ---- a step ---- */

/* The directory that fd is (taken), if it may be the next. */
static int enter(struct way *w, int taken)
{
	_cleanup_close_ int fd = taken;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	bool ours = is_ours(st.st_uid);
	if (geteuid() == 0 && !w->safe && !ours && w->owner != 0 && st.st_uid != w->owner)
		return -EPERM;
	if (!ours) {
		w->safe = false;
		w->owner = st.st_uid;
	}
	/* In a sticky one nobody can move what is root's, as in /tmp. */
	if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
		w->safe = false;
	w->fd = fd_close(w->fd);
	w->fd = TAKE_FD(fd);
	return 0;
}

static int begin(struct way *w)
{
	return enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Puts where the link leads before what is left. */
static int follow(struct way *w, struct rest *rest, const char *name)
{
	char target[PATH_MAX], behind[PATH_MAX];
	struct stat st;

	if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return -ENOTDIR;
	if (geteuid() == 0 && (!w->safe || !is_ours(st.st_uid)))
		return -EPERM;
	if (++rest->links > MAX_LINKS)
		return -ELOOP;
	ssize_t n = readlinkat(w->fd, name, target, sizeof target);
	if (n < 0)
		return -errno;
	memcpy(behind, rest->text, sizeof behind);
	rest->asked = strnlen(behind, rest->asked);
	if ((size_t)snprintf(rest->text, sizeof rest->text, "%.*s/%s", (int)n, target, behind) >=
		sizeof rest->text)
		return -ENAMETOOLONG;
	return target[0] == '/' ? begin(w) : 0;
}

/* Others have to go through it: their dynos, and whom the supervisor runs as. Nobody's umask may
 * keep them out, and by its name it could not be opened to them afterwards. */
static bool make_one(int in, const char *name)
{
	mode_t mask = umask(022);
	bool made = mkdirat(in, name, 0755) == 0;

	(void)umask(mask);
	return made;
}

static int step(struct way *w, struct rest *rest, const char *name, bool make)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(w->fd, name, flags);

	w->made = false;
	/* Where a link leads nothing is made. */
	if (fd < 0 && errno == ENOENT && make && strlen(rest->text) < rest->asked) {
		w->made = make_one(w->fd, name);
		if (!w->made && errno != EEXIST)
			return -errno;
		fd = openat(w->fd, name, flags);
	}
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? follow(w, rest, name) : -errno;
	return enter(w, fd);
}

/* ---- the whole ---- */

/* The first name of it, if there is one. */
static bool next(struct rest *rest, char ret_name[NAME_MAX + 2])
{
	const char *p = rest->text + strspn(rest->text, "/");
	size_t n = strcspn(p, "/");

	(void)snprintf(ret_name, NAME_MAX + 2, "%.*s", (int)n, p);
	memmove(rest->text, p + n, strlen(p + n) + 1);
	return n > 0;
}

static int refuse(const struct way *w, const char *path, const char *name, struct err *err)
{
	struct stat st;
	bool link = w->fd >= 0 && fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISLNK(st.st_mode);

	return err_set(err, -EPERM, "%.250s: its part %.100s is %s", path, name,
		link ? "a link, which root does not follow where others could have put it"
		     : "of a user to whom nothing before it belongs");
}

int way_open(struct way *w, const char *path, bool make, struct err *err)
{
	struct rest rest = {.asked = PATH_MAX};
	char name[NAME_MAX + 2];
	int r = 0;

	*w = (struct way){.fd = -1, .safe = true};
	if (path[0] != '/')
		return err_set(err, -EINVAL, "%.300s: not absolute", path);
	if ((size_t)snprintf(rest.text, sizeof rest.text, "%s", path) >= sizeof rest.text)
		return err_errno(err, -ENAMETOOLONG, "%.300s", path);
	for (r = begin(w); r == 0 && next(&rest, name);)
		r = step(w, &rest, name, make);
	if (r == -EPERM)
		return refuse(w, path, name, err);
	return r < 0 ? err_errno(err, r, "%.300s", path) : 0;
}

void way_done(struct way *w)
{
	w->fd = fd_close(w->fd);
}

/* ---- giving ---- */

bool way_is_empty(int fd)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = 0;

	if (!d) {
		(void)fd_close(fd);
		return false;
	}
	while (n < 3 && readdir(d))
		n++;
	(void)closedir(d);
	return n <= 2;
}

int way_give(const struct way *w, uid_t uid, gid_t gid)
{
	_cleanup_close_ int fd = openat(w->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == uid)
		return 0;
	if (!is_ours(st.st_uid))
		return -EPERM;
	if (!w->safe) {
		int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (!way_is_empty(again))
			return -EPERM;
	}
	return fchown(fd, uid, gid) < 0 ? -errno : 0;
}
