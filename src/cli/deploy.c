/* `hsup deploy`: a release to an app of the daemon. */
#include "base/clock.h"
#include "base/fd.h"
#include "cli/daemon.h"
#include "cli/deploy_wait.h"
#include "cli/private.h"
#include "cli/proc.h"
#include "cli/submit.h"
#include "model/validate.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 300 /* seconds, unless told otherwise: a slug may have to be fetched */

static const enum option_id takes[] = {OPT_APP, OPT_NO_START, OPT_NO_WAIT, OPT_TIMEOUT, OPT_DIR,
	OPT_CONFIG, OPT_STATE_DIR, OPT_RUNTIME_DIR, 0};

static int choose_app(const struct options *o, const struct release *r, const char **ret_app)
{
	const char *app = o->app ? o->app : r->name;

	if (!app)
		return usage_error(&command_deploy,
			"the release has no Name: say which app it is for with -a NAME");
	const char *wrong = rule_type(app);
	if (wrong)
		return usage_error(&command_deploy, "the name of an app %s, not '%s'%s", wrong, app,
			o->app ? "" : ": give another with -a NAME");
	*ret_app = app;
	return EXIT_OK;
}

/* `hsup up`, with the places that we were told. */
static int start_daemon(const struct options *o)
{
	static const enum option_id ids[] = {OPT_DIR, OPT_CONFIG, OPT_STATE_DIR, OPT_RUNTIME_DIR};
	const char *const paths[] = {o->apps_dir, o->config, o->state_dir, o->runtime_dir};
	char *words[ARRAY_SIZE(ids) + 3] = {strdup("hsup"), strdup("up")};
	int status = -1;
	bool whole = words[0] && words[1];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (asprintf(&words[i + 2], "--%s=%s", option_by_id(ids[i])->name, paths[i]) < 0) {
			words[i + 2] = NULL;
			whole = false;
		}
	(void)fflush(NULL);
	pid_t pid = whole ? fork() : -1;
	if (pid == 0) {
		(void)execv("/proc/self/exe", words);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		free(words[i]);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EXIT_OK;
	return command_error(
		&command_deploy, "the daemon could not be started; nothing was submitted");
}

/* The daemon that will take it, pid 0 = none. */
static int find_daemon(const struct options *o, const char *told_dir, struct daemon *d)
{
	struct err err;
	int r = daemon_find(o, d, &err);

	if (r == 0 && !o->no_start) {
		int code = start_daemon(o);
		if (code != EXIT_OK)
			return code;
		r = daemon_find(o, d, &err);
	}
	if (r < 0)
		return command_error(&command_deploy, "%s", err.text);
	if (r == 0) {
		*d = (struct daemon){0};
		(void)snprintf(d->apps_dir, sizeof d->apps_dir, "%s", o->apps_dir);
	} else if (told_dir && strcmp(d->apps_dir, told_dir) != 0) {
		return command_error(&command_deploy,
			"the daemon that runs (pid %d) looks after %s, not %s", (int)d->pid,
			d->apps_dir, told_dir);
	}
	return EXIT_OK;
}

/* One line each, as of `check`; those of the directory name the place in the document themselves.
 */
static int say_rejected(struct submit *s, const char *file)
{
	_cleanup_free_ char *reason = submit_reason(s);
	char *rest = NULL;

	for (char *line = reason ? strtok_r(reason, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest))
		(void)printf("%s: %s\n", file, line);
	return command_error(&command_deploy, "%s: rejected", file);
}

static int wait_loaded(const struct options *o, struct submit *s, const struct daemon *d,
	const char *file, const char *app)
{
	unsigned seconds = o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : o->timeout;
	uint64_t end = seconds ? clock_now() + seconds * NSEC_PER_SEC : UINT64_MAX;
	_cleanup_close_ int daemon = proc_hold(d->pid, d->start);

	for (uint64_t now; (now = clock_now()) < end;) {
		bool gone = daemon < 0 || proc_wait(daemon, 0);
		uint64_t left = (end - now) / NSEC_PER_MSEC + 1;

		switch (submit_look(s)) {
		case SUBMIT_LOADED:
			(void)printf("%s: loaded\n", app);
			return EXIT_OK;
		case SUBMIT_REJECTED:
			return say_rejected(s, file);
		case SUBMIT_WAITS:
			break;
		}
		if (gone)
			return command_error(&command_deploy,
				"the daemon (pid %d) has ended; %s waits for the next one",
				(int)d->pid, file);
		submit_wait(s, daemon, left > 60000 ? 60000 : (int)left);
	}
	return command_error(&command_deploy,
		"%s is neither loaded nor rejected after %u s; it may still be%s%s", app, seconds,
		d->log[0] ? ": the log is " : "", d->log);
}

static int wait_result(struct options *o, struct submit *s, const struct daemon *d,
	const char *file, const char *app, uint64_t begin)
{
	char dir[PATH_MAX + 80];
	uint64_t before = clock_now();
	int code = wait_loaded(o, s, d, file, app);

	if (code != EXIT_OK || o->ask.no_wait)
		return code;
	unsigned seconds = o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : o->timeout;
	uint64_t gone = (clock_now() - before) / NSEC_PER_SEC;
	if (seconds > 0)
		seconds = gone < seconds ? seconds - (unsigned)gone : 1;
	(void)snprintf(dir, sizeof dir, "%s/%s", d->apps_dir, app);
	return deploy_wait(o, dir, app, begin, seconds);
}

static int deploy(struct options *o, const char *told_dir, const char *file)
{
	HSUP_CLEANUP(release_unrefp) struct release *release = NULL;
	_cleanup_free_ char *text = NULL;
	uint64_t begin = clock_wall();
	struct daemon d;
	struct submit s;
	struct err err;
	const char *app = NULL;
	size_t len;

	if (load_text(&command_deploy, file, &text, &len) < 0)
		return EXIT_REFUSED;
	release = parse_release(&command_deploy, file, text, len);
	if (!release)
		return EXIT_REFUSED;
	int code = choose_app(o, release, &app);
	if (code == EXIT_OK)
		code = find_daemon(o, told_dir, &d);
	if (code != EXIT_OK)
		return code;

	int r = d.pid ? 0 : path_make(d.apps_dir, 0700, &err);
	if (r < 0)
		return command_error(&command_deploy, "%s", err.text);
	r = submit_begin(&s, d.apps_dir, app, text, len, &err);
	if (r < 0)
		code = command_error(&command_deploy, "%s", err.text);
	else if (d.pid)
		code = wait_result(o, &s, &d, file, app, begin);
	else
		(void)printf("%s: submitted; no daemon runs, the next one takes it\n", app);
	submit_done(&s);
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	_cleanup_free_ char *told_dir = NULL;
	struct err err;

	if (n_operands != 1)
		return usage_error(&command_deploy, "takes one FILE");
	if (o->apps_dir && !(told_dir = strdup(o->apps_dir)))
		return command_error(&command_deploy, "out of memory");
	int r = options_complete_paths(o, NULL, &err);
	if (r < 0)
		return options_error(&command_deploy, r, &err);
	return deploy(o, told_dir, operands[0]);
}

const struct command command_deploy = {
	.name = "deploy",
	.operands = "FILE",
	.summary = "submit a release to an app of the daemon",
	.help = "Submits the release in FILE (- is standard input) and waits until it is loaded, "
		"or\n"
		"rejected, and then prints why and exits with 1; and then until it runs, or was\n"
		"rolled back, unless --no-wait is given. The app is the one of -a, else "
		"the\n"
		"release's Name; one that is new gets its control directory. When no daemon runs "
		"it\n"
		"is started first, unless --no-start is given.\n"
		"\n"
		"Examples:\n"
		"  hsup deploy release.json\n"
		"  hsup deploy -a shop release.json\n"
		"  make-release | hsup deploy -a shop -\n",
	.options = takes,
	.run = run,
};
