/* Wiring only: the one place that knows every concrete driver and source.
 *
 * The same program has two parts to play. Called by a user it parses the command line and becomes
 * the launcher; called by the launcher (which says so by HSUP_LAUNCHER_FD) it is the supervisor,
 * with the same arguments. */
#include "boxes.h"
#include "cli/cli.h"
#include "config.h"
#include "control/control.h"
#include "drivers/abspath_root.h"
#include "drivers/driver.h"
#include "keep.h"
#include "privileges.h"
#include "source/apps_dir.h"
#include "source/control_dir.h"
#include "stack_order.h"
#include "supervisor/supervisor.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A program of ours: beside this one (a build tree), or where it was installed. */
static int find_program(const char *name, char ret_path[PATH_MAX], bool *ret_beside)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if ((size_t)snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)(slash - self), self,
			    name) < PATH_MAX &&
			access(ret_path, X_OK) == 0) {
			*ret_beside = true;
			return 0;
		}
	}
	*ret_beside = false;
	const char *libexec = getenv("HSUP_LIBEXEC_DIR");
	if ((size_t)snprintf(ret_path, PATH_MAX, "%s/%s",
		    libexec && *libexec ? libexec : HSUP_LIBEXEC_DIR, name) < PATH_MAX &&
		access(ret_path, X_OK) == 0)
		return 0;
	log_error("%s is not installed: looked beside this program and at %s", name, ret_path);
	return -ENOENT;
}

/* This program; when it was replaced on disk meanwhile, the new one. */
static int find_self(char ret_path[PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);

	if (n < 0) {
		log_error("/proc/self/exe: %s", err_name(errno));
		return -errno;
	}
	ret_path[n] = '\0';
	char *tail = ret_path + n - (ssize_t)(sizeof deleted - 1);
	if (tail > ret_path && strcmp(tail, deleted) == 0)
		*tail = '\0';
	return 0;
}

/* What the launcher needs for native dynos; nothing, when there will be none. */
static int prepare_boxes(const struct options *o, struct boxes *ret_boxes)
{
	char program[PATH_MAX];
	bool beside;

	*ret_boxes = (struct boxes){0};
	if (!boxes_wanted(o))
		return 0;
	int r = find_program("hsup-box", program, &beside);
	return r < 0 ? r : boxes_prepare(o, program, ret_boxes);
}

/* A supervisor that is not root could not make the link at /app. If it cannot be made, he says so
 * when a release wants it. */
static void prepare_root(const struct options *o, const struct privileges *p)
{
	struct err err;

	if (driver_find(o->driver) != &driver_abspath || o->mode == MODE_BUILD ||
		p->uid == geteuid())
		return;
	int r = abspath_root_ready("/", o->state_dir, o->control_dir, p->uid, p->gid, &err);
	if (r == -EPERM)
		log_warning("/app: %s", err.text);
	else if (r < 0)
		log_debug("%s", err.text);
}

