#include "source/apps_dir.h"

#include "source/apps_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void apps_notice(struct apps_dir *a, enum notice_level level, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* What is found before start() was found by an earlier supervisor too, or is what is told
	 * to run anyway. */
	if (a->events)
		a->events->notice(a->userdata, level, text);
}

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

	int r = apps_watch_begin(a, loop);
	if (r < 0)
		return err_errno(err, r, "folder of apps cannot be watched");
	a->events = events;
	a->userdata = userdata;
	if (a->config_fault)
		apps_notice(a, NOTICE_ERROR, "%s: nothing new is launched until it is mended",
			a->config_fault);
	names_free(&a->passed_over);
	apps_look(a);
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
		apps_look_again(a);
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
	apps_watch_end(a);
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
