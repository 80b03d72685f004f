#include "cli/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int path_absolute(const char *path, char **ret_path)
{
	/* One name per place: what is kept for a control directory is found by its path. */
	char *real = realpath(path, NULL);

	if (real) {
		*ret_path = real;
		return 0;
	}
	if (errno == ENOMEM)
		return -ENOMEM;

	_cleanup_free_ char *here = NULL;
	char *made = NULL;
	if (path[0] != '/') {
		here = getcwd(NULL, 0);
		if (!here)
			return -errno;
	}
	if (asprintf(&made, "%s%s%s", here ? here : "", here ? "/" : "", path) < 0)
		return -ENOMEM;
	*ret_path = made;
	return 0;
}

/* An environment variable that is set to an absolute path, else NULL (as XDG demands). */
static const char *env_path(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static int join(const char *folder, const char *name, char **ret_path)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}

const char *const path_names[PATH_KINDS] = {
	[PATH_STATE] = "state",
	[PATH_RUNTIME] = "runtime",
	[PATH_APPS] = "apps",
	[PATH_LOG] = "log",
	[PATH_CONFIG] = "config",
};

struct place {
	const char *of_root;  /* NULL = of all: below the state directory */
	const char *variable; /* NULL as well */
	const char *in_home;  /* NULL = below the state directory */
	const char *name;     /* in whichever folder it is */
};

static const struct place places[PATH_KINDS] = {
	[PATH_STATE] = {"/var/lib", "XDG_STATE_HOME", ".local/state", "hsup"},
	[PATH_RUNTIME] = {"/run", "XDG_RUNTIME_DIR", NULL, "hsup"},
	[PATH_APPS] = {.name = "control"},
	[PATH_LOG] = {.name = "hsup.log"},
	[PATH_CONFIG] = {"/etc", "XDG_CONFIG_HOME", ".config", "hsup/hsup.json"},
};

int path_default(enum path_kind kind, bool root, const char *state_dir, char **ret_path,
	const char **ret_why)
{
	const struct place *p = &places[kind];
	const char *folder = p->variable ? env_path(p->variable) : NULL;
	_cleanup_free_ char *below = NULL;

	if (p->of_root && root) {
		*ret_why = "of root";
		return join(p->of_root, p->name, ret_path);
	}
	if (folder) {
		*ret_why = p->variable;
		return join(folder, p->name, ret_path);
	}
	if (!p->in_home) {
		*ret_why = "in the state directory";
		return join(state_dir, p->of_root ? "run" : p->name, ret_path);
	}
	folder = env_path("HOME");
	if (!folder)
		return -ENOENT;
	*ret_why = "HOME";
	int r = join(folder, p->in_home, &below);
	return r < 0 ? r : join(below, p->name, ret_path);
}

int path_make(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof part)
		return err_errno(err, -ENAMETOOLONG, "%.300s", path);
	memcpy(part, path, len + 1);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		/* What is wrong with it shows below. */
		(void)mkdir(part, 0755);
		*slash = '/';
	}
	if (mkdir(part, mode) == 0)
		return 0;
	int r = -errno;
	struct stat st;
	if (r == -EEXIST && stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : err_errno(err, -ENOTDIR, "%.300s", path);
	return err_errno(err, r, "%.300s cannot be made", path);
}

/* Whoever may write there could put a lock or a socket of his own in the way. */
static int check_owner(const char *path, uid_t owner, struct stat *ret, struct err *err)
{
	if (lstat(path, ret) < 0)
		return err_errno(err, -errno, "%.300s", path);
	if (!S_ISDIR(ret->st_mode) || ret->st_uid != owner || (ret->st_mode & 022))
		return err_set(err, -EPERM,
			"runtime directory %.300s belongs to others or can be written by them: "
			"it must be yours, with mode 0711",
			path);
	return 0;
}

/* Root's are gone through by others: whom the supervisor runs as, and dynos that say that they are
 * ready. What others make is their own. */
static mode_t open_to_others(void)
{
	mode_t mask = umask(022);

	if (geteuid() != 0)
		(void)umask(mask);
	return mask;
}

int cli_make_runtime_dir(const struct options *o, struct err *err)
{
	struct stat st;
	mode_t mask = open_to_others();
	int r = path_make(o->runtime_dir, 0711, err);

	(void)umask(mask);
	return r < 0 ? r : check_owner(o->runtime_dir, geteuid(), &st, err);
}

int cli_make_app_dir(const struct options *o, uid_t owner, gid_t group, struct err *err)
{
	struct stat st;
	int r = cli_make_runtime_dir(o, err);

	if (r < 0)
		return r;
	mode_t mask = open_to_others();
	bool made = mkdir(o->app_dir, 0711) == 0 || errno == EEXIST;
	(void)umask(mask);
	if (!made)
		return err_errno(err, -errno, "%.300s cannot be made", o->app_dir);
	if (lstat(o->app_dir, &st) < 0)
		return err_errno(err, -errno, "%.300s", o->app_dir);
	/* Of an earlier start with another --user: nobody but root and those can have been there.
	 */
	if (S_ISDIR(st.st_mode) && st.st_uid != owner && geteuid() == 0 &&
		lchown(o->app_dir, owner, group) < 0)
		return err_errno(err, -errno, "%.300s", o->app_dir);
	return check_owner(o->app_dir, owner, &st, err);
}
