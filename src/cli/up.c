/* `hsup up`: the daemon's beginning. What it does then is MODE_UP of the supervisor. */
#include "base/fd.h"
#include "base/file.h"
#include "base/way.h"
#include "cli/daemon.h"
#include "cli/daemonise.h"
#include "cli/private.h"
#include "model/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MS 5000 /* a daemon that says nothing for so long is taken for hung */

static const enum option_id takes[] = {OPT_DIR, OPT_CONFIG, OPT_FOREGROUND, OPT_FORCE, OPT_TIMEOUT,
	OPT_LOG, OPT_USER, OPT_DYNO_USER, OPT_DYNO_IDS, OPT_ALLOW_ROOT_DYNOS, OPT_DRIVER, OPT_BIND,
	OPT_STATE_DIR, OPT_RUNTIME_DIR, OPT_WATCHDOG, OPT_WARM, OPT_NETWORK, OPT_CONTROL_SOCKET,
	OPT_LISTEN, OPT_TOKEN_FILE, OPT_OPERATE_UID, OPT_OPERATE_GID, OPT_WATCH_UID, OPT_WATCH_GID,
	OPT_SOCKET_MODE, OPT_SOCKET_OWNER, OPT_COLOR, OPT_VERBOSE, 0};

static int run(struct options *o, int n_operands, char **operands)
{
	(void)o;
	(void)operands;
	return n_operands > 0 ? usage_error(&command_up, "takes no operands") : EXIT_OK;
}

const struct command command_up = {
	.name = "up",
	.operands = "",
	.summary = "start the daemon, which runs every app of a folder",
	.help = "Runs `hsup start` for each control directory in the folder, and for those that "
		"come\n"
		"later, in the background. Returns when it is ready, or says why it is not. When "
		"one\n"
		"runs already it says since when, and exits with 0 if it is well; with --force it\n"
		"takes over from one that is not, and no dyno notices.\n"
		"\n"
		"Examples:\n"
		"  hsup up\n"
		"  hsup up --dir /srv/apps --log syslog\n"
		"  hsup up --foreground          # under systemd or in a container\n",
	.options = takes,
	.launches = true,
	.mode = MODE_UP,
	.run = run,
};

/* ---- what must be there ---- */

static int check_config(const struct options *o)
{
	struct release_errors HSUP_CLEANUP(release_errors_done) errors = {0};
	struct config HSUP_CLEANUP(config_done) config = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;

	int r = file_read(AT_FDCWD, o->config, LIMIT_CONFIG_BYTES, &text, &len);
	if (r == -ENOENT)
		return EXIT_OK;
	if (r == 0)
		r = config_parse(text, len, &config, &errors);
	for (size_t i = 0; i < errors.n; i++)
		(void)command_error(&command_up, "%s:%u:%u: %s%s%s", o->config, errors.list[i].line,
			errors.list[i].column, errors.list[i].path,
			errors.list[i].path[0] ? ": " : "", errors.list[i].text);
	if (r < 0 && errors.n == 0)
		(void)command_error(&command_up, "%s: %s", o->config, err_name(r));
	return r < 0 ? EXIT_REFUSED : EXIT_OK;
}

/* Where hsup itself makes a folder for each app, which would be taken for another app, and so on.
 */
static bool is_own_folder(const struct options *o)
{
	size_t len = strlen(o->state_dir);

	return strncmp(o->apps_dir, o->state_dir, len) == 0 &&
	       (!o->apps_dir[len] || strcmp(o->apps_dir + len, "/apps") == 0);
}

static int make_folders(const struct options *o)
{
	struct err err;
	/* Of root it holds slugs that dynos of other users read. */
	int r = path_make(o->state_dir, geteuid() == 0 ? 0755 : 0700, &err);

	if (r == 0 && access(o->state_dir, W_OK) < 0)
		r = err_errno(&err, -errno, "state directory %.300s", o->state_dir);
	if (r == 0)
		r = cli_make_runtime_dir(o, &err);
	if (r == 0)
		r = path_make(o->apps_dir, 0700, &err);
	if (r == 0 && is_own_folder(o))
		r = err_set(&err, -EINVAL,
			"%.300s cannot be the folder of the apps: what hsup unpacks is there",
			o->apps_dir);
	return r < 0 ? command_error(&command_up, "%s", err.text) : EXIT_OK;
}

static bool is_default_log(const struct options *o)
{
	_cleanup_free_ char *path = NULL;
	const char *why;

	return path_default(PATH_LOG, true, o->state_dir, &path, &why) == 0 &&
	       strcmp(path, o->log_file) == 0;
}

