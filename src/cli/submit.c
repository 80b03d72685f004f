#include "cli/submit.h"

#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define REASON_BYTES ((size_t)2 << 20)

static void take_mark(int dir, const char *name, struct mark *ret)
{
	*ret = (struct mark){0};
	ret->there = fstatat(dir, name, &ret->st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Each is renamed into place: another file has another number, or at least another time. */
static bool is_new(int dir, const char *name, const struct mark *before)
{
	struct mark now;

	take_mark(dir, name, &now);
	return now.there && (!before->there || now.st.st_ino != before->st.st_ino ||
				    now.st.st_ctim.tv_sec != before->st.st_ctim.tv_sec ||
				    now.st.st_ctim.tv_nsec != before->st.st_ctim.tv_nsec);
}

static bool has_text(const struct submit *s, const char *name)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	return file_read(s->dir, name, LIMIT_RELEASE_BYTES, &text, &len) == 0 && len == s->len &&
	       memcmp(text, s->text, len) == 0;
}

/* What root puts into another user's folder is that user's: who looks after the app reads it. */
static int give(int folder, int fd)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	return fstat(folder, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

static int write_new(struct submit *s, struct err *err)
{
	char beside[40];

	(void)snprintf(beside, sizeof beside, ".new-%d", (int)getpid());
	(void)unlinkat(s->dir, beside, 0);
	_cleanup_close_ int fd =
		openat(s->dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_all(fd, s->text, s->len);
	if (r == 0)
		r = give(s->dir, fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	fd_close(TAKE_FD(fd)); /* nobody may have it open when it gets its name */
	if (r == 0 && renameat(s->dir, beside, s->dir, "new") < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(s->dir, beside, 0);
	return r < 0 ? err_errno(err, r, "new") : 0;
}

static int open_dir(struct submit *s, const char *folder, const char *path, struct err *err)
{
	_cleanup_close_ int above = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool made = mkdir(path, 0700) == 0;

	if (!made && errno != EEXIST)
		return err_errno(err, -errno, "%.300s cannot be made", path);
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_errno(err, -errno, "%.300s", path);
	if (made && give(above, s->dir) < 0)
		return err_errno(
			err, -errno, "%.300s cannot be given to the owner of %.200s", path, folder);
	s->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch < 0 || inotify_add_watch(s->watch, path,
				    IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE | IN_ONLYDIR) < 0)
		return err_errno(err, -errno, "%.300s cannot be watched", path);
	return 0;
}

int submit_begin(struct submit *s, const char *folder, const char *app, const char *text,
	size_t len, struct err *err)
{
	char path[PATH_MAX];

	*s = (struct submit){.dir = -1, .watch = -1, .text = text, .len = len};
	if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, app) >= sizeof path)
		return err_errno(err, -ENAMETOOLONG, "%.300s", folder);
	int r = open_dir(s, folder, path, err);
	if (r < 0)
		return r;
	take_mark(s->dir, "loaded", &s->loaded);
	take_mark(s->dir, "rejected", &s->rejected);
	take_mark(s->dir, "last_error", &s->last_error);
	r = write_new(s, err);
	return r < 0 ? err_wrap(err, "%.300s", path) : 0;
}

enum submit_result submit_look(struct submit *s)
{
	if (is_new(s->dir, "loaded", &s->loaded) && has_text(s, "loaded"))
		return SUBMIT_LOADED;
	/* The reason comes last. */
	if (is_new(s->dir, "last_error", &s->last_error) &&
		is_new(s->dir, "rejected", &s->rejected) && has_text(s, "rejected"))
		return SUBMIT_REJECTED;
	return SUBMIT_WAITS;
}

void submit_wait(struct submit *s, int other, int timeout_ms)
{
	struct pollfd fds[2] = {
		{.fd = s->watch, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	char scrap[4096];

	if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents)
		while (read(s->watch, scrap, sizeof scrap) > 0)
			;
}

char *submit_reason(struct submit *s)
{
	char *text = NULL;
	size_t len;

	return file_read(s->dir, "last_error", REASON_BYTES, &text, &len) < 0 ? NULL : text;
}

void submit_done(struct submit *s)
{
	s->dir = fd_close(s->dir);
	s->watch = fd_close(s->watch);
}
