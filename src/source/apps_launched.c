/* What is launched: said by hsup.json, and remembered over the supervisor's lives. */
#include "source/apps_private.h"

#include "base/file.h"
#include "base/str.h"
#include "model/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define LAUNCHED "launched" /* in the runtime directory: a name per line */

/* ---- lists of names ---- */

bool names_have(const struct name_list *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->list[i], name) == 0)
			return true;
	return false;
}

int names_add(struct name_list *names, const char *name)
{
	int r = mem_grow(&names->list, &names->cap, names->n + 1, LIMIT_APPS, sizeof *names->list);
	char *copy = r == 0 ? strdup(name) : NULL;

	if (!copy)
		return r < 0 ? r : -ENOMEM;
	names->list[names->n++] = copy;
	return 0;
}

void names_remove(struct name_list *names, size_t at)
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

void apps_write_launched(struct apps_dir *a)
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
