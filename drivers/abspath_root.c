/* What /app shows. */
#include "drivers/abspath_root.h"

#include "base/fd.h"
#include "base/hash.h"
#include "base/way.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A release without a slug sees a folder of ours, where this root has no /app. */
#define NOTHING "empty"

/* Its names, and the root directory. */
static int begin(struct abspath_root *root, const char *top, const char *state_dir,
	const char *control_dir, bool lasts, struct err *err)
{
	_cleanup_free_ char *control = realpath(control_dir, NULL);

	*root = (struct abspath_root){.top = -1, .dir = -1, .lock = -1, .lasts = lasts};
	if (!control)
		return err_errno(err, -errno, "%.300s", control_dir);
	int n = snprintf(root->place, sizeof root->place, "%s/abspath/%016llx", state_dir,
		(unsigned long long)hash_str(HASH_INIT, control));
	if (n >= (int)sizeof root->place - (int)sizeof "/app")
		return err_errno(err, -ENAMETOOLONG, "%.300s", state_dir);
	(void)snprintf(root->target, sizeof root->target, "%.*s/app", n, root->place);
	root->top = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root->top < 0 ? err_errno(err, -errno, "%.300s", top) : 0;
}

int abspath_root_open(struct abspath_root *root, const char *top, const char *state_dir,
	const char *control_dir, bool lasts, struct err *err)
{
	char link[PATH_MAX];
	int r = begin(root, top, state_dir, control_dir, lasts, err);

	if (r < 0)
		return r;
	/* Dynos of a supervisor before us may run on it. */
	if (abspath_look(root, link, err) == ABSPATH_OURS)
		return abspath_take(root, err);
	return 0;
}

static const char *view(const char *slug)
{
	return slug ? slug : NOTHING;
}

static bool shows(const struct abspath_root *root, const char *slug)
{
	char link[PATH_MAX];
	ssize_t n = root->dir < 0 ? -1 : readlinkat(root->dir, "app", link, sizeof link);
	const char *wanted = view(slug);

	return n >= 0 && (size_t)n == strlen(wanted) && memcmp(link, wanted, (size_t)n) == 0;
}

static int not_for_a_slug(struct err *err)
{
	return err_set(err, -EEXIST,
		"/app is this root's own (it is not empty, and no link of hsup's) and stays as it "
		"is: "
		"move it away for a release with a Slug, or leave the Slug out to run what is "
		"there");
}

static int others_use_it(struct err *err)
{
	return err_set(err, -EBUSY,
		"/app shows another slug, which another hsup of this app (start or run) is using");
}

/* Nobody else has shown what it shows. */
static bool used_by_us_only(const struct abspath_root *root)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(root->lock, F_OFD_GETLK, &l) == 0 && l.l_type == F_UNLCK;
}

int abspath_root_check(const struct abspath_root *root, const char *slug, struct err *err)
{
	char link[PATH_MAX];
	enum abspath_kind kind = abspath_look(root, link, err);

	if (kind == ABSPATH_OURS)
		return root->lock < 0 || shows(root, slug) || used_by_us_only(root)
			       ? 0
			       : others_use_it(err);
	if (kind == ABSPATH_OWN)
		return slug ? not_for_a_slug(err) : 0;
	if (kind == ABSPATH_EMPTY && !slug)
		return 0;
	if (kind == ABSPATH_OTHERS) {
		link[strlen(link) - strlen("/app")] = '\0';
		if (abspath_in_use(link))
			return err_set(err, -EBUSY,
				"/app is in use by another hsup, that of %.300s", link);
	}
	if (faccessat(root->top, ".", W_OK, AT_EACCESS) < 0)
		return err_set(err, -errno,
			"/app cannot be made a link: %s; to make this root ready, as root: "
			"%sln -s %.300s /app",
			err_name(errno), kind == ABSPATH_EMPTY ? "rmdir /app; " : "", root->target);
	return 0;
}

static int change(struct abspath_root *root, const char *slug, struct err *err)
{
	if (!slug && mkdirat(root->dir, NOTHING, 0755) < 0 && errno != EEXIST)
		return err_errno(err, -errno, "%.300s/" NOTHING, root->place);
	int r = abspath_lock(root->lock, F_WRLCK);
	if (r == -EAGAIN || r == -EACCES)
		return others_use_it(err);
	if (r == 0 && !root->lasts && abspath_held_by_another(root))
		r = others_use_it(err);
	else if (r == 0 && (r = abspath_point(root->dir, "app", view(slug))) < 0)
		(void)err_errno(err, r, "%.300s", root->target);
	int back = abspath_lock(root->lock, F_RDLCK);
	return r < 0 || back == 0 ? r : err_errno(err, back, "%.300s/lock", root->place);
}

