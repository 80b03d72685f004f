/* inotify, and nothing else: an event means "look", what is there decides. */
#include "base/fd.h"
#include "source/control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_OURS                                                                                    \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF |   \
		IN_MOVE_SELF | IN_ONLYDIR)
/* IN_ATTRIB: who makes it anew may give it to our user only then. */
#define IN_ABOVE                                                                                   \
	(IN_CREATE | IN_ATTRIB | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF |        \
		IN_MOVE_SELF | IN_ONLYDIR)
#define READS_MAX 64 /* per turn of the loop */

static void unwatch(struct control_dir *c, int *wd)
{
	if (*wd >= 0)
		(void)inotify_rm_watch(c->inotify, *wd);
	*wd = -1;
}

/* The path still leads to the directory that is open. */
static bool is_there(struct control_dir *c)
{
	struct stat a, b;

	return c->dir >= 0 && fstat(c->dir, &a) == 0 && stat(c->path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Watches the deepest folder above the directory that exists. Not done in good times: that folder
 * may be a busy one. */
static int watch_above(struct control_dir *c)
{
	char above[PATH_MAX], next[PATH_MAX];

	for (int tries = 0; tries < 100; tries++) {
		int wd = -1;

		(void)snprintf(above, sizeof above, "%s", c->path);
		do {
			char *slash = strrchr(above, '/');

			(void)snprintf(next, sizeof next, "%s", above);
			if (!slash)
				return -ENOENT;
			slash[slash == above] = '\0';
			wd = inotify_add_watch(c->inotify, above, IN_ABOVE);
		} while (
			wd < 0 && (errno == ENOENT || errno == ENOTDIR) && strcmp(above, "/") != 0);
		if (wd < 0)
			return -errno;
		if (wd != c->wd_above)
			unwatch(c, &c->wd_above);
		c->wd_above = wd;
		/* It may have appeared between the two calls. */
		if (strcmp(next, c->path) == 0 || access(next, F_OK) < 0)
			return 0;
	}
	return 0;
}

static int watch_inside(struct control_dir *c)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/.hsup", c->path);

	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	c->wd_dir = inotify_add_watch(c->inotify, c->path, IN_OURS);
	if (c->wd_dir < 0)
		return -errno;
	c->wd_scratch = inotify_add_watch(c->inotify, path, IN_CLOSE_WRITE | IN_ONLYDIR);
	if (c->wd_scratch < 0)
		return -errno;
	return is_there(c) ? 0 : -ENOENT;
}

static void let_go(struct control_dir *c)
{
	unwatch(c, &c->wd_dir);
	unwatch(c, &c->wd_scratch);
	control_leave(c);
}

/* ---- gone, and there again ---- */

static void come_back(struct control_dir *c)
{
	struct err err = {0};
	int r = -ENOENT;

	for (int tries = 0; r == -ENOENT && tries < 100; tries++) {
		r = control_enter(c, &err);
		if (r == 0) {
			r = watch_inside(c);
			if (r < 0)
				let_go(c);
		}
		if (r < 0) {
			int above = watch_above(c);

			if (above < 0)
				r = above;
			else if (access(c->path, F_OK) < 0)
				return;
		}
	}
	if (r < 0) {
		control_notice(c, NOTICE_ERROR, "control directory cannot be used: %s",
			*err.text ? err.text : err_name(r));
		return;
	}
	unwatch(c, &c->wd_above);
	control_notice(c, NOTICE_INFO, "control directory %s is there again", c->path);
	/* The release in force is still that: it is written down again. */
	if (c->in_force && faccessat(c->dir, "loaded", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		control_rewrite(c);
	control_claim_leftovers(c);
	control_rescan(c);
}

static void lost(struct control_dir *c)
{
	let_go(c);
	control_notice(c, NOTICE_WARNING,
		"control directory %s was removed: what runs goes on, until it is made again",
		c->path);
	come_back(c);
}

/* .hsup was removed: by somebody who cleans up, or as the first step of removing it all. Making it
 * anew at once would spoil the latter; the next submission does it. The rest is seen from above. */
static void scratch_lost(struct control_dir *c)
{
	unwatch(c, &c->wd_scratch);
	c->lock = fd_close(c->lock);
	c->scratch = fd_close(c->scratch);
	c->n_claims = 0;
	(void)watch_above(c);
	if (!is_there(c))
		lost(c);
}

void control_rescan(struct control_dir *c)
{
	struct stat st;

	if (!is_there(c)) {
		if (c->dir >= 0)
			lost(c);
		else
			come_back(c);
		return;
	}
	if (c->scratch >= 0 && (fstat(c->scratch, &st) < 0 || st.st_nlink == 0))
		scratch_lost(c);
	control_claim_new(c, CLAIM_CLOSED);
	/* Their writers may have closed them unheard. */
	(void)sd_event_source_set_enabled(c->deliver, SD_EVENT_ONESHOT);
}

/* ---- events ---- */

struct seen {
	bool closed, created, look;
};

static void see(struct control_dir *c, const struct inotify_event *e, struct seen *seen)
{
	const char *name = e->len ? e->name : "";

	if ((e->mask & IN_Q_OVERFLOW) || (c->wd_above >= 0 && e->wd == c->wd_above)) {
		seen->look = true;
	} else if (e->wd == c->wd_scratch) {
		if (e->mask & IN_CLOSE_WRITE)
			control_claim_closed(c, name);
	} else if (e->wd == c->wd_dir) {
		if ((e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) ||
			(strcmp(name, ".hsup") == 0 && (e->mask & (IN_DELETE | IN_MOVED_FROM))))
			seen->look = true;
		else if (strcmp(name, "new") == 0)
			*(e->mask & IN_CREATE ? &seen->created : &seen->closed) = true;
	}
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_dir *c = userdata;
	struct seen seen = {0};
	_Alignas(struct inotify_event) char buffer[16384];

	(void)source;
	(void)revents;
	for (int reads = 0; reads < READS_MAX; reads++) {
		ssize_t n = read(fd, buffer, sizeof buffer);

		if (n <= 0)
			break;
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *e = (const void *)at;

			see(c, e, &seen);
			at += sizeof *e + e->len;
		}
	}
	if (seen.look)
		control_rescan(c);
	else if (seen.closed)
		control_claim_new(c, CLAIM_CLOSED);
	else if (seen.created)
		control_claim_new(c, CLAIM_CREATED);
	return 0;
}

static int on_deliver(sd_event_source *source, void *userdata)
{
	(void)source;
	control_deliver(userdata);
	return 0;
}

static int open_watch(struct control_dir *c)
{
	c->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (c->inotify < 0)
		return -errno;
	int r = sd_event_add_io(c->loop, &c->io, c->inotify, EPOLLIN, on_inotify, c);
	if (r >= 0)
		r = sd_event_add_defer(c->loop, &c->deliver, on_deliver, c);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->deliver, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

int control_watch_start(struct control_dir *c, struct err *err)
{
	int r = c->inotify < 0 ? open_watch(c) : 0;

	if (r == 0)
		r = watch_inside(c);
	if (r < 0)
		return err_errno(err, r, "control directory %.300s cannot be watched", c->path);
	unwatch(c, &c->wd_above);
	return 0;
}

void control_watch_quiet(struct control_dir *c)
{
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->deliver, SD_EVENT_OFF);
	unwatch(c, &c->wd_dir);
	unwatch(c, &c->wd_scratch);
	unwatch(c, &c->wd_above);
}

void control_watch_stop(struct control_dir *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	c->deliver = sd_event_source_disable_unref(c->deliver);
	c->inotify = fd_close(c->inotify);
	c->loop = sd_event_unref(c->loop);
}
