#include "source/apps_private.h"

#include "base/clock.h"

#include <stdio.h>

/* The daemon's own dealings with who started it: an app must not speak in its name. */
static bool is_private(const char *variable)
{
	static const char *const names[] = {"NOTIFY_SOCKET=", "WATCHDOG_PID=", "WATCHDOG_USEC=",
		"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "JOURNAL_STREAM=", "MAINPID=",
		"HSUP_CONTROL_DIR=", "PWD=", "OLDPWD=", "PORT=", "DYNO="};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int add_environment(struct release *r, char *const *environment)
{
	for (size_t i = 0; environment[i]; i++) {
		const char *equals = strchr(environment[i], '=');

		if (!equals || equals == environment[i] || is_private(environment[i]))
			continue;
		_cleanup_free_ char *name =
			strndup(environment[i], (size_t)(equals - environment[i]));
		int e = name ? env_set(&r->env, name, equals + 1) : -1;
		if (e < 0)
			return e;
	}
	return 0;
}

static int add_args(struct process *p, const struct apps_dir *a, const char *app)
{
	char *const *command = a->setup.command;
	size_t n = 0;

	while (command[n])
		n++;
	p->args = calloc(n + 5, sizeof *p->args);
	if (!p->args)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!(p->args[p->n_args++] = strdup(command[i])))
			return -1;
	if (!(p->args[p->n_args++] = strdup("-C")))
		return -1;
	if (asprintf(&p->args[p->n_args], "%s/%s", a->setup.folder, app) < 0) {
		p->args[p->n_args] = NULL;
		return -1;
	}
	p->n_args++;
	if (!(p->args[p->n_args++] = strdup("--log-app")) || !(p->args[p->n_args++] = strdup(app)))
		return -1;
	return 0;
}

static int add_app(struct release *r, const struct apps_dir *a, const char *app)
{
	struct process *p = &r->processes[r->n_processes++];

	process_init(p);
	/* `hsup start` runs as soon as it was started, and ends every dyno of its own in its time:
	 * cut short, it would leave them without anybody. */
	p->start_time = 0;
	p->stop_timeout = 365 * 86400 * NSEC_PER_SEC;
	p->rollout.timeout = 0;
	p->type = strdup(app);
	return p->type ? add_args(p, a, app) : -1;
}

struct release *apps_release(struct apps_dir *a)
{
	HSUP_CLEANUP(release_unrefp) struct release *r = release_new();

	if (!r)
		return NULL;
	r->version = ++a->version;
	r->name = strdup("hsup");
	r->processes = calloc(a->apps.n + 1, sizeof *r->processes);
	if (!r->name || !r->processes || add_environment(r, a->setup.environment) < 0)
		return NULL;
	for (size_t i = 0; i < a->apps.n; i++)
		if (a->apps.list[i].launched && add_app(r, a, a->apps.list[i].name) < 0)
			return NULL;
	return TAKE_PTR(r);
}

bool apps_release_same(const struct release *a, const struct release *b)
{
	if (a->n_processes != b->n_processes)
		return false;
	for (size_t i = 0; i < a->n_processes; i++)
		if (strcmp(a->processes[i].type, b->processes[i].type) != 0)
			return false;
	return true;
}
