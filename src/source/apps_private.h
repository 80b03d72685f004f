/* The folder of apps from inside: apps_dir.c is the source, apps_watch.c watches, apps_scan.c reads
 * the folder, apps_launched.c knows what is launched, apps_release.c makes a release of what it
 * found. */
#pragma once

#include "source/apps_dir.h"

#include "base/limits.h"
#include "model/config.h"

struct app {
	char name[LIMIT_TYPE_NAME + 1];
	bool launched;
	int wd; /* not launched: watched for a `new`; -1 = not watched */
};

struct app_list {
	struct app *list; /* by name */
	size_t n, cap;
};

struct name_list {
	char **list;
	size_t n, cap;
};

struct submission { /* what there is to know is in the folder */
	char nothing;
};

struct apps_dir {
	struct apps_dir_setup setup;
	struct config config;
	struct app_list apps;
	struct name_list launched;    /* in this life of the daemon, apps that are away included */
	struct name_list passed_over; /* names that were said to be none of an app */
	bool away;		      /* the folder is gone */
	char *config_fault;	      /* to be told; NULL = none */
	int64_t version;
	struct release *delivered; /* the last one; NULL = none yet */

	sd_event *loop; /* NULL until start() */
	const struct source_events *events;
	void *userdata;
	sd_event_source *io, *again;
	int inotify, wd; /* -1 = not watched */
};

/* ---- apps_dir.c ---- */
void apps_notice(struct apps_dir *a, enum notice_level level, const char *fmt, ...)
	HSUP_PRINTF(3, 4);

/* ---- apps_watch.c ---- */
int apps_watch_begin(struct apps_dir *a, sd_event *loop) HSUP_MUST_CHECK;
void apps_watch_end(struct apps_dir *a);
/* Looks for everything, and delivers a release when something has changed. */
void apps_look(struct apps_dir *a);
void apps_look_again(struct apps_dir *a); /* a moment later */
void apps_watch_app(struct apps_dir *a, struct app *app);
void apps_unwatch_app(struct apps_dir *a, struct app *app);

/* ---- apps_launched.c ---- */
bool names_have(const struct name_list *names, const char *name);
int names_add(struct name_list *names, const char *name);
void names_remove(struct name_list *names, size_t at);
void names_free(struct name_list *names);

/* Reads hsup.json and what was launched. -EINVAL when the file is wrong and nothing was launched
 * yet; else a fault is kept to be told, and nothing new is launched. */
int apps_read_config(struct apps_dir *a, struct err *err) HSUP_MUST_CHECK;
void apps_write_launched(struct apps_dir *a);
void apps_forget_launched(struct apps_dir *a); /* the daemon stops */

/* ---- apps_scan.c ---- */
/* Looks what apps there are. On failure all is as it was. */
int apps_scan(struct apps_dir *a, struct err *err) HSUP_MUST_CHECK;

/* ---- apps_release.c ---- */
/* Of the apps that are launched. NULL = out of memory. */
struct release *apps_release(struct apps_dir *a);
bool apps_release_same(const struct release *a, const struct release *b);
