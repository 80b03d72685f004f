#include "model/release.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void strv_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void process_init(struct process *p)
{
	*p = (struct process){
		.quantity = 1,
		.autostart = true,
		.restart = RESTART_ALWAYS,
		.start_time = NSEC_PER_SEC,
		.start_timeout = 60 * NSEC_PER_SEC,
		.start_retries = -1,
		.exit_codes = {0},
		.n_exit_codes = 1,
		.stop_signal = SIGTERM,
		.stop_timeout = 30 * NSEC_PER_SEC,
		.priority = 999,
		.umask = -1,
		.ready = {.interval = NSEC_PER_SEC / 2, .timeout = 5 * NSEC_PER_SEC},
		.healthy = {.interval = 10 * NSEC_PER_SEC,
			.timeout = 5 * NSEC_PER_SEC,
			.threshold = 3},
		.log = {.max_bytes = (uint64_t)50 << 20,
			.keep = 10,
			.mode = 0640,
			.ring = (uint64_t)64 << 10},
		.rollout = {.strategy = ROLLOUT_ROLLING, .timeout = 120 * NSEC_PER_SEC},
	};
}

bool process_is_phase(const struct process *p)
{
	return p->type && strcmp(p->type, "release") == 0;
}

static void check_done(struct check *c)
{
	free(c->path);
	strv_free(c->args);
}

static void process_done(struct process *p)
{
	check_done(&p->ready);
	check_done(&p->healthy);
	for (size_t i = 0; i < p->n_after; i++)
		free(p->after[i].type);
	free(p->after);
	free(p->log.file);
	free(p->log.owner);
	free(p->type);
	strv_free(p->args);
	env_done(&p->env);
	free(p->directory);
	free(p->user);
}

struct release *release_new(void)
{
	struct release *r = calloc(1, sizeof *r);

	if (r)
		r->refs = 1;
	return r;
}

int release_bind(struct release *r, const struct bind_mount *bind)
{
	_cleanup_free_ char *host = strdup(bind->host), *container = strdup(bind->container);
	struct bind_mount *at = r->binds;

	if (!host || !container)
		return -ENOMEM;
	while (at && at < r->binds + r->n_binds && strcmp(at->container, container) != 0)
		at++;
	if (at == r->binds + r->n_binds) {
		struct bind_mount *grown = reallocarray(r->binds, r->n_binds + 1, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		r->binds = grown;
		at = &grown[r->n_binds++];
		*at = (struct bind_mount){0};
	}
	free(at->host);
	free(at->container);
	*at = (struct bind_mount){TAKE_PTR(host), TAKE_PTR(container), bind->read_only};
	return 0;
}

static void release_free(struct release *r)
{
	free(r->name);
	free(r->slug);
	free(r->slug_checksum);
	free(r->stack);
	free(r->logplex_url);
	env_done(&r->env);
	strv_free(r->env_files);
	for (size_t i = 0; i < r->n_binds; i++) {
		free(r->binds[i].host);
		free(r->binds[i].container);
	}
	free(r->binds);
	for (size_t i = 0; i < r->n_processes; i++)
		process_done(&r->processes[i]);
	free(r->processes);
	free(r->slug_digest);
	free(r->slug_path);
	free(r);
}

struct release *release_ref(struct release *r)
{
	r->refs++;
	return r;
}

struct release *release_unref(struct release *r)
{
	if (r && --r->refs == 0)
		release_free(r);
	return NULL;
}

const struct process *release_process(const struct release *r, const char *type)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		if (strcmp(r->processes[i].type, type) == 0)
			return &r->processes[i];
	}
	return NULL;
}

int release_errors_add(struct release_errors *errors, const struct release_error *e)
{
	int r = mem_grow(&errors->list, &errors->cap, errors->n + 1, LIMIT_RELEASE_ERRORS,
		sizeof *errors->list);

	if (r == -E2BIG)
		errors->more = true;
	if (r < 0)
		return r;
	errors->list[errors->n++] = *e;
	return 0;
}

char *release_error_format(const struct release_error *e, char *ret_text, size_t size)
{
	const char *colon = *e->path ? ": " : "";

	if (e->line)
		(void)snprintf(ret_text, size, "%s%sline %u, column %u: %s", e->path, colon,
			e->line, e->column, e->text);
	else
		(void)snprintf(ret_text, size, "%s%s%s", e->path, colon, e->text);
	return ret_text;
}

void release_errors_done(struct release_errors *errors)
{
	free(errors->list);
	*errors = (struct release_errors){0};
}
