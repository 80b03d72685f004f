/* Where everything is: by an option, the environment, or the default. */
#include "cli/private.h"

#include "base/str.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

int options_path(char **path, const char *value, struct err *err)
{
	char *absolute;
	char shown[120];

	int r = path_absolute(value, &absolute);
	if (r < 0)
		return err_errno(
			err, r, "%s", str_printable(value, strlen(value), shown, sizeof shown));
	free(*path);
	*path = absolute;
	return 0;
}

/* A path that was not given: from the environment, where "" counts as unset. 1 = neither. */
static int from_env(char **path, const char *name, struct err *err)
{
	const char *value = getenv(name);

	if (*path)
		return 0;
	if (!value || !*value)
		return 1;
	int r = options_path(path, value, err);
	return r < 0 ? err_wrap(err, "%s", name) : 0;
}

struct path_option {
	const char *option, *variable;
	size_t member; /* of struct options, a char * */
};

static const struct path_option path_options[PATH_KINDS] = {
	[PATH_STATE] = {"--state-dir", "HSUP_STATE_DIR", offsetof(struct options, state_dir)},
	[PATH_RUNTIME] = {"--runtime-dir", "HSUP_RUNTIME_DIR",
		offsetof(struct options, runtime_dir)},
	[PATH_APPS] = {"--dir", "HSUP_APPS_DIR", offsetof(struct options, apps_dir)},
	[PATH_LOG] = {"--log", NULL, offsetof(struct options, log_file)},
	[PATH_CONFIG] = {"--config", "HSUP_CONFIG", offsetof(struct options, config)},
};

static int choose_path(
	struct options *o, enum path_kind kind, const char **ret_why, struct err *err)
{
	const struct path_option *p = &path_options[kind];
	void *member = (char *)o + p->member;
	char **path = member;

	*ret_why = *path ? p->option : p->variable;
	int r = *path ? 0 : p->variable ? from_env(path, p->variable, err) : 1;
	if (r > 0) {
		r = path_default(
			kind, geteuid() == 0 || o->supervisor_user, o->state_dir, path, ret_why);
		if (r == -ENOENT)
			return err_set(err, -EINVAL, "HOME is not set: say where %s is with %s%s%s",
				kind == PATH_STATE ? "state" : path_names[kind], p->option,
				p->variable ? " or " : "", p->variable ? p->variable : "");
		if (r < 0)
			return err_errno(err, r, "%s", path_names[kind]);
	}
	return r;
}

int options_app_dir(struct options *o, const char *of, struct err *err)
{
	char *path;

	if (!of)
		return 0;
	int r = options_path_of(o->runtime_dir, of, &path);
	if (r < 0)
		return err_errno(err, r, "runtime directory");
	free(o->app_dir);
	o->app_dir = path;
	return 0;
}

int options_complete(struct options *o, struct err *err)
{
	const char *why;

	int r = from_env(&o->control_dir, "HSUP_CONTROL_DIR", err);
	if (r >= 0)
		r = choose_path(o, PATH_STATE, &why, err);
	if (r == 0)
		r = choose_path(o, PATH_RUNTIME, &why, err);
	return r == 0 ? options_app_dir(o, o->control_dir, err) : r;
}

int options_complete_paths(struct options *o, const char *ret_why[PATH_KINDS], struct err *err)
{
	const char *why[PATH_KINDS];
	int r = 0;

	for (int kind = 0; kind < PATH_KINDS && r == 0; kind++) {
		/* In the foreground the log is standard output, unless told otherwise. */
		if (kind == PATH_LOG && o->foreground && !o->log_file)
			continue;
		r = choose_path(
			o, (enum path_kind)kind, ret_why ? &ret_why[kind] : &why[kind], err);
	}
	return r == 0 ? options_app_dir(o, o->apps_dir, err) : r;
}
