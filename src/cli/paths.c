#include "cli/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
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

int path_state_default(bool root, char **ret_path)
{
	const char *folder;

	if (root)
		return join("/var/lib", "hsup", ret_path);
	folder = env_path("XDG_STATE_HOME");
	if (folder)
		return join(folder, "hsup", ret_path);
	folder = env_path("HOME");
	return folder ? join(folder, ".local/state/hsup", ret_path) : -ENOENT;
}
