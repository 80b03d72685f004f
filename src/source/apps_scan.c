#include "source/apps_private.h"

#include "base/fd.h"
#include "base/str.h"
#include "model/validate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- the folder ---- */

static void pass_over(struct apps_dir *a, const char *name, const char *why)
{
	char shown[120];

	if (names_have(&a->passed_over, name) || names_add(&a->passed_over, name) < 0)
		return;
	apps_notice(a, NOTICE_WARNING, "%s/%s is passed over: %s", a->setup.folder,
		str_printable(name, strlen(name), shown, sizeof shown), why);
}

static bool is_folder(int dir, const char *name)
{
	struct stat st;

	/* A link to a directory is fine: that is how an app is switched on and off. */
	return fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static bool has_submission(int dir, const char *app)
{
	char path[LIMIT_TYPE_NAME + 8];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/new", app);
	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int by_name(const void *left, const void *right)
{
	const struct app *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static struct app *find(const struct app_list *apps, const char *name)
{
	struct app key = {.wd = -1};

	(void)snprintf(key.name, sizeof key.name, "%s", name);
	return apps->n ? bsearch(&key, apps->list, apps->n, sizeof key, by_name) : NULL;
}

static int read_folder(struct apps_dir *a, int dir, struct app_list *ret)
{
	DIR *entries = fdopendir(dir);
	int r = 0;

	if (!entries) {
		r = -errno;
		fd_close(dir);
		return r;
	}
	for (struct dirent *e; r == 0 && (e = readdir(entries));) {
		if (e->d_name[0] == '.' || !is_folder(dir, e->d_name))
			continue;
		const char *wrong = rule_type(e->d_name);
		if (wrong || ret->n == LIMIT_APPS) {
			char why[120];

			(void)snprintf(why, sizeof why,
				wrong ? "the name of an app %s" : "there are more than %s apps",
				wrong ? wrong : "1000");
			pass_over(a, e->d_name, why);
			continue;
		}
		r = mem_grow(&ret->list, &ret->cap, ret->n + 1, LIMIT_APPS, sizeof *ret->list);
		if (r < 0)
			break;
		struct app *app = &ret->list[ret->n++];
		(void)snprintf(app->name, sizeof app->name, "%.*s", LIMIT_TYPE_NAME, e->d_name);
		app->wd = -1;
		app->launched = names_have(&a->launched, app->name) ||
				config_launches(&a->config, app->name) ||
				has_submission(dir, app->name);
	}
	(void)closedir(entries);
	if (ret->n)
		qsort(ret->list, ret->n, sizeof *ret->list, by_name);
	return r;
}

static void tell_change(struct apps_dir *a, const struct app *before, const struct app *now)
{
	if (!before && now->launched)
		apps_notice(a, NOTICE_INFO, "app %s is there: launched", now->name);
	else if (!before)
		apps_notice(a, NOTICE_INFO,
			"app %s is there: hsup.json does not launch it; a release submitted to it "
			"does",
			now->name);
	else if (now->launched && !before->launched)
		apps_notice(a, NOTICE_INFO, "app %s has a release submitted: launched", now->name);
}

/* One that is there again after it was removed begins anew. */
static bool update_launched(struct apps_dir *a)
{
	bool changed = false;

	for (size_t i = a->launched.n; i > 0; i--)
		if (!find(&a->apps, a->launched.list[i - 1])) {
			names_remove(&a->launched, i - 1);
			changed = true;
		}
	for (size_t i = 0; i < a->apps.n; i++) {
		const struct app *app = &a->apps.list[i];

		if (app->launched && !names_have(&a->launched, app->name))
			changed |= names_add(&a->launched, app->name) == 0;
	}
	return changed;
}

static void take(struct apps_dir *a, struct app_list *now)
{
	struct app_list before = a->apps;

	for (size_t i = 0; i < now->n; i++) {
		struct app *app = &now->list[i], *old = find(&before, app->name);

		app->launched |= old && old->launched;
		tell_change(a, old, app);
		if (old) {
			app->wd = old->wd;
			old->wd = -1;
		}
	}
	for (size_t i = 0; i < before.n; i++) {
		if (!find(now, before.list[i].name))
			apps_notice(a, NOTICE_INFO, "app %s is gone%s", before.list[i].name,
				before.list[i].launched ? ": it is stopped" : "");
		apps_unwatch_app(a, &before.list[i]);
	}
	free(before.list);
	a->apps = *now;
	for (size_t i = 0; i < a->apps.n; i++)
		apps_watch_app(a, &a->apps.list[i]);
}

int apps_scan(struct apps_dir *a, struct err *err)
{
	struct app_list now = {0};
	int dir = open(a->setup.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	int r = dir < 0 ? -errno : read_folder(a, dir, &now);
	if (r < 0) {
		free(now.list);
		return err_errno(err, r, "folder of apps %.300s", a->setup.folder);
	}
	take(a, &now);
	if (update_launched(a))
		apps_write_launched(a);
	return 0;
}
