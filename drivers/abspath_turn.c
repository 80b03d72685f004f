/* One at a time, and who is alive. */
#include "drivers/abspath_root.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/way.h"
#include "drivers/docker/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What another does with a lock held is a few calls, but the machine may be busy with something
 * else in between. */
#define PATIENCE (3 * NSEC_PER_SEC)
#define PAUSE	 (2 * NSEC_PER_MSEC)

static void pause_a_moment(void)
{
	const struct timespec moment = {.tv_nsec = PAUSE};

	(void)nanosleep(&moment, NULL);
}

int abspath_lock(int fd, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};
	uint64_t end = clock_now() + PATIENCE;

	for (;;) {
		int r = fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;

		if (type != F_RDLCK || (r != -EAGAIN && r != -EACCES) || clock_now() >= end)
			return r;
		pause_a_moment();
	}
}

int abspath_point(int dir, const char *name, const char *to)
{
	char beside[40]; /* of "app": ABSPATH_ASIDE */

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

/* ---- links ---- */

bool abspath_read_link(int dir, const char *name, char *ret_text, size_t size)
{
	ssize_t n = readlinkat(dir, name, ret_text, size - 1);

	ret_text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* ".../abspath/<16 hex digits>/app" */
bool abspath_is_place(const char *target)
{
	static const char before[] = "/abspath/", after[] = "/app";
	size_t len = strlen(target), tail = sizeof before - 1 + 16 + sizeof after - 1;
	const char *p = len > tail ? target + len - tail : "";

	return target[0] == '/' && strncmp(p, before, sizeof before - 1) == 0 &&
	       strspn(p + sizeof before - 1, "0123456789abcdef") == 16 &&
	       strcmp(p + sizeof before - 1 + 16, after) == 0;
}

/* ---- turns ---- */

/* What one that died in its turn has left. */
static void recover(int top)
{
	char link[PATH_MAX];
	struct stat st;

	(void)unlinkat(top, ABSPATH_FOLDER, AT_REMOVEDIR);
	if (!abspath_read_link(top, ABSPATH_ASIDE, link, sizeof link) || !abspath_is_place(link))
		return;
	if (fstatat(top, "app", &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		(void)renameat(top, ABSPATH_ASIDE, top, "app");
	else
		(void)unlinkat(top, ABSPATH_ASIDE, 0);
}

/* Nobody else than who can open it, so none but a hsup that could change /app, can hold it. Held,
 * it is there; a dead one's is the next one's. */
static int open_turn(int top)
{
	_cleanup_close_ int fd = openat(top, ABSPATH_TURN,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat own, there;

	if (fd < 0)
		/* Another user's, and there for this moment only? */
		return errno == EACCES && fstatat(top, ABSPATH_TURN, &there, 0) == 0 ? -EAGAIN
										     : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &own) < 0)
		return -errno;
	/* Its last holder may have taken it away between the two. */
	if (fstatat(top, ABSPATH_TURN, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
		own.st_ino != there.st_ino || own.st_dev != there.st_dev)
		return -EAGAIN;
	return TAKE_FD(fd);
}

int abspath_turn(const struct abspath_root *root, struct abspath_turn *turn, struct err *err)
{
	uint64_t end = clock_now() + PATIENCE;
	int fd;

	*turn = (struct abspath_turn){.top = root->top, .fd = -1};
	while ((fd = open_turn(root->top)) == -EAGAIN && clock_now() < end)
		pause_a_moment();
	/* Where no file can be made nobody can change /app: who tries is told why. */
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(err, fd, "/app: the turn to change it (/" ABSPATH_TURN ")");
	turn->fd = fd;
	recover(root->top);
	return 0;
}

void abspath_turn_done(struct abspath_turn *turn)
{
	if (turn->fd >= 0)
		(void)unlinkat(turn->top, ABSPATH_TURN, 0);
	turn->fd = fd_close(turn->fd);
}

/* From aside to /app, where nothing is: what was made there meanwhile, by one who knows nothing of
 * turns, stands. */
int abspath_place(int top, const char *name)
{
	int r = renameat2(top, name, top, "app", RENAME_NOREPLACE) < 0 ? -errno : 0;

	/* Not every file system can. */
	if (r == -EINVAL)
		r = renameat(top, name, top, "app") < 0 ? -errno : 0;
	return r;
}

/* ---- who is alive ---- */

/* The boot and the pid namespace. */
static size_t whereabouts(const char *name)
{
	size_t n = strcspn(name, " ");

	return n + (name[n] ? 1 + strcspn(name + n + 1, " ") : 0);
}

static int read_holder(int dir, char **ret_name)
{
	_cleanup_close_ int fd =
		openat(dir, "holder", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t len;

	return fd < 0 ? -errno : file_read_fd(fd, KEEPER_SIZE, ret_name, &len);
}

/* Its launcher lives: dynos may run, whoever their supervisor is. Of another pid namespace, as of a
 * container before its restart, the lock tells. */
static bool holder_lives(int dir)
{
	_cleanup_free_ char *name = NULL;
	char own[KEEPER_SIZE];

	keeper_name(own);
	return read_holder(dir, &name) == 0 && strcmp(name, own) != 0 &&
	       whereabouts(name) == whereabouts(own) && strncmp(name, own, whereabouts(own)) == 0 &&
	       keeper_alive(name);
}

bool abspath_held_by_another(const struct abspath_root *root)
{
	return holder_lives(root->dir);
}

int abspath_open_lock(int dir, int flags)
{
	const int always = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	_cleanup_close_ int fd = openat(dir, "lock", flags | always, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Else whose place it is has given it the name of something else. */
	return S_ISREG(st.st_mode) && st.st_nlink == 1 ? TAKE_FD(fd) : -EPERM;
}

bool abspath_in_use(const char *place)
{
	struct way HSUP_CLEANUP(way_done) way;
	int r = way_open(&way, place, false, NULL);

	if (r < 0)
		return r != -ENOENT && r != -ENOTDIR;
	_cleanup_close_ int fd = abspath_open_lock(way.fd, 0);
	if (fd < 0)
		return fd != -ENOENT;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK || holder_lives(way.fd);
}
