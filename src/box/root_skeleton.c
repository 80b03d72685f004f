#include "base/fd.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where those are made, and under which name there. */
static int maker(const struct root_work *w, const struct plan_step *s, const char **ret_name)
{
	*ret_name = w->dev >= 0 ? s->target + sizeof "dev/" - 1 : s->target;
	return w->dev >= 0 ? w->dev : w->skeleton;
}

int skeleton_dir(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (mkdirat(in, name, s->mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	return root_own(w, in, name, s->of_dyno);
}

int skeleton_file(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (mknodat(in, name, S_IFREG | s->mode, 0) < 0)
		return -errno;
	return root_own(w, in, name, s->of_dyno);
}

int skeleton_symlink(struct root_work *w, const struct plan_step *s)
{
	const char *name;
	int in = maker(w, s, &name);

	if (symlinkat(s->text, in, name) < 0)
		return -errno;
	return root_own(w, in, name, false);
}

/* A name of the machine's that is not there; its folder, when it is one there, and not a link, is
 * needed in the skeleton. */
int skeleton_whiteout(struct root_work *w, const struct plan_step *s)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof path, "/%s", s->target);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (mkdirat(w->skeleton, path + 1, st.st_mode & 0755) == 0) {
		int r = root_own(w, w->skeleton, path + 1, false);
		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return -errno;
	}
	return mknodat(w->skeleton, s->target, S_IFCHR, 0) < 0 ? -errno : 0;
}

int skeleton_no_link(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int host =
		w->r->stack < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat st;

	if (fstatat(w->r->stack < 0 ? host : w->r->stack, s->target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return S_ISLNK(st.st_mode) ? -ELOOP : 0;
}
