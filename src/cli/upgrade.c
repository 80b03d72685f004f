/* `hsup upgrade`: launchers replace themselves in place. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "cli/daemon.h"
#include "cli/private.h"
#include "cli/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define LAUNCHER     "hsup-launcher"
#define PATIENCE     10 /* seconds, unless told otherwise */
#define LOOK_EVERY   20 /* ms: nothing tells when a process has become another program */
#define CHILDREN_MAX 8192

static const enum option_id takes[] = {
	OPT_CONTROL_DIR, OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, 0};

/* What its --resume says changes with every replacement. */
static bool has_changed(pid_t pid, const char *before)
{
	_cleanup_free_ char *now = proc_option(pid, "resume");

	return now && (!before || strcmp(now, before) != 0);
}

/* name: whose launcher it is. pidfd: of the launcher. */
static int upgrade(const struct options *o, pid_t pid, int pidfd, const char *name)
{
	unsigned seconds = o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : o->timeout;
	uint64_t end = seconds ? clock_now() + seconds * NSEC_PER_SEC : UINT64_MAX;
	_cleanup_free_ char *before = proc_option(pid, "resume");

	int r = proc_signal(pidfd, SIGUSR2);
	if (r < 0)
		return command_error(
			&command_upgrade, "%s: pid %d: %s", name, (int)pid, err_name(r));
	do {
		if (proc_wait(pidfd, LOOK_EVERY))
			return command_error(&command_upgrade,
				"%s: the launcher (pid %d) has ended", name, (int)pid);
		if (has_changed(pid, before)) {
			(void)printf("%s: the launcher (pid %d) was replaced in place\n", name,
				(int)pid);
			(void)fflush(stdout);
			return EXIT_OK;
		}
	} while (clock_now() < end);
	return command_error(&command_upgrade,
		"%s: the launcher (pid %d) runs on as it was: it refused, and its log says why",
		name, (int)pid);
}

/* The launcher whose supervisor holds the control directory. A pidfd, or negative errno. */
static int find_launcher(const char *control_dir, pid_t *ret_pid, struct err *err)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	struct proc supervisor, launcher;
	size_t len;
	unsigned pid;

	(void)snprintf(path, sizeof path, "%s/.hsup/lock", control_dir);
	_cleanup_close_ int lock = open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (lock < 0 && errno != ENOENT)
		return err_errno(err, -errno, "%.300s", path);
	if (lock < 0 || flock(lock, LOCK_SH | LOCK_NB) == 0)
		return err_set(err, -ESRCH, "no hsup holds control directory %.300s", control_dir);
	int r = file_read_fd(lock, 64, &text, &len);
	if (r < 0)
		return err_errno(err, r, "%.300s", path);
	text[strcspn(text, "\n")] = '\0';
	if (parse_uint(text, INT_MAX, &pid) < 0 || proc_look((pid_t)pid, &supervisor) < 0 ||
		proc_look(supervisor.parent, &launcher) < 0)
		return err_set(err, -ESRCH, "the holder of %.300s is gone; try again", control_dir);
	/* Looked at after it was taken hold of. */
	int pidfd = proc_hold(supervisor.parent, launcher.start);
	if (pidfd < 0 || !proc_is_program(supervisor.parent, LAUNCHER)) {
		fd_close(pidfd);
		return err_set(err, -ESRCH, "pid %u, which holds %.300s, has no " LAUNCHER, pid,
			control_dir);
	}
	*ret_pid = supervisor.parent;
	return pidfd;
}

static int upgrade_app(const struct options *o)
{
	struct err err;
	pid_t pid = 0;
	_cleanup_close_ int pidfd = find_launcher(o->control_dir, &pid, &err);

	if (pidfd < 0)
		return command_error(&command_upgrade, "%s", err.text);
	return upgrade(o, pid, pidfd, o->control_dir);
}

static int upgrade_child(const struct options *o, pid_t daemon, pid_t pid)
{
	_cleanup_free_ char *app = proc_option(pid, "log-app");
	struct proc p;

	if (!proc_is_program(pid, LAUNCHER) || proc_look(pid, &p) < 0 || p.parent != daemon)
		return EXIT_OK;
	_cleanup_close_ int pidfd = proc_hold(pid, p.start);
	return pidfd < 0 ? EXIT_OK : upgrade(o, pid, pidfd, app ? app : "an app");
}

static int upgrade_daemon(const struct options *o)
{
	struct daemon d;
	struct err err;
	int r = daemon_find(o, &d, &err);

	if (r < 0)
		return command_error(&command_upgrade, "%s", err.text);
	_cleanup_close_ int pidfd = r > 0 ? proc_hold(d.pid, d.start) : -1;
	if (pidfd < 0)
		return command_error(&command_upgrade,
			"no daemon runs (%s); for an app of its own give its control directory "
			"with -C",
			o->runtime_dir);
	int code = upgrade(o, d.pid, pidfd, "the daemon");

	_cleanup_free_ pid_t *children = calloc(CHILDREN_MAX, sizeof *children);
	size_t n = children ? proc_children(d.pid, children, CHILDREN_MAX) : 0;
	for (size_t i = 0; i < n; i++)
		if (upgrade_child(o, d.pid, children[i]) != EXIT_OK)
			code = EXIT_REFUSED;
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct err err;

	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_upgrade, "takes no operands");
	if (o->control_dir)
		return upgrade_app(o);
	int r = options_complete_paths(o, NULL, &err);
	return r < 0 ? options_error(&command_upgrade, r, &err) : upgrade_daemon(o);
}

const struct command command_upgrade = {
	.name = "upgrade",
	.operands = "",
	.summary = "run what is installed now, without stopping anything",
	.help = "Tells the daemon's launcher, and then those of its apps, to replace themselves "
		"and\n"
		"their supervisors by what is installed now; with -C the one of that control\n"
		"directory. No dyno notices. A launcher that cannot read what the other leaves it\n"
		"refuses and runs on; then the exit code is 1.\n"
		"\n"
		"Examples:\n"
		"  hsup upgrade\n"
		"  hsup upgrade -C /srv/shop\n",
	.options = takes,
	.run = run,
};
