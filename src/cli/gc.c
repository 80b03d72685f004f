/* `hsup gc`: what a crash left with an engine, or of containers without one. */
#include "base/log.h"
#include "cli/held.h"
#include "cli/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const enum option_id takes[] = {
	OPT_DRIVER, OPT_KILL, OPT_DRY_RUN, OPT_STATE_DIR, OPT_RUNTIME_DIR, 0};

static bool is_gone(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

static enum gc_owner owner_of(const char *control_dir)
{
	char lock[PATH_MAX];
	pid_t pid;

	if (control_dir_holder(control_dir, &pid))
		return GC_HELD;
	/* Who may not open the lock does not see that it is held. */
	if ((size_t)snprintf(lock, sizeof lock, "%s/.hsup/lock", control_dir) >= sizeof lock ||
		(access(lock, R_OK) < 0 && !is_gone(errno)))
		return GC_HIDDEN;
	if (access(control_dir, F_OK) == 0)
		return GC_FREE;
	return is_gone(errno) ? GC_GONE : GC_HIDDEN;
}

static int (*prepare)(const struct options *o, struct gc_order *order, struct err *err);

void cli_set_gc(int (*how)(const struct options *o, struct gc_order *order, struct err *err))
{
	prepare = how;
}

static void say(const char *line)
{
	(void)puts(line);
	(void)fflush(stdout);
}

static const struct cli_driver_name *find_driver(const char *name)
{
	const struct cli_driver_name *d;

	for (size_t i = 0; (d = driver_name_at(i)); i++)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static int run(struct options *o, int n, char **operands)
{
	struct gc_order order = {.kill = o->kill, .dry = o->dry_run, .owner = owner_of, .say = say};
	const struct cli_driver_name *d = find_driver(o->driver);
	struct err err = {0};

	(void)operands;
	if (n > 0)
		return usage_error(&command_gc, "takes no operands");
	if (!d || !d->gc)
		return usage_error(&command_gc,
			"what driver %s runs leaves nothing behind; say "
			"-d docker or -d native",
			o->driver);
	int r = options_complete_paths(o, NULL, &err);
	if (r >= 0 && prepare)
		r = prepare(o, &order, &err);
	if (r >= 0)
		r = d->gc(&order, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

const struct command command_gc = {
	.name = "gc",
	.operands = "",
	.summary = "remove what a crash left of containers",
	.help = "Containers and images that hsup has made there, and that no hsup of this machine\n"
		"answers for any more. Whose control directory is held, or on another machine, is\n"
		"left alone. What still runs is left too, for the next 'hsup start' to take over,\n"
		"unless --kill is given.\n"
		"\n"
		"Of native dynos, which have no engine: the cgroups and folders of those that "
		"have\n"
		"ended. What still runs is left.\n"
		"\n"
		"Examples:\n"
		"  hsup gc -d docker\n"
		"  hsup gc -d docker --dry-run --kill\n"
		"  hsup gc -d native\n",
	.options = takes,
	.run = run,
};