static int become_launcher(struct options *o, char **words)
{
	char launcher[PATH_MAX], slug[PATH_MAX], self[PATH_MAX];
	struct boxes HSUP_CLEANUP(boxes_done) boxes = {0};
	struct privileges privileges;
	size_t n = 0, at = 0;
	struct keep keep;
	struct err err;
	bool beside;

	if (find_program("hsup-slug", slug, &beside) < 0 ||
		find_program("hsup-launcher", launcher, &beside) < 0 || find_self(self) < 0)
		return EXIT_REFUSED;
	if (privileges_prepare(o, &privileges, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_REFUSED;
	}
	if (prepare_boxes(o, &boxes) < 0)
		return EXIT_REFUSED;
	prepare_root(o, &privileges);
	keep_options(o, privileges.uid, privileges.gid, beside, &keep);
	while (words[n])
		n++;
	const char **args =
		calloc(n + KEEP_ARGS + PRIVILEGES_ARGS + boxes.n_args + 6, sizeof *args);
	if (!args) {
		log_error("out of memory");
		return EXIT_REFUSED;
	}
	args[at++] = launcher;
	for (unsigned i = 0; i < keep.n_args; i++)
		args[at++] = keep.args[i];
	for (unsigned i = 0; i < privileges.n_args; i++)
		args[at++] = privileges.args[i];
	for (unsigned i = 0; i < boxes.n_args; i++)
		args[at++] = boxes.args[i];
	args[at++] = "--";
	args[at++] = self;
	if (privileges.dyno_user) {
		args[at++] = "--dyno-user";
		args[at++] = privileges.dyno_user;
	}
	for (size_t i = 1; i < n; i++)
		args[at++] = words[i];

	char **list;
	memcpy(&list, &args, sizeof list);
	(void)execv(launcher, list);
	log_error("%s: %s", launcher, err_name(errno));
	free(args);
	return EXIT_REFUSED;
}

static int open_control_dir(
	const struct options *o, void **ret_state, bool *ret_holds, struct err *err)
{
	int r = control_dir_open(o->control_dir,
		o->mode == MODE_START ? CONTROL_DIR_HOLD : CONTROL_DIR_TRY, ret_state, err);

	if (r == 0)
		*ret_holds = control_dir_held_by_us(*ret_state);
	return r;
}

/* The program and the words of an app live as long as the source does: until the end. */
static int open_apps_dir(
	const struct options *o, void **ret_state, bool *ret_holds, struct err *err)
{
	static char **command;
	char self[PATH_MAX];

	if (find_self(self) < 0)
		return err_errno(err, -ENOENT, "hsup");
	command = cli_words(o, MODE_START, self);
	if (!command)
		return err_errno(err, -ENOMEM, "command of the apps");
	struct apps_dir_setup setup = {
		.folder = o->apps_dir,
		.config = o->config,
		.runtime_dir = o->runtime_dir,
		.command = command,
		.environment = environ,
	};
	*ret_holds = true;
	return apps_dir_open(&setup, ret_state, err);
}

static int be_supervisor(struct options *o, const char *fd_text)
{
	char slug_helper[PATH_MAX];
	struct err err;
	bool beside;
	unsigned fd;

	if (privileges_enter(o, &err) < 0) {
		log_error("%s", err.text);
		return SUPERVISOR_EXIT_FATAL;
	}
	if (parse_uint(fd_text, INT_MAX, &fd) < 0) {
		log_error(
			"%s=%s: not a descriptor; it is for hsup's own use", WIRE_FD_ENV, fd_text);
		return SUPERVISOR_EXIT_FATAL;
	}
	(void)unsetenv(WIRE_FD_ENV);
	int r = fd_cloexec((int)fd, true);
	if (r < 0) {
		log_error("descriptor %u of the launcher: %s", fd, err_name(r));
		return SUPERVISOR_EXIT_FATAL;
	}
	/* Looked for before anything was started; if it has gone since, the slug that needs it is
	 * refused, and what runs runs on. */
	(void)find_program("hsup-slug", slug_helper, &beside);
	bool up = o->mode == MODE_UP;
	struct supervisor_setup setup = {
		.options = o,
		/* The daemon itself runs plain processes; the driver is for the apps. */
		.driver = driver_find(up ? "simple" : o->driver),
		.source = up ? &apps_dir_ops : &control_dir_ops,
		.open_source = up ? open_apps_dir : open_control_dir,
		.software = "hsup " HSUP_VERSION,
		.slug_helper = slug_helper,
		.control = &control_api,
		.launcher_fd = (int)fd,
	};
	return supervisor_run(&setup);
}

/* The daemon leaves the directory it was started in: its words name places in full. */
static int become_daemon(struct options *o)
{
	int code;

	if (!cli_up(o, &code))
		return code;
	char **words = cli_words(o, MODE_UP, "hsup");
	if (!words) {
		log_error("out of memory");
		return EXIT_REFUSED;
	}
	code = become_launcher(o, words);
	cli_words_free(words);
	return code;
}

static int find_for_gc(const char *name, char *ret_path)
{
	char path[PATH_MAX];
	bool beside;

	int r = find_program(name, path, &beside);
	if (r == 0)
		memcpy(ret_path, path, strlen(path) + 1);
	return r;
}

static int prepare_gc(const struct options *o, struct gc_order *order, struct err *err)
{
	order->find = find_for_gc;
	return boxes_settle(o, err);
}

static void tell_drivers(void)
{
	static struct cli_driver_name names[16];
	size_t n = 0;

	for (const struct driver *d; n < ARRAY_SIZE(names) && (d = driver_at(n)); n++)
		names[n] = (struct cli_driver_name){d->name, d->alias, d->summary, d->gc};
	cli_set_drivers(names, n);
	cli_set_gc(prepare_gc);
}

static int find_slug_helper(char *ret_path)
{
	bool beside;

	return find_program("hsup-slug", ret_path, &beside);
}

int main(int argc, char **argv)
{
	struct options options;
	const struct command *command = NULL;
	const char *launcher = getenv(WIRE_FD_ENV);
	int code = EXIT_OK;

	log_open("hsup", LOG_LEVEL_INFO);
	/* Whoever has started us may ignore it, which is inherited: then nobody could be waited
	 * for. */
	(void)signal(SIGCHLD, SIG_DFL);
	tell_drivers();
	stack_order_set(find_slug_helper);
	cli_set_stack_helper(&stack_helper);
	if (launcher)
		cli_set_supervisor();
	int r = cli_parse(argc, argv, &options, &command, &code);
	if (r != EXIT_OK)
		return r;
	if (command->launches && code == EXIT_OK)
		code = launcher			 ? be_supervisor(&options, launcher)
		       : options.mode == MODE_UP ? become_daemon(&options)
						 : become_launcher(&options, argv);
	cli_options_done(&options);
	return code;
}
