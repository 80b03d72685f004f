/* Whose /app is. It changes hands by renames, one at a time (abspath_turn()), with our link aside
 * in between: after a death between two steps that link is there and /app is not, and whoever has
 * the next turn puts it back first. `was` is written before anything goes, and goes last. */
#include "drivers/abspath_root.h"

#include "base/fd.h"
#include "base/way.h"
#include "drivers/docker/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is there ---- */

static bool is_empty(int dir)
{
	return way_is_empty(openat(dir, "app", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
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
	if (!S_ISLNK(st.st_mode) || !abspath_read_link(root->top, "app", ret_link, PATH_MAX))
		return ABSPATH_OWN;
	if (strcmp(ret_link, root->target) == 0)
		return ABSPATH_OURS;
	return abspath_is_place(ret_link) ? ABSPATH_OTHERS : ABSPATH_OWN;
}

/* ---- taking it ---- */

/* Of no use after a failure of the machine, so it waits for no disk. Nothing that stands there
 * under that name is written to. */
static int put_holder(int dir)
{
	static const char beside[] = ".holder-hsup";
	char name[KEEPER_SIZE];

	keeper_name(name);
	(void)unlinkat(dir, beside, 0);
	_cleanup_close_ int fd =
		openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_all(fd, name, strlen(name));
	return r == 0 && renameat(dir, beside, dir, "holder") < 0 ? -errno : r;
}

int abspath_take(struct abspath_root *root, struct err *err)
{
	if (root->lock >= 0)
		return 0;
	struct way HSUP_CLEANUP(way_done) way;
	int r = way_open(&way, root->place, true, err);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = abspath_open_lock(way.fd, O_CREAT);
	r = fd < 0 ? fd : abspath_lock(fd, F_RDLCK);
	if (r < 0)
		return err_errno(err, r, "%.300s/lock", root->place);
	if (root->lasts && (r = put_holder(way.fd)) < 0)
		return err_errno(err, r, "%.300s/holder", root->place);
	root->dir = TAKE_FD(way.fd);
	root->lock = TAKE_FD(fd);
	return 0;
}

static int note(const struct abspath_root *root, const char *was, struct err *err)
{
	int r = abspath_point(root->dir, "was", was);

	return r < 0 ? err_errno(err, r, "%.300s/was", root->place) : 0;
}

/* Without a note: if somebody else makes the link, it is his. */
static int cannot(const struct abspath_root *root, int r, struct err *err)
{
	(void)unlinkat(root->dir, "was", 0);
	return err_set(err, r,
		"/app cannot be made a link: %s; to make this root ready, as root: ln -s %.300s "
		"/app",
		err_name(r), root->target);
}

/* The empty directory goes, and our link takes its place. */
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
	if (symlinkat(root->target, root->top, ABSPATH_ASIDE) < 0)
		return cannot(root, -errno, err);
	if (unlinkat(root->top, "app", AT_REMOVEDIR) < 0) {
		r = -errno;
		(void)unlinkat(root->top, ABSPATH_ASIDE, 0);
		(void)cannot(root, r, err);
		return r == -EBUSY ? err_set(err, r,
					     "/app is a mount point: hsup can put no link there")
				   : r;
	}
	r = abspath_place(root->top, ABSPATH_ASIDE);
	if (r == 0)
		return 0;
	(void)unlinkat(root->top, ABSPATH_ASIDE, 0);
	return cannot(root, r, err);
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
	struct way HSUP_CLEANUP(way_done) way = {.fd = -1};

	(void)snprintf(place, sizeof place, "%.*s", (int)(strlen(link) - strlen("/app")), link);
	if (abspath_in_use(place))
		return err_set(
			err, -EBUSY, "/app is in use by another hsup, that of %.300s", place);
	bool there = way_open(&way, place, false, NULL) == 0;
	bool noted = there && abspath_read_link(way.fd, "was", was, sizeof was);
	if (!noted && there && !has_note(root->dir))
		return err_set(err, -EEXIST,
			"/app was made ready for another app, that of %.300s, and stays as it is",
			place);
	int r = noted || !has_note(root->dir) ? note(root, was, err) : 0;
	if (r < 0)
		return r;
	r = abspath_point(root->top, "app", root->target);
	if (r == 0 && noted)
		(void)unlinkat(way.fd, "was", 0);
	return r < 0 ? cannot(root, r, err) : 0;
}

int abspath_lead(const struct abspath_root *root, struct err *err)
{
	char link[PATH_MAX];
	enum abspath_kind kind = abspath_look(root, link, err);
	if (kind == ABSPATH_OURS)
		return 0;
	if (kind == ABSPATH_OTHERS)
		return take_over(root, link, err);
	if (kind == ABSPATH_EMPTY)
		return take_folder(root, err);
	if (kind == ABSPATH_OWN)
		return err_set(err, -EEXIST, "/app is this root's own");
	int r = note(root, "absent", err);
	if (r == 0 && symlinkat(root->target, root->top, "app") < 0)
		r = cannot(root, -errno, err);
	return r;
}

/* ---- giving it back ---- */

static int make_folder(int top, unsigned mode, unsigned uid, unsigned gid)
{
	if (mkdirat(top, ABSPATH_FOLDER, 0700) == 0 &&
		fchownat(top, ABSPATH_FOLDER, uid, gid, AT_SYMLINK_NOFOLLOW) == 0 &&
		fchmodat(top, ABSPATH_FOLDER, mode, 0) == 0)
		return 0;
	return -errno;
}

/* An empty one, as it was. */
static int bring_folder(int top, unsigned mode, unsigned uid, unsigned gid)
{
	int r = make_folder(top, mode, uid, gid);

	if (r == 0)
		r = renameat(top, "app", top, ABSPATH_ASIDE) < 0 ? -errno : 0;
	if (r < 0) {
		(void)unlinkat(top, ABSPATH_FOLDER, AT_REMOVEDIR);
		return r;
	}
	if (abspath_place(top, ABSPATH_FOLDER) < 0)
		(void)unlinkat(top, ABSPATH_FOLDER, AT_REMOVEDIR);
	(void)unlinkat(top, ABSPATH_ASIDE, 0);
	return 0;
}

void abspath_restore(struct abspath_root *root)
{
	char was[64], link[PATH_MAX];
	unsigned mode, uid, gid;
	struct err err;

	if (!abspath_read_link(root->dir, "was", was, sizeof was))
		return;
	/* What somebody else has put there meanwhile stands. */
	if (abspath_look(root, link, &err) == ABSPATH_OURS) {
		bool folder = sscanf(was, "folder %o %u %u", &mode, &uid, &gid) == 3;

		int r = folder ? bring_folder(root->top, mode, uid, gid)
			       : unlinkat(root->top, "app", 0);
		if (r < 0)
			return;
	}
	(void)unlinkat(root->dir, "was", 0);
}
