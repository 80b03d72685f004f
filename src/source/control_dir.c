#include "source/control_dir.h"

#include "base/fd.h"
#include "base/file.h"
#include "source/control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void control_notice(struct control_dir *c, enum notice_level level, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (c->events) {
		c->events->notice(c->userdata, level, text);
		return;
	}
	char *copy = c->n_notices < NOTICES_MAX ? strdup(text) : NULL;
	if (copy)
		c->notices[c->n_notices++] = (struct control_notice){level, copy};
}

/* ---- the lock ---- */

static int refuse_held(struct control_dir *c, int lock, struct err *err)
{
	char pid[16] = "";
	ssize_t n = pread(lock, pid, sizeof pid - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	/* Empty: it was taken a moment ago. */
	return err_set(err, -EBUSY, "control directory %.300s is held by hsup with pid %s", c->path,
		*pid ? pid : "(not yet known)");
}

static int take_lock(struct control_dir *c, struct err *err)
{
	_cleanup_close_ int lock =
		openat(c->scratch, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	char pid[16];

	if (lock < 0)
		return err_errno(err, -errno, "%.300s/.hsup/lock", c->path);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? refuse_held(c, lock, err)
					    : err_errno(err, -errno, "%.300s/.hsup/lock", c->path);
	int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	/* For people only: on a full disk the lock holds all the same. */
	if (ftruncate(lock, 0) == 0) {
		ssize_t written = pwrite(lock, pid, (size_t)n, 0);
		(void)written;
	}
	c->lock = TAKE_FD(lock);
	return 0;
}

static int open_scratch(struct control_dir *c, struct err *err)
{
	if (mkdirat(c->dir, ".hsup", 0700) < 0 && errno != EEXIST)
		return err_errno(err, -errno, "%.300s/.hsup cannot be made", c->path);
	if (mkdirat(c->dir, "releases", 0700) < 0 && errno != EEXIST)
		return err_errno(err, -errno, "%.300s/releases cannot be made", c->path);
	int fd = openat(c->dir, ".hsup", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "%.300s/.hsup", c->path);
	fd_close(c->scratch);
	c->scratch = fd;
	return 0;
}

int control_hold(struct control_dir *c, struct err *err)
{
	c->lock = fd_close(c->lock);
	int r = open_scratch(c, err);
	if (r == 0)
		r = take_lock(c, err);
	if (r < 0) {
		c->scratch = fd_close(c->scratch);
		return r;
	}
	/* Of a commit that a crash cut short. */
	(void)unlinkat(c->scratch, "history", 0);
	return 0;
}

int control_enter(struct control_dir *c, struct err *err)
{
	c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		return err_errno(err, -errno, "control directory %.300s", c->path);
	if (!(c->flags & (CONTROL_DIR_HOLD | CONTROL_DIR_TRY)))
		return 0;
	int r = control_hold(c, err);
	/* Held by another, or not ours to write to: it can still be read. */
	if (r < 0 && (c->flags & CONTROL_DIR_HOLD)) {
		control_leave(c);
		return r;
	}
	return 0;
}

int control_ready(struct control_dir *c, struct err *err)
{
	struct stat st;

	if (c->dir < 0)
		return err_set(err, -ENOENT, "control directory %.300s is gone", c->path);
	if (c->scratch >= 0 && fstat(c->scratch, &st) == 0 && st.st_nlink > 0)
		return 0;
	int r = control_hold(c, err);
	if (r == 0 && c->loop)
		r = control_watch_start(c, err);
	if (r == 0 && c->settled)
		control_settled(c);
	return r;
}

void control_leave(struct control_dir *c)
{
	c->lock = fd_close(c->lock);
	c->scratch = fd_close(c->scratch);
	c->dir = fd_close(c->dir);
	c->n_claims = 0;
}

/* ---- open and close ---- */

static void control_close(void *state)
{
	struct control_dir *c = state;

	if (!c)
		return;
	control_watch_stop(c);
	/* Their claims stay: the next start delivers them again. */
	while (!LIST_EMPTY(&c->submissions))
		control_submission_free(LIST_FIRST(&c->submissions));
	for (unsigned i = 0; i < c->n_notices; i++)
		free(c->notices[i].text);
	control_leave(c);
	free(c->in_force);
	free(c->path);
	free(c);
}

int control_dir_open(const char *path, unsigned flags, void **ret_state, struct err *err)
{
	if ((flags & CONTROL_DIR_CREATE) && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, -errno, "control directory %.300s cannot be made", path);

	struct control_dir *c = calloc(1, sizeof *c);
	if (!c)
		return err_errno(err, -ENOMEM, "control directory");
	c->flags = flags;
	c->dir = c->scratch = c->lock = -1;
	c->inotify = c->wd_dir = c->wd_scratch = c->wd_above = -1;
	LIST_INIT(&c->submissions);

	/* Absolute, so that it is found again after it was removed and made anew. */
	c->path = realpath(path, NULL);
	int r = c->path ? control_enter(c, err)
			: err_errno(err, -errno, "control directory %.300s", path);
	if (r < 0) {
		control_close(c);
		return r;
	}
	*ret_state = c;
	return 0;
}

static int control_start(void *state, sd_event *loop, const struct source_events *events,
	void *userdata, struct err *err)
{
	struct control_dir *c = state;

	if (c->lock < 0)
		return err_set(err, -EBUSY,
			"control directory %.300s is not held by us: it can only be read", c->path);
	/* From here on it is held or away, never only read. */
	c->flags |= CONTROL_DIR_HOLD;
	c->loop = sd_event_ref(loop);
	int r = control_watch_start(c, err);
	if (r < 0)
		return r;
	c->events = events;
	c->userdata = userdata;
	for (unsigned i = 0; i < c->n_notices; i++) {
		events->notice(userdata, c->notices[i].level, c->notices[i].text);
		free(c->notices[i].text);
	}
	c->n_notices = 0;
	control_claim_leftovers(c);
	control_rescan(c);
	return 0;
}

bool control_dir_held_by_us(void *state)
{
	return ((struct control_dir *)state)->lock >= 0;
}

const char *control_dir_path(void *state)
{
	return ((struct control_dir *)state)->path;
}

static void control_quiet(void *state)
{
	struct control_dir *c = state;

	if (c->inotify >= 0)
		control_watch_quiet(c);
}

const struct source_ops control_dir_ops = {
	.name = "control directory",
	.restore = control_restore,
	.start = control_start,
	.commit = control_commit,
	.reject = control_reject,
	.drop = control_drop,
	.settled = control_settled,
	.roll_back = control_roll_back,
	.history = control_history,
	.read = control_read,
	.submit = control_submit,
	.remember = control_remember,
	.recall = control_recall,
	.quiet = control_quiet,
	.close = control_close,
};
