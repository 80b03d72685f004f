#include "boxes.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/way.h"
#include "cli/cli.h"
#include "drivers/driver.h"
#include "passer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTION	 "--box-option="
#define OPTION_N (sizeof OPTION - 1)

bool boxes_wanted(const struct options *o)
{
	const struct driver *d = driver_find(o->driver);

	return d && strcmp(d->name, "native") == 0 &&
	       (o->mode == MODE_START || o->mode == MODE_RUN || o->mode == MODE_BUILD);
}

/* ---- folders ---- */

static int refuse(const char *name, const char *part, struct err *err)
{
	bool root = geteuid() == 0;

	return err_set(err, -EPERM,
		"native dynos: %.200s belongs to others or can be written by them, who could then "
		"choose what %s: name a folder of %s with %s",
		part, root ? "root mounts" : "your dynos run", root ? "root's" : "your own", name);
}

/* Whoever could put another in its place would choose what root mounts. What others may write to
 * does no harm when nobody can move what others own there, as in /tmp. */
static int check_real(const char *name, const char *path, char **ret_real, struct err *err)
{
	_cleanup_free_ char *whole = realpath(path, NULL), *real = whole ? strdup(whole) : NULL;
	mode_t harmless = 0;
	struct stat st;

	if (!real)
		return err_errno(err, -errno, "%.300s", path);
	for (char *p = real + strlen(real); p; p = strrchr(real, '/')) {
		*p = '\0';
		if (stat(real[0] ? real : "/", &st) < 0)
			return err_errno(err, -errno, "%.300s", real);
		if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
			((st.st_mode & 022) && !(st.st_mode & harmless)))
			return refuse(name, real[0] ? real : "/", err);
		harmless = S_ISVTX;
	}
	*ret_real = TAKE_PTR(whole);
	return 0;
}

static int close_to_others(const struct way *way, const char *path, struct err *err)
{
	_cleanup_close_ int fd = openat(way->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || fchmod(fd, st.st_mode & 07711) < 0)
		return err_errno(err, -errno, "%.300s", path);
	return 0;
}

/* Also what leads there: a link of others would lead root to a folder of root's that is none of
 * ours. Where nobody else could have put anything, the real path stays what it is. */
static int check_way(
	const char *name, const char *path, bool make, char **ret_real, struct err *err)
{
	struct way HSUP_CLEANUP(way_done) way;
	_cleanup_free_ char *real = NULL;

	int r = way_open(&way, path, make, err);
	if (r < 0)
		return err_wrap(err, "native dynos: %s", name);
	/* What is in it is for nobody to list. */
	if (way.made && way.safe)
		r = close_to_others(&way, path, err);
	if (r < 0)
		return r;
	r = check_real(name, path, &real, err);
	if (r == 0 && !way.safe && geteuid() == 0)
		return refuse(name, path, err);
	if (r == 0)
		*ret_real = TAKE_PTR(real);
	return r;
}

static int make_folder(const char *name, const char *path, struct err *err)
{
	_cleanup_free_ char *real = NULL;

	int r = check_way(name, path, true, &real, err);
	if (r < 0 || !real)
		return r;
	/* What was looked at is what is used. */
	return setenv(name, real, 1) < 0 ? err_errno(err, -errno, "%s", name) : 0;
}

/* ---- settings ---- */

HSUP_PRINTF(3, 4)
static int settle(const char *name, struct err *err, const char *fmt, ...)
{
	const char *given = getenv(name);
	char value[PATH_MAX];
	va_list ap;

	if (given && *given)
		return 0;
	va_start(ap, fmt);
	int n = vsnprintf(value, sizeof value, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof value)
		return err_errno(err, -ENAMETOOLONG, "%s", name);
	return setenv(name, value, 1) < 0 ? err_errno(err, -errno, "%s", name) : 0;
}

