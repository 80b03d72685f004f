/* Whose /app is. Every step leaves something that the next start goes on from: `was` is written
 * before the directory goes, and goes last. */
#include "drivers/abspath_root.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "drivers/docker/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What another does with a lock held takes microseconds. */
#define TRIES 50
#define PAUSE (2 * NSEC_PER_MSEC)

static void pause_a_moment(void)
{
	const struct timespec moment = {.tv_nsec = PAUSE};

	(void)nanosleep(&moment, NULL);
}

int abspath_lock(int fd, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		r = fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
		if (type != F_RDLCK || (r != -EAGAIN && r != -EACCES))
			break;
		pause_a_moment();
	}
	return r;
}

int abspath_turn(const struct abspath_root *root, struct err *err)
{
	_cleanup_close_ int fd = openat(root->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -errno, "/");
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == TRIES)
			return err_errno(err, -errno, "/app: the lock of its directory");
		pause_a_moment();
	}
	return TAKE_FD(fd);
}

int abspath_point(int dir, const char *name, const char *to)
{
	char beside[40];

	(void)snprintf(beside, sizeof beside, ".%s-hsup", name);
	(void)unlinkat(dir, beside, 0);
	if (symlinkat(to, dir, beside) < 0)
		return -errno;
	if (renameat(dir, beside, dir, name) == 0)
		return 0;
	int r = -errno;
	(void)unlinkat(dir, beside, 0);
	return r;
}

/* ---- what is there ---- */

