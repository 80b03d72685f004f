/* `hsup gc`: what a crash left with an engine. */
#include "base/log.h"
#include "cli/held.h"
#include "cli/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const enum option_id takes[] = {OPT_DRIVER, OPT_KILL, OPT_DRY_RUN, 0};

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
	const struct gc_order order = {
		.kill = o->kill, .dry = o->dry_run, .owner = owner_of, .say = say};
	const struct cli_driver_name *d = find_driver(o->driver);
	struct err err = {0};

	(void)operands;
	if (n > 0)
		return usage_error(&command_gc, "takes no operands");
	if (!d || !d->gc)
		return usage_error(&command_gc,
			"what driver %s runs leaves nothing behind; say "
			"-d docker",
			o->driver);
	if (d->gc(&order, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

const struct command command_gc = {
	.name = "gc",
	.operands = "",
	.summary = "remove what a crash left with a container engine",
	.help = "Containers and images that hsup has made there, and that no hsup of this machine\n"
		"answers for any more. Whose control directory is held, or on another machine, is\n"
		"left alone. What still runs is left too, for the next 'hsup start' to take over,\n"
		"unless --kill is given.\n"
		"\n"
		"Examples:\n"
		"  hsup gc -d docker\n"
		"  hsup gc -d docker --dry-run --kill\n",
	.options = takes,
	.run = run,
};
