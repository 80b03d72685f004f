/* `hsup down`: the daemon's end, in order, or by force when told. */
#include "base/clock.h"
#include "base/fd.h"
#include "cli/daemon.h"
#include "cli/private.h"
#include "cli/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PATIENCE   120 /* seconds, unless told otherwise */
#define ANSWER_MS  500
#define HURRY	   10 /* seconds that a daemon told twice has */
#define SAY_FIRST  1000
#define SAY_EVERY  5000 /* ms */
#define APPS_SHOWN 5
#define APPS_MAX   1024

static const enum option_id takes[] = {OPT_TIMEOUT, OPT_KILL, OPT_RUNTIME_DIR, OPT_STATE_DIR, 0};

/* The apps that are still there, by what their launchers were told to call them. */
static void say_waiting(const struct daemon *d, double seconds)
{
	pid_t *children = calloc(APPS_MAX, sizeof *children);
	char names[APPS_SHOWN * (LIMIT_TYPE_NAME + 1) + 1] = "";
	size_t n = children ? proc_children(d->pid, children, APPS_MAX) : 0, named = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *app = proc_option(children[i], "log-app");

		if (!app)
			continue;
		if (named++ < APPS_SHOWN)
			at += (size_t)snprintf(
				names + at, sizeof names - at, "%s%.63s", at ? " " : "", app);
	}
	free(children);
	if (named > APPS_SHOWN)
		(void)printf("waiting for %s and %zu more to stop (%.0f s)\n", names,
			named - APPS_SHOWN, seconds);
	else
		(void)printf(
			"waiting for %s to stop (%.0f s)\n", named ? names : "the daemon", seconds);
	(void)fflush(stdout);
}

/* True when it has ended within so many seconds (0: for ever). */
static bool wait_end(const struct daemon *d, int pidfd, unsigned seconds)
{
	uint64_t begun = clock_now(), end = begun + seconds * NSEC_PER_SEC, now = begun;
	uint64_t say = begun + SAY_FIRST * NSEC_PER_MSEC;

	while (!seconds || now < end) {
		uint64_t until = seconds && end < say ? end : say;

		if (proc_wait(pidfd, (int)((until - now) / NSEC_PER_MSEC) + 1))
			return true;
		now = clock_now();
		if (now >= say) {
			say_waiting(d, (double)(now - begun) / NSEC_PER_SEC);
			say = now + SAY_EVERY * NSEC_PER_MSEC;
		}
	}
	return false;
}

static int escalate(const struct daemon *d, int pidfd)
{
	(void)printf("killing the dynos\n");
	(void)fflush(stdout);
	int r = proc_signal(pidfd, SIGTERM);
	if (r == 0 && wait_end(d, pidfd, HURRY))
		return EXIT_OK;
	(void)printf("killing the daemon and all below it\n");
	(void)fflush(stdout);
	proc_kill_tree(d->pid, 0);
	if (proc_wait(pidfd, HURRY * 1000))
		return EXIT_OK;
	return command_error(&command_down, "pid %d cannot be killed", (int)d->pid);
}

/* Told a second time it would kill. */
static bool is_stopping(const struct options *o, const struct daemon *d)
{
	char said[200];

	return daemon_ask(o, d, ANSWER_MS, said, sizeof said) == 0 &&
	       strncmp(said, "stopping", 8) == 0;
}

static int stop(const struct options *o, const struct daemon *d, int pidfd)
{
	unsigned seconds = o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : o->timeout;
	int r = is_stopping(o, d) ? 0 : proc_signal(pidfd, SIGTERM);
	int code = EXIT_OK;

	if (r < 0)
		return command_error(&command_down, "pid %d: %s", (int)d->pid, err_name(r));
	if (!wait_end(d, pidfd, seconds)) {
		if (!o->kill)
			return command_error(&command_down,
				"the daemon (pid %d) still runs after %u s: 'hsup down --kill' "
				"kills "
				"what does not end",
				(int)d->pid, seconds);
		code = escalate(d, pidfd);
	}
	if (code == EXIT_OK)
		(void)printf("the daemon (pid %d) has stopped\n", (int)d->pid);
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct daemon d;
	struct err err;

	(void)operands;
	if (n_operands > 0)
		return usage_error(&command_down, "takes no operands");
	int r = options_complete_paths(o, NULL, &err);
	if (r < 0)
		return options_error(&command_down, r, &err);
	r = daemon_find(o, &d, &err);
	if (r < 0)
		return command_error(&command_down, "%s", err.text);
	if (r == 0) {
		(void)printf("no daemon runs (%s)\n", o->runtime_dir);
		return EXIT_OK;
	}
	_cleanup_close_ int pidfd = proc_hold(d.pid, d.start);
	if (pidfd < 0)
		return command_error(&command_down,
			"a daemon holds %s, but its launcher is dead: 'hsup up --force' takes over",
			o->runtime_dir);
	return stop(o, &d, pidfd);
}

const struct command command_down = {
	.name = "down",
	.operands = "",
	.summary = "stop the daemon and its apps in order",
	.help = "Tells the daemon to stop every app, and waits until all is over: two minutes, or "
		"as\n"
		"--timeout says. With --kill what has not ended by then is killed: first the "
		"dynos,\n"
		"then, if that does not help, everything. Success too when no daemon runs.\n"
		"\n"
		"Examples:\n"
		"  hsup down\n"
		"  hsup down --timeout 30 --kill\n",
	.options = takes,
	.run = run,
};