int boxes_settle(const struct options *o, struct err *err)
{
	char path[PATH_MAX];
	const char *why;
	int r = 0;

	for (int i = 0; i < BOX_PLACES && r == 0; i++) {
		r = cli_box_place(o, (enum box_place)i, path, &why, err);
		if (r == 0)
			r = settle(cli_box_places[i].variable, err, "%s", path);
	}
	if (r == 0)
		r = settle("HSUP_BOX_SLUGS", err, "%s/apps", o->state_dir);
	/* Who may be told to run what root runs may be shown all that there is. Another may not. */
	if (r == 0 && !o->supervisor_user)
		r = settle("HSUP_BOX_BINDS", err, "/");
	return r;
}

static int add(struct boxes *b, const char *option, const char *value, struct err *err)
{
	if (b->n_args == ARRAY_SIZE(b->args))
		return err_set(err, -E2BIG, "too many settings of native dynos");
	if (asprintf(&b->args[b->n_args], "%s%s", option, value) < 0)
		return err_errno(err, -ENOMEM, "settings of native dynos");
	b->n_args++;
	return 0;
}

/* The folder of a dyno's notify socket is bound into its box. It is in the app's own folder, which
 * is the supervisor's; what matters is that he cannot put a link in its place. */
static int allow_notify(const struct options *o, struct boxes *b, struct err *err)
{
	_cleanup_free_ char *real = NULL;
	struct err why;

	if (!o->supervisor_user || !o->app_dir || cli_make_runtime_dir(o, &why) < 0 ||
		check_way("HSUP_RUNTIME_DIR", o->runtime_dir, false, &real, &why) < 0)
		return 0;
	return add(b, OPTION "HSUP_BOX_BINDS=", o->app_dir, err);
}

static int prepare(const struct options *o, const char *program, struct boxes *b, struct err *err)
{
	static struct box_settings s, one;

	if (o->network && setenv("LIBCONTAINER_DYNO_NETWORK", o->network, 1) < 0)
		return err_errno(err, -errno, "LIBCONTAINER_DYNO_NETWORK");
	int r = boxes_settle(o, err);
	if (r < 0)
		return r;
	if (geteuid() != 0)
		r = passer_settle(o->mode == MODE_START, err);
	if (r < 0)
		return r;
	box_settings_init(&s);
	r = box_settings_load(&s, environ, err);
	if (r == 0)
		r = make_folder("HSUP_BOX_STATE", s.state, err);
	if (r == 0)
		r = make_folder("HSUP_BOX_STACKS", s.stacks, err);
	if (r == 0)
		r = make_folder("HSUP_BOX_RUN", s.run, err);
	if (r == 0)
		r = add(b, "--box=", program, err);
	for (char **e = environ; r == 0 && *e; e++) {
		box_settings_init(&one);
		if (box_settings_set(&one, *e, NULL) == 0)
			r = add(b, OPTION, *e, err);
	}
	return r < 0 ? r : allow_notify(o, b, err);
}

/* ---- the machine ---- */

static int set_up(const char *program, const struct boxes *b)
{
	static char name[] = "hsup-box", setup[] = "--setup";
	char *args[2 + ARRAY_SIZE(b->args) + 1];
	size_t n = 0;
	int status;
	pid_t pid;

	args[n++] = name;
	args[n++] = setup;
	for (unsigned i = 1; i < b->n_args; i++)
		args[n++] = b->args[i] + OPTION_N;
	args[n] = NULL;
	int e = posix_spawn(&pid, program, NULL, NULL, args, environ);
	if (e != 0) {
		log_error("%s: %s", program, err_name(e));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (WIFSIGNALED(status))
		log_error("%s --setup ended by SIG%s", program, signal_name(WTERMSIG(status)));
	/* Else it has said itself what is wrong. */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int boxes_prepare(const struct options *o, const char *program, struct boxes *ret_boxes)
{
	struct err err;

	*ret_boxes = (struct boxes){0};
	if (prepare(o, program, ret_boxes, &err) < 0) {
		log_error("%s", err.text);
		return -1;
	}
	/* Who is not root shares nothing with others of the machine. */
	return geteuid() == 0 ? set_up(program, ret_boxes) : 0;
}

void boxes_done(struct boxes *b)
{
	while (b->n_args > 0)
		free(b->args[--b->n_args]);
}
