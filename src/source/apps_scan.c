#include "source/apps_private.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "model/validate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define LAUNCHED "launched" /* in the runtime directory: a name per line */

/* ---- lists of names ---- */

static bool names_have(const struct name_list *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->list[i], name) == 0)
			return true;
	return false;
}

static int names_add(struct name_list *names, const char *name)
{
	int r = mem_grow(&names->list, &names->cap, names->n + 1, LIMIT_APPS, sizeof *names->list);
	char *copy = r == 0 ? strdup(name) : NULL;

	if (!copy)
		return r < 0 ? r : -ENOMEM;
	names->list[names->n++] = copy;
	return 0;
}

static void names_remove(struct name_list *names, size_t at)
{
	free(names->list[at]);
	names->list[at] = names->list[--names->n];
}

void names_free(struct name_list *names)
{
	while (names->n)
		names_remove(names, names->n - 1);
	free(names->list);
	*names = (struct name_list){0};
}

/* ---- what was launched ---- */

static void launched_path(const struct apps_dir *a, char ret_path[4096])
{
	(void)snprintf(ret_path, 4096, "%s/" LAUNCHED, a->setup.runtime_dir);
}

static void read_launched(struct apps_dir *a)
{
	_cleanup_free_ char *text = NULL;
	char path[4096], *rest = NULL;
	size_t len;

	launched_path(a, path);
	if (file_read(AT_FDCWD, path, LIMIT_CONFIG_BYTES, &text, &len) < 0)
		return;
	for (char *name = strtok_r(text, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
		if (!rule_type(name) && !names_have(&a->launched, name))
			(void)names_add(&a->launched, name);
}

static void write_launched(struct apps_dir *a)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(LIMIT_CONFIG_BYTES);
	char path[4096];

	launched_path(a, path);
	for (size_t i = 0; i < a->launched.n; i++)
		(void)strbuf_printf(&text, "%s\n", a->launched.list[i]);
	int r = text.error
			? text.error
			: file_replace(AT_FDCWD, path, text.data ? text.data : "", text.len, 0600);
	if (r < 0)
		apps_notice(a, NOTICE_WARNING,
			"%s cannot be written: a supervisor that is started again will launch "
			"only what hsup.json says: %s",
			path, err_name(r));
}

void apps_forget_launched(struct apps_dir *a)
{
	char path[4096];

	launched_path(a, path);
	(void)file_remove_tree(AT_FDCWD, path);
}

/* ---- hsup.json ---- */

static int read_settings(struct apps_dir *a, struct err *err)
{
	struct release_errors HSUP_CLEANUP(release_errors_done) errors = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;
	char line[700];

	int r = file_read(AT_FDCWD, a->setup.config, LIMIT_CONFIG_BYTES, &text, &len);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_errno(err, r, "%.300s", a->setup.config);
	r = config_parse(text, len, &a->config, &errors);
	if (r == -EINVAL)
		return err_set(err, r, "%.200s: %s%s", a->setup.config,
			release_error_format(&errors.list[0], line, sizeof line),
			errors.n > 1 ? " (and more)" : "");
	return r < 0 ? err_errno(err, r, "%.300s", a->setup.config) : 0;
}

int apps_read_config(struct apps_dir *a, struct err *err)
{
	read_launched(a);
	int r = read_settings(a, err);
	if (r == 0 || a->launched.n == 0)
		return r;
	/* With apps running, an unreadable file is no reason to stop looking after them. */
	a->config.has_autolaunch = true;
	a->config_fault = strdup(err->text);
	return a->config_fault ? 0 : err_errno(err, -ENOMEM, "hsup.json");
}

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
	struct app key;

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
	else if (now && now->launched && !before->launched)
		apps_notice(a, NOTICE_INFO, "app %s has a release submitted: launched", now->name);
	else if (!now)
		apps_notice(a, NOTICE_INFO, "app %s is gone%s", before->name,
			before->launched ? ": it is stopped" : "");
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
			tell_change(a, &before.list[i], NULL);
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
		write_launched(a);
	return 0;
}