/* Makes /app lead to our place. What can be done before the turn is. */
static int claim(struct abspath_root *root, struct err *err)
{
	struct abspath_turn HSUP_CLEANUP(abspath_turn_done) turn = {.fd = -1};

	int r = abspath_take(root, err);
	if (r == 0)
		r = abspath_turn(root, &turn, err);
	return r < 0 ? r : abspath_lead(root, err);
}

int abspath_root_show(struct abspath_root *root, const char *slug, bool lives, struct err *err)
{
	char link[PATH_MAX];
	enum abspath_kind kind = abspath_look(root, link, err);

	if (!slug && (kind == ABSPATH_OWN || kind == ABSPATH_EMPTY))
		return 0;
	if (kind == ABSPATH_OURS && shows(root, slug))
		return 0;
	if (kind == ABSPATH_OWN)
		return not_for_a_slug(err);
	if (lives)
		return err_set(err, -EBUSY, "/app shows another slug, of which dynos run");
	if (kind != ABSPATH_OURS || root->lock < 0) {
		int r = claim(root, err);
		if (r < 0)
			return r;
	}
	return shows(root, slug) ? 0 : change(root, slug, err);
}

static int give_back(struct abspath_root *root, struct err *err)
{
	struct abspath_turn HSUP_CLEANUP(abspath_turn_done) turn;
	int r = abspath_turn(root, &turn, err);

	if (r < 0)
		return r;
	/* In its turn: nobody takes it over meanwhile. */
	if (abspath_lock(root->lock, F_WRLCK) < 0)
		return 0;
	if (!root->lasts && abspath_held_by_another(root))
		return 0;
	abspath_restore(root);
	(void)unlinkat(root->dir, "app", 0);
	(void)unlinkat(root->dir, NOTHING, AT_REMOVEDIR);
	(void)unlinkat(root->dir, "holder", 0);
	return 0;
}

int abspath_root_close(struct abspath_root *root, bool lives, struct err *err)
{
	int r = root->lock >= 0 && !lives ? give_back(root, err) : 0;

	root->lock = fd_close(root->lock);
	root->dir = fd_close(root->dir);
	root->top = fd_close(root->top);
	return r;
}

/* Nothing in it is opened that its owner could have put there. */
static int give_place(struct abspath_root *root, uid_t uid, gid_t gid, struct err *err)
{
	struct way HSUP_CLEANUP(way_done) way;
	struct stat st;

	int r = way_open(&way, root->place, true, err);
	if (r < 0)
		return r;
	/* Of a hsup that had no user; the lock first, while the place is still root's alone. */
	_cleanup_close_ int lock = -1;
	if (way.safe && fstat(way.fd, &st) == 0 && st.st_uid == 0)
		lock = abspath_open_lock(way.fd, 0);
	if (lock >= 0 && fchown(lock, uid, gid) < 0)
		return err_errno(err, -errno, "%.300s/lock", root->place);
	r = way_give(&way, uid, gid);
	if (r == -EPERM)
		return err_set(err, r,
			"%.300s does not belong to user %u: remove it, when nothing needs it",
			root->place, uid);
	if (r < 0)
		return err_errno(err, r, "%.300s", root->place);
	root->dir = TAKE_FD(way.fd);
	return 0;
}

int abspath_root_ready(const char *top, const char *state_dir, const char *control_dir, uid_t uid,
	gid_t gid, struct err *err)
{
	struct abspath_root root;
	struct abspath_turn HSUP_CLEANUP(abspath_turn_done) turn = {.fd = -1};
	char link[PATH_MAX];

	int r = begin(&root, top, state_dir, control_dir, false, err);
	if (r == 0 && abspath_look(&root, link, err) != ABSPATH_OWN) {
		r = give_place(&root, uid, gid, err);
		if (r == 0)
			r = abspath_turn(&root, &turn, err);
		if (r == 0)
			r = abspath_lead(&root, err);
		/* Who cannot take it away leaves it. */
		if (r == 0)
			(void)unlinkat(root.dir, "was", 0);
	}
	abspath_turn_done(&turn);
	(void)abspath_root_close(&root, true, NULL);
	return r;
}
