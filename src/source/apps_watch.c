/* inotify: an event means "look", what is there decides. */
#include "source/apps_private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define IN_FOLDER                                                                                  \
	(IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF |     \
		IN_ONLYDIR)
#define IN_APP	   (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)
#define READS_MAX  64		      /* per turn of the loop */
#define LOOK_AGAIN (2 * NSEC_PER_SEC) /* for a folder that is gone, or a release that failed */

void apps_watch_app(struct apps_dir *a, struct app *app)
{
	char path[4096];

	if (a->inotify < 0 || app->launched) {
		apps_unwatch_app(a, app);
		return;
	}
	(void)snprintf(path, sizeof path, "%s/%s", a->setup.folder, app->name);
	app->wd = inotify_add_watch(a->inotify, path, IN_APP);
}

void apps_unwatch_app(struct apps_dir *a, struct app *app)
{
	if (app->wd >= 0)
		(void)inotify_rm_watch(a->inotify, app->wd);
	app->wd = -1;
}

void apps_look_again(struct apps_dir *a)
{
	(void)sd_event_source_set_time_relative(a->again, LOOK_AGAIN / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(a->again, SD_EVENT_ONESHOT);
}

static void deliver(struct apps_dir *a)
{
	struct submission *s = calloc(1, sizeof *s);
	struct release *r = s ? apps_release(a) : NULL;

	if (!r) {
		apps_notice(a, NOTICE_ERROR, "out of memory; trying again");
		free(s);
		apps_look_again(a);
		return;
	}
	if (a->delivered && apps_release_same(a->delivered, r)) {
		(void)release_unref(r);
		free(s);
		return;
	}
	(void)release_unref(a->delivered);
	a->delivered = release_ref(r);
	a->events->submitted(a->userdata, s, r);
}

static int watch_folder(struct apps_dir *a)
{
	/* The same folder gives the same watch. */
	int wd = inotify_add_watch(a->inotify, a->setup.folder, IN_FOLDER);

	if (wd < 0)
		return -errno;
	if (a->wd >= 0 && a->wd != wd)
		(void)inotify_rm_watch(a->inotify, a->wd);
	a->wd = wd;
	return 0;
}

/* Watched first: what comes while it is read is seen twice, not never. */
void apps_look(struct apps_dir *a)
{
	struct err err = {0};
	int r = watch_folder(a);

	if (r < 0)
		(void)err_errno(
			&err, r, "folder of apps %.300s cannot be watched", a->setup.folder);
	else
		r = apps_scan(a, &err);
	if (r < 0) {
		if (!a->away)
			apps_notice(a, NOTICE_WARNING,
				"%s: what runs goes on, until it is there again", err.text);
		a->away = true;
		apps_look_again(a);
		return;
	}
	if (a->away)
		apps_notice(a, NOTICE_INFO, "folder of apps %s is there again", a->setup.folder);
	a->away = false;
	deliver(a);
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_Alignas(struct inotify_event) char buffer[16384];

	(void)source;
	(void)revents;
	for (int reads = 0; reads < READS_MAX && read(fd, buffer, sizeof buffer) > 0; reads++)
		;
	apps_look(userdata);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	apps_look(userdata);
	return 0;
}

int apps_watch_begin(struct apps_dir *a, sd_event *loop)
{
	a->loop = sd_event_ref(loop);
	a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->inotify < 0)
		return -errno;
	int r = sd_event_add_io(loop, &a->io, a->inotify, EPOLLIN, on_inotify, a);
	if (r >= 0)
		r = sd_event_add_time(loop, &a->again, CLOCK_MONOTONIC, 0, 1000, on_again, a);
	if (r >= 0)
		r = sd_event_source_set_enabled(a->again, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

void apps_watch_end(struct apps_dir *a)
{
	a->io = sd_event_source_disable_unref(a->io);
	a->again = sd_event_source_disable_unref(a->again);
	a->inotify = fd_close(a->inotify);
	a->loop = sd_event_unref(a->loop);
}