/* Of root, in the state directory, which a `start --user` makes the account's: who owns it could
 * give the name to any file. */
static int open_default_log(const struct options *o, int flags, struct err *err)
{
	const char *name = strrchr(o->log_file, '/') + 1;
	struct way HSUP_CLEANUP(way_done) way;
	struct stat st;

	int r = way_open(&way, o->state_dir, false, err);
	if (r < 0)
		return r;
	if (fstat(way.fd, &st) < 0)
		return err_errno(err, -errno, "%.300s", o->state_dir);
	bool others = !way.safe || (st.st_mode & 022);
	_cleanup_close_ int fd =
		openat(way.fd, name, flags | (others ? O_NOFOLLOW | O_NONBLOCK : 0), 0640);
	if (fd < 0 && !(others && (errno == ELOOP || errno == ENXIO)))
		return err_errno(err, -errno, "%.300s", o->log_file);
	if (others && (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1))
		return err_set(err, -EPERM,
			"%.300s is no file of that name alone, in a directory that others can "
			"change: remove it, or name another with --log",
			o->log_file);
	return TAKE_FD(fd);
}

static int open_log(const struct options *o, int *ret_log)
{
	/* In the background the launcher's own words need a place, also beside the system's log. */
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
	struct err err;
	int fd;

	/* What the operator names is his own choice. */
	if (geteuid() == 0 && is_default_log(o)) {
		fd = open_default_log(o, flags, &err);
	} else {
		fd = open(o->log_file, flags, 0640);
		if (fd < 0)
			fd = err_errno(&err, -errno, "%.300s", o->log_file);
	}
	if (fd < 0)
		return command_error(&command_up, "log %s", err.text);
	*ret_log = fd;
	return EXIT_OK;
}

/* ---- one that runs already ---- */

static int judge(const struct options *o, const struct daemon *d)
{
	int patience = o->timeout == OPTIONS_NO_TIMEOUT ? ANSWER_MS : (int)o->timeout * 1000;
	char said[200];

	if (daemon_ask(o, d, patience, said, sizeof said) < 0)
		return command_error(&command_up,
			"a daemon holds %s, pid %d since %s, but %s; 'hsup up --force' takes over, "
			"and its apps run on",
			o->runtime_dir, (int)d->pid, d->since, said);
	if (strcmp(d->apps_dir, o->apps_dir) != 0)
		return command_error(&command_up,
			"the daemon that runs (pid %d since %s) looks after %s, not %s: give "
			"another "
			"one a --runtime-dir of its own",
			(int)d->pid, d->since, d->apps_dir, o->apps_dir);
	(void)printf("the daemon runs already: pid %d since %s, hsup %s, %s in %s\n", (int)d->pid,
		d->since, d->version, said, d->apps_dir);
	return EXIT_OK;
}

/* True: go on with *ret_lock. */
static bool get_lock(const struct options *o, int *ret_lock, int *ret_code)
{
	struct daemon d;
	struct err err;
	char said[200];
	int patience = o->timeout == OPTIONS_NO_TIMEOUT ? ANSWER_MS : (int)o->timeout * 1000;

	int r = daemon_lock(o, ret_lock, &d, &err);
	if (r == 0 && o->force && daemon_ask(o, &d, patience, said, sizeof said) < 0) {
		(void)printf("taking over from pid %d, which has run since %s: %s\n", (int)d.pid,
			d.since, said);
		r = daemon_take_over(o, ret_lock, &err);
	}
	if (r < 0)
		*ret_code = command_error(&command_up, "%s", err.text);
	if (r == 0)
		*ret_code = judge(o, &d);
	return r > 0;
}

bool cli_up(const struct options *o, int *ret_code)
{
	_cleanup_close_ int lock = -1, log = -1;
	struct err err;

	*ret_code = make_folders(o);
	if (*ret_code == EXIT_OK && !get_lock(o, &lock, ret_code))
		return false;
	if (*ret_code == EXIT_OK)
		*ret_code = check_config(o);
	if (*ret_code == EXIT_OK && o->log_file)
		*ret_code = open_log(o, &log);
	if (*ret_code != EXIT_OK)
		return false;
	if (!o->foreground && !daemonise(o, log, ret_code))
		return false;

	int r = daemon_sign(o, lock, &err);
	if (r == 0 && (dup2(lock, STDIN_FILENO) < 0 ||
			      (log >= 0 && (dup2(log, STDOUT_FILENO) < 0 ||
						   dup2(log, STDERR_FILENO) < 0))))
		r = err_errno(&err, -errno, "standard input and output");
	if (r < 0)
		*ret_code = command_error(&command_up, "%s", err.text);
	return r == 0;
}