static bool read_link(int dir, const char *name, char *ret_text, size_t size)
{
	ssize_t n = readlinkat(dir, name, ret_text, size - 1);

	ret_text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* ".../abspath/<16 hex digits>/app" */
static bool is_place(const char *target)
{
	static const char before[] = "/abspath/", after[] = "/app";
	size_t len = strlen(target), tail = sizeof before - 1 + 16 + sizeof after - 1;
	const char *p = len > tail ? target + len - tail : "";

	return target[0] == '/' && strncmp(p, before, sizeof before - 1) == 0 &&
	       strspn(p + sizeof before - 1, "0123456789abcdef") == 16 &&
	       strcmp(p + sizeof before - 1 + 16, after) == 0;
}

static bool is_empty(int dir)
{
	int fd = openat(dir, "app", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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

enum abspath_kind abspath_look(
	const struct abspath_root *root, char ret_link[PATH_MAX], struct err *err)
{
	struct stat st;

	ret_link[0] = '\0';
	if (fstatat(root->top, "app", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return ABSPATH_ABSENT;
		(void)err_errno(err, -errno, "/app");
		return ABSPATH_OWN;
	}
	if (S_ISDIR(st.st_mode) && is_empty(root->top))
		return ABSPATH_EMPTY;
	if (!S_ISLNK(st.st_mode) || !read_link(root->top, "app", ret_link, PATH_MAX))
		return ABSPATH_OWN;
	if (strcmp(ret_link, root->target) == 0)
		return ABSPATH_OURS;
	return is_place(ret_link) ? ABSPATH_OTHERS : ABSPATH_OWN;
}

/* Its launcher lives: dynos may run, whoever their supervisor is. */
static bool holder_lives(int dir)
{
	_cleanup_free_ char *name = NULL;
	char own[KEEPER_SIZE];
	size_t len;

	keeper_name(own);
	return file_read(dir, "holder", KEEPER_SIZE, &name, &len) == 0 && strcmp(name, own) != 0 &&
	       keeper_alive(name);
}

bool abspath_held_by_another(const struct abspath_root *root)
{
	return holder_lives(root->dir);
}

bool abspath_in_use(const char *place)
{
	_cleanup_close_ int dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = dir < 0 ? errno : 0;

	if (error)
		return error != ENOENT && error != ENOTDIR;
	_cleanup_close_ int fd = openat(dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK || holder_lives(dir);
}

/* ---- taking it ---- */

int abspath_take(struct abspath_root *root, struct err *err)
{
	if (root->lock >= 0)
		return 0;
	char *slash = strrchr(root->place, '/');
	*slash = '\0';
	int r = mkdir(root->place, 0755) < 0 && errno != EEXIST ? -errno : 0;
	*slash = '/';
	if (r == 0 && mkdir(root->place, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return err_errno(err, r, "%.300s", root->place);
	_cleanup_close_ int dir = open(root->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, -errno, "%.300s", root->place);
	_cleanup_close_ int fd =
		openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : abspath_lock(fd, F_RDLCK);
	if (r < 0)
		return err_errno(err, r, "%.300s/lock", root->place);
	char name[KEEPER_SIZE];
	keeper_name(name);
	if (root->lasts && (r = file_replace(dir, "holder", name, strlen(name), 0600)) < 0)
		return err_errno(err, r, "%.300s/holder", root->place);
	root->dir = TAKE_FD(dir);
	root->lock = TAKE_FD(fd);
	return 0;
}

static int note(const struct abspath_root *root, const char *was, struct err *err)
{
	int r = abspath_point(root->dir, "was", was);

	return r < 0 ? err_errno(err, r, "%.300s/was", root->place) : 0;
}

static int cannot(const struct abspath_root *root, int r, struct err *err)
{
	return err_set(err, r,
		"/app cannot be made a link: %s; to make this root ready, as root: ln -s %.300s "
		"/app",
		err_name(r), root->target);
}

static int take_folder(const struct abspath_root *root, struct err *err)
{
	char was[64];
	struct stat st;

	if (fstatat(root->top, "app", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, -errno, "/app");
	(void)snprintf(
		was, sizeof was, "folder %o %u %u", st.st_mode & 07777U, st.st_uid, st.st_gid);
	int r = note(root, was, err);
	if (r < 0)
		return r;
	if (unlinkat(root->top, "app", AT_REMOVEDIR) == 0)
		return 0;
	r = -errno;
	(void)unlinkat(root->dir, "was", 0);
	return r == -EBUSY ? err_set(err, r, "/app is a mount point: hsup can put no link there")
			   : cannot(root, r, err);
}

static bool has_note(int dir)
{
	struct stat st;

	return fstatat(dir, "was", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of another app of this root, which has ended without an end: what stood there before it is known
 * there. */
static int take_over(const struct abspath_root *root, const char *link, struct err *err)
{
	char place[PATH_MAX], was[64] = "absent";

	(void)snprintf(place, sizeof place, "%.*s", (int)(strlen(link) - strlen("/app")), link);
	if (abspath_in_use(place))
		return err_set(
			err, -EBUSY, "/app is in use by another hsup, that of %.300s", place);
	_cleanup_close_ int dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool noted = dir >= 0 && read_link(dir, "was", was, sizeof was);
	if (!noted && dir >= 0 && !has_note(root->dir))
		return err_set(err, -EEXIST,
			"/app was made ready for another app, that of %.300s, and stays as it is",
			place);
	int r = noted || !has_note(root->dir) ? note(root, was, err) : 0;
	if (r < 0)
		return r;
	if (noted)
		(void)unlinkat(dir, "was", 0);
	r = abspath_point(root->top, "app", root->target);
	return r < 0 ? cannot(root, r, err) : 0;
}

int abspath_claim(struct abspath_root *root, struct err *err)
{
	char link[PATH_MAX];
	int r = abspath_take(root, err);

	if (r < 0)
		return r;
	enum abspath_kind kind = abspath_look(root, link, err);
	if (kind == ABSPATH_OURS)
		return 0;
	if (kind == ABSPATH_OTHERS)
		return take_over(root, link, err);
	/* A note is there when one before us was stopped between two steps: then it is right. */
	r = kind == ABSPATH_EMPTY  ? take_folder(root, err)
	    : !has_note(root->dir) ? note(root, "absent", err)
				   : 0;
	if (r < 0)
		return r;
	if (symlinkat(root->target, root->top, "app") == 0)
		return 0;
	r = cannot(root, -errno, err);
	abspath_restore(root);
	return r;
}

/* ---- giving it back ---- */

void abspath_restore(struct abspath_root *root)
{
	char was[64], link[PATH_MAX];
	unsigned mode, uid, gid;
	struct err err;

	if (!read_link(root->dir, "was", was, sizeof was))
		return;
	enum abspath_kind kind = abspath_look(root, link, &err);
	if (kind == ABSPATH_OURS && unlinkat(root->top, "app", 0) < 0)
		return;
	bool folder = sscanf(was, "folder %o %u %u", &mode, &uid, &gid) == 3;
	/* Somebody else has put something there meanwhile: that stands. */
	if (folder && (kind == ABSPATH_OURS || kind == ABSPATH_ABSENT) &&
		mkdirat(root->top, "app", 0700) == 0) {
		if (fchownat(root->top, "app", uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
			fchmodat(root->top, "app", mode, 0) < 0)
			return;
	}
	(void)unlinkat(root->dir, "was", 0);
}
