/* In what two releases differ for one type. */
#include "model/diff.h"

#include <stddef.h>

static bool text_differs(const char *a, const char *b)
{
	return (a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0);
}

static bool words_differ(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	if (n_a != n_b)
		return true;
	for (size_t i = 0; i < n_a; i++)
		if (strcmp(a[i], b[i]) != 0)
			return true;
	return false;
}

struct side {
	const struct release *release;
	const struct process *process;
};

static const char *variable(const struct side *s, const char *name)
{
	const char *own = env_get(&s->process->env, name);

	return own ? own : env_get(&s->release->env, name);
}

static bool misses(const struct side *a, const struct env *names, const struct side *b)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->vars[i].name;

		if (text_differs(variable(a, name), variable(b, name)))
			return true;
	}
	return false;
}

/* What a dyno gets counts, not where it is said. */
static bool env_differs(const struct side *a, const struct side *b)
{
	return misses(a, &a->release->env, b) || misses(a, &a->process->env, b) ||
	       misses(a, &b->release->env, b) || misses(a, &b->process->env, b);
}

static bool args_differ(const struct side *a, const struct side *b)
{
	const struct process *p = a->process, *q = b->process;

	return words_differ(p->args, p->n_args, q->args, q->n_args);
}

static bool slug_differs(const struct side *a, const struct side *b)
{
	return text_differs(a->release->slug, b->release->slug);
}

static bool stack_differs(const struct side *a, const struct side *b)
{
	return text_differs(a->release->stack, b->release->stack);
}

static bool binds_differ(const struct side *a, const struct side *b)
{
	const struct release *r = a->release, *s = b->release;

	if (r->n_binds != s->n_binds)
		return true;
	for (size_t i = 0; i < r->n_binds; i++)
		if (text_differs(r->binds[i].host, s->binds[i].host) ||
			text_differs(r->binds[i].container, s->binds[i].container) ||
			r->binds[i].read_only != s->binds[i].read_only)
			return true;
	return false;
}

static bool exit_codes_differ(const struct side *a, const struct side *b)
{
	const struct process *p = a->process, *q = b->process;

	return p->n_exit_codes != q->n_exit_codes ||
	       memcmp(p->exit_codes, q->exit_codes, p->n_exit_codes * sizeof *p->exit_codes) != 0;
}

static bool limits_differ(const struct side *a, const struct side *b)
{
	const struct process *p = a->process, *q = b->process;

	return p->open_files != q->open_files || p->memory != q->memory || p->disk != q->disk ||
	       p->processes != q->processes || p->cpu > q->cpu || p->cpu < q->cpu;
}

static bool check_differs(const struct check *c, const struct check *d)
{
	return c->kind != d->kind || c->port != d->port || text_differs(c->path, d->path) ||
	       words_differ(c->args, c->n_args, d->args, d->n_args) || c->interval != d->interval ||
	       c->timeout != d->timeout || c->threshold != d->threshold ||
	       c->cooldown != d->cooldown;
}

static bool ready_differs(const struct side *a, const struct side *b)
{
	return check_differs(&a->process->ready, &b->process->ready);
}

static bool healthy_differs(const struct side *a, const struct side *b)
{
	return check_differs(&a->process->healthy, &b->process->healthy);
}

static bool after_differs(const struct side *a, const struct side *b)
{
	const struct process *p = a->process, *q = b->process;

	if (p->n_after != q->n_after)
		return true;
	for (size_t i = 0; i < p->n_after; i++)
		if (strcmp(p->after[i].type, q->after[i].type) != 0 ||
			p->after[i].condition != q->after[i].condition)
			return true;
	return false;
}

static bool log_differs(const struct side *a, const struct side *b)
{
	const struct log_options *l = &a->process->log, *m = &b->process->log;

	return text_differs(l->file, m->file) || l->format != m->format ||
	       l->max_bytes != m->max_bytes || l->max_age != m->max_age || l->keep != m->keep ||
	       l->compress != m->compress || l->mode != m->mode ||
	       text_differs(l->owner, m->owner) || l->ring != m->ring || l->drop != m->drop;
}

static bool rollout_differs(const struct side *a, const struct side *b)
{
	const struct rollout *r = &a->process->rollout, *s = &b->process->rollout;

	return r->strategy != s->strategy || r->surge != s->surge || r->batch != s->batch ||
	       r->timeout != s->timeout || r->settle != s->settle;
}

static bool directory_differs(const struct side *a, const struct side *b)
{
	return text_differs(a->process->directory, b->process->directory);
}

static bool user_differs(const struct side *a, const struct side *b)
{
	return text_differs(a->process->user, b->process->user);
}

struct member {
	const char *name;
	bool (*differs)(const struct side *a, const struct side *b); /* NULL: the bytes do */
	size_t offset, size;
};

#define PLAIN(name, member)                                                                        \
	{                                                                                          \
		name, NULL, offsetof(struct process, member),                                      \
			sizeof((struct process *)NULL)->member                                     \
	}

/* As formation.c has them in the fingerprint. */
static const struct member replacing[] = {
	{.name = "Slug", .differs = slug_differs},
	{.name = "Stack", .differs = stack_differs},
	{.name = "Binds", .differs = binds_differ},
	{.name = "Args", .differs = args_differ},
	{.name = "Env", .differs = env_differs},
	{.name = "Directory", .differs = directory_differs},
	{.name = "User", .differs = user_differs},
	PLAIN("Restart", restart),
	PLAIN("StartSeconds", start_time),
	PLAIN("StartTimeout", start_timeout),
	PLAIN("StartRetries", start_retries),
	{.name = "ExitCodes", .differs = exit_codes_differ},
	PLAIN("StopSignal", stop_signal),
	PLAIN("StopTimeout", stop_timeout),
	{.name = "Limits", .differs = limits_differ},
	PLAIN("Umask", umask),
	PLAIN("RedirectStderr", redirect_stderr),
	PLAIN("Stdin", stdin_open),
};

static const struct member other[] = {
	PLAIN("AutoStart", autostart),
	PLAIN("Priority", priority),
	PLAIN("Essential", essential),
	{.name = "After", .differs = after_differs},
	{.name = "Ready", .differs = ready_differs},
	{.name = "Healthy", .differs = healthy_differs},
	{.name = "Log", .differs = log_differs},
	{.name = "Rollout", .differs = rollout_differs},
};

_Static_assert(ARRAY_SIZE(replacing) + ARRAY_SIZE(other) == DIFF_NAMES, "room for each");

static size_t collect(const struct member *list, size_t n, const struct side *a,
	const struct side *b, const char **ret_names)
{
	const char *p = (const char *)a->process, *q = (const char *)b->process;
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].differs
				? list[i].differs(a, b)
				: memcmp(p + list[i].offset, q + list[i].offset, list[i].size) != 0)
			ret_names[found++] = list[i].name;
	return found;
}

size_t process_diff(const struct release *before, const struct release *now, const char *type,
	const char *ret_names[DIFF_NAMES], size_t *ret_replacing)
{
	const struct side a = {before, release_process(before, type)};
	const struct side b = {now, release_process(now, type)};

	*ret_replacing = 0;
	if (!a.process || !b.process)
		return 0;
	*ret_replacing = collect(replacing, ARRAY_SIZE(replacing), &a, &b, ret_names);
	return *ret_replacing +
	       collect(other, ARRAY_SIZE(other), &a, &b, ret_names + *ret_replacing);
}
