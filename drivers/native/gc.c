/* `hsup gc -d native`: hsup-box looks for what nobody owns, whosoever's it was. Who is alive is
 * known by locks, so that no control directory need be asked. */
#include "drivers/native/private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXED_WORDS 4 /* and before the settings */

/* hsup-box --sweep [--dry-run] NAME=VALUE...: those of our environment that are settings. */
static int compose(const struct gc_order *order, char *box,
	char *words[FIXED_WORDS + BOX_SETTINGS + 1], struct err *err)
{
	static char sweep[] = "--sweep", dry[] = "--dry-run";
	struct box_settings settings;
	size_t n = 0;

	box_settings_init(&settings);
	int r = box_settings_load(&settings, environ, err);
	if (r < 0)
		return r;
	words[n++] = box;
	words[n++] = sweep;
	if (order->dry)
		words[n++] = dry;
	for (char **e = environ; *e && n < FIXED_WORDS + BOX_SETTINGS; e++)
		if (box_settings_set(&settings, *e, NULL) == 0)
			words[n++] = *e;
	words[n] = NULL;
	return 0;
}

/* Its lines are what it has removed, one each. */
static int run(char *const *words, int *ret_out, pid_t *ret_pid, struct err *err)
{
	posix_spawn_file_actions_t actions;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "pipe");
	int e = posix_spawn_file_actions_init(&actions);
	if (e == 0) {
		e = posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
		if (e == 0)
			e = posix_spawn(ret_pid, words[0], &actions, NULL, words, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	(void)close(fds[1]);
	if (e) {
		(void)close(fds[0]);
		return err_errno(err, -e, "%s", words[0]);
	}
	*ret_out = fds[0];
	return 0;
}

static unsigned say_lines(const struct gc_order *order, FILE *from)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	unsigned n = 0;

	for (ssize_t len; (len = getline(&line, &size, from)) > 0; n++) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		order->say(line);
	}
	return n;
}

int native_gc(const struct gc_order *order, struct err *err)
{
	char box[PATH_MAX], *words[FIXED_WORDS + BOX_SETTINGS + 1];
	pid_t pid = -1;
	int out = -1, status;

	if (order->kill)
		return err_set(err, -EOPNOTSUPP,
			"--kill: native dynos that run have an init of their own, which ends them "
			"when it is told to; 'hsup start' takes them over");
	int r = order->find ? order->find("hsup-box", box) : -ENOENT;
	if (r < 0)
		return err_errno(err, r, "hsup-box");
	r = compose(order, box, words, err);
	if (r == 0)
		r = run(words, &out, &pid, err);
	if (r < 0)
		return r;
	FILE *from = fdopen(out, "re");
	unsigned n = from ? say_lines(order, from) : 0;
	(void)(from ? fclose(from) : close(out));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, -EIO, "hsup-box did not remove all of it");
	if (n == 0)
		order->say("nothing to remove");
	return 0;
}
