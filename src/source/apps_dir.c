#include "source/apps_dir.h"

#include "base/clock.h"
#include "base/fd.h"
#include "source/apps_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define IN_FOLDER                                                                                  \
	(IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF |     \
		IN_ONLYDIR)
#define IN_APP	   (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)
#define READS_MAX  64		      /* per turn of the loop */
#define LOOK_AGAIN (2 * NSEC_PER_SEC) /* for a folder that is gone, or a release that failed */

struct submission {
	struct apps_dir *owner;
};

void apps_notice(struct apps_dir *a, enum notice_level level, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	/* What is found before start() was found by an earlier supervisor too, or is what is told
	 * to run anyway. */
	if (!a->events)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	a->events->notice(a->userdata, level, text);
}

/* ---- watching ---- */

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

static void look_again(struct apps_dir *a)
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
		look_again(a);
		return;
	}
	if (a->delivered && apps_release_same(a->delivered, r)) {
		(void)release_unref(r);
		free(s);
		return;
	}
	(void)release_unref(a->delivered);
	a->delivered = release_ref(r);
	s->owner = a;
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
static void look(struct apps_dir *a)
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
		look_again(a);
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
	/* An event means "look"; what is there decides. */
	for (int reads = 0; reads < READS_MAX && read(fd, buffer, sizeof buffer) > 0; reads++)
		;
	look(userdata);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	look(userdata);
	return 0;
}

/* ---- the source ---- */

static int apps_restore(
	void *state, struct release **ret_release, struct release **ret_settled, struct err *err)
{
	struct apps_dir *a = state;

	a->delivered = apps_release(a);
	if (!a->delivered)
		return err_errno(err, -ENOMEM, "apps");
	*ret_release = release_ref(a->delivered);
	*ret_settled = NULL;
	return 1;
}

static int apps_start(void *state, sd_event *loop, const struct source_events *events,
	void *userdata, struct err *err)
{
	struct apps_dir *a = state;

	a->loop = sd_event_ref(loop);
	a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->inotify < 0)
		return err_errno(err, -errno, "folder of apps cannot be watched");
	int r = sd_event_add_io(loop, &a->io, a->inotify, EPOLLIN, on_inotify, a);
	if (r >= 0)
		r = sd_event_add_time(loop, &a->again, CLOCK_MONOTONIC, 0, 1000, on_again, a);
	if (r >= 0)
		r = sd_event_source_set_enabled(a->again, SD_EVENT_OFF);
	if (r < 0)
		return err_errno(err, r, "folder of apps cannot be watched");
	a->events = events;
	a->userdata = userdata;
	if (a->config_fault)
		apps_notice(a, NOTICE_ERROR, "%s: nothing new is launched until it is mended",
			a->config_fault);
	names_free(&a->passed_over);
	look(a);
	return 0;
}

static int apps_commit(void *state, struct submission *s, struct err *err)
{
	(void)state;
	(void)err;
	free(s);
	return 0;
}

/* What was found wanting is what the folder says all the same. */
static void try_again(struct apps_dir *a)
{
	a->delivered = release_unref(a->delivered);
	if (a->again)
		look_again(a);
}

static void apps_reject(void *state, struct submission *s, const char *reason)
{
	(void)reason;
	free(s);
	try_again(state);
}

static void apps_drop(void *state, struct submission *s)
{
	(void)state;
	free(s);
}

static void apps_settled(void *state)
{
	(void)state;
}

static int apps_roll_back(void *state, const char *reason, struct err *err)
{
	(void)reason;
	(void)err;
	try_again(state);
	return 0;
}

static void apps_quiet(void *state)
{
	struct apps_dir *a = state;

	apps_forget_launched(a);
	if (!a->io)
		return;
	(void)sd_event_source_set_enabled(a->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(a->again, SD_EVENT_OFF);
}

static void apps_close(void *state)
{
	struct apps_dir *a = state;

	if (!a)
		return;
	sd_event_source_disable_unref(a->io);
	sd_event_source_disable_unref(a->again);
	fd_close(a->inotify);
	sd_event_unref(a->loop);
	(void)release_unref(a->delivered);
	names_free(&a->launched);
	names_free(&a->passed_over);
	config_done(&a->config);
	free(a->apps.list);
	free(a->config_fault);
	free(a);
}

const struct source_ops apps_dir_ops = {
	.name = "folder of apps",
	.restore = apps_restore,
	.start = apps_start,
	.commit = apps_commit,
	.reject = apps_reject,
	.drop = apps_drop,
	.settled = apps_settled,
	.roll_back = apps_roll_back,
	.quiet = apps_quiet,
	.close = apps_close,
};

int apps_dir_open(const struct apps_dir_setup *setup, void **ret_state, struct err *err)
{
	struct apps_dir *a = calloc(1, sizeof *a);

	if (!a)
		return err_errno(err, -ENOMEM, "folder of apps");
	a->setup = *setup;
	a->inotify = a->wd = -1;
	int r = apps_read_config(a, err);
	if (r == 0)
		r = apps_scan(a, err);
	if (r < 0) {
		apps_close(a);
		return r;
	}
	*ret_state = a;
	return 0;
}
