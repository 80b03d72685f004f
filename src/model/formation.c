#include "model/formation.h"

#include "base/hash.h"
#include "base/parse.h"
#include "base/str.h"
#include "model/validate.h"

#include <errno.h>
#include <stdio.h>

struct hashed_var {
	const char *name;
	uint64_t hash; /* of name and value */
};

static int by_name(const void *a, const void *b)
{
	const struct hashed_var *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The variables in the order of their names. NULL = out of memory. */
static struct hashed_var *hash_vars(const struct env *e)
{
	struct hashed_var *vars = calloc(e->n + 1, sizeof *vars);

	if (!vars)
		return NULL;
	for (size_t i = 0; i < e->n; i++) {
		const struct env_var *v = &e->vars[i];
		vars[i].name = v->name;
		vars[i].hash = hash_str(hash_str(HASH_INIT, v->name), v->value);
	}
	qsort(vars, e->n, sizeof *vars, by_name);
	return vars;
}

/* The environment a dyno gets of the release and its process, in the order of the names: the order
 * in the document makes no difference to a dyno. */
static int hash_env(
	uint64_t *h, const struct hashed_var *base, size_t n_base, const struct env *over)
{
	_cleanup_free_ struct hashed_var *own = hash_vars(over);
	size_t i = 0, j = 0, n = 0;

	if (!own)
		return -ENOMEM;
	for (; i < n_base || j < over->n; n++) {
		int order = i == n_base ? 1 : j == over->n ? -1 : by_name(&base[i], &own[j]);

		*h = hash_u64(*h, order < 0 ? base[i].hash : own[j].hash);
		i += order <= 0;
		j += order >= 0;
	}
	*h = hash_u64(*h, n);
	return 0;
}

static uint64_t hash_policy(uint64_t h, const struct process *p)
{
	h = hash_u64(h, p->restart);
	h = hash_u64(h, p->start_time);
	h = hash_u64(h, p->start_timeout);
	h = hash_u64(h, (uint64_t)(int64_t)p->start_retries);
	h = hash_u64(h, p->n_exit_codes);
	for (unsigned i = 0; i < p->n_exit_codes; i++)
		h = hash_u64(h, (uint64_t)p->exit_codes[i]);
	h = hash_u64(h, (uint64_t)p->stop_signal);
	h = hash_u64(h, p->stop_timeout);
	return hash_u64(h, p->open_files);
}

/* Said by few: a release without any of it has the fingerprints that it always had, so that a new
 * hsup does not replace the dynos of an old one. */
static uint64_t hash_more(uint64_t h, const struct process *p)
{
	if (p->memory || p->processes || p->cpu > 0)
		h = hash_u64(
			hash_u64(hash_u64(h, p->memory), p->processes), (uint64_t)(p->cpu * 1000));
	if (p->disk)
		h = hash_u64(hash_str(h, "disk"), p->disk);
	if (p->umask >= 0)
		h = hash_u64(hash_str(h, "umask"), (uint64_t)p->umask);
	if (p->redirect_stderr || p->stdin_open)
		h = hash_u64(hash_str(h, "stdio"), p->redirect_stderr + 2 * p->stdin_open);
	return h;
}

/* Of what is the same for all types: which code runs, and on what. */
static uint64_t hash_release(const struct release *r)
{
	uint64_t h = hash_str(HASH_INIT, r->slug_digest ? r->slug_digest : r->slug);

	h = hash_str(h, r->stack);
	h = hash_u64(h, r->n_binds);
	for (size_t i = 0; i < r->n_binds; i++) {
		h = hash_str(hash_str(h, r->binds[i].host), r->binds[i].container);
		/* What was so before there were any is still what it was. */
		if (r->binds[i].read_only)
			h = hash_str(h, "ro");
	}
	return h;
}

static void fill(struct formation_type *t, const struct process *p)
{
	(void)snprintf(t->name, sizeof t->name, "%s", p->type);
	t->quantity = p->quantity;
	t->autostart = p->autostart;
	t->restart = p->restart;
	t->start_time = p->start_time;
	t->start_timeout = p->start_timeout;
	t->stop_timeout = p->stop_timeout;
	t->start_retries = p->start_retries;
	memcpy(t->exit_codes, p->exit_codes, sizeof t->exit_codes);
	t->n_exit_codes = p->n_exit_codes;
	t->stop_signal = p->stop_signal;
	t->priority = p->priority;
	t->checked = p->ready.kind != CHECK_NONE;
	t->essential = p->essential;
	t->phase = strcmp(p->type, "release") == 0;
	t->rollout = p->rollout;
}

/* Names that are not of the release were refused when it was read. */
static void fill_after(struct formation *f, struct formation_type *t, const struct process *p)
{
	for (size_t i = 0; i < p->n_after && t->n_after < LIMIT_AFTER; i++) {
		const struct formation_type *other = formation_find(f, p->after[i].type);

		if (other)
			t->after[t->n_after++] = (struct formation_after){
				(unsigned)(other - f->types), p->after[i].condition};
	}
}

static struct formation *formation_alloc(size_t n_types)
{
	return calloc(1, sizeof(struct formation) + n_types * sizeof(struct formation_type));
}

struct formation *formation_new(const struct release *r)
{
	_cleanup_free_ struct formation *f = formation_alloc(r->n_processes);
	_cleanup_free_ struct hashed_var *base = hash_vars(&r->env);
	const uint64_t common = hash_release(r);

	if (!f || !base)
		return NULL;
	f->version = r->version;
	f->n_types = (unsigned)r->n_processes;
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct process *p = &r->processes[i];
		uint64_t h = hash_u64(common, p->n_args);

		for (size_t k = 0; k < p->n_args; k++)
			h = hash_str(h, p->args[k]);
		if (hash_env(&h, base, r->env.n, &p->env) < 0)
			return NULL;
		h = hash_str(hash_str(h, p->directory), p->user);
		fill(&f->types[i], p);
		f->types[i].fingerprint = hash_more(hash_policy(h, p), p);
	}
	for (size_t i = 0; i < r->n_processes; i++)
		fill_after(f, &f->types[i], &r->processes[i]);
	return TAKE_PTR(f);
}

struct formation *formation_copy(const struct formation *f)
{
	struct formation *copy = formation_alloc(f->n_types);

	if (copy)
		memcpy(copy, f, sizeof *f + f->n_types * sizeof f->types[0]);
	return copy;
}

const struct formation_type *formation_find(const struct formation *f, const char *type)
{
	for (unsigned i = 0; i < f->n_types; i++) {
		if (strcmp(f->types[i].name, type) == 0)
			return &f->types[i];
	}
	return NULL;
}

bool formation_exit_expected(const struct formation_type *t, int exit_code)
{
	for (unsigned i = 0; i < t->n_exit_codes; i++) {
		if (t->exit_codes[i] == exit_code)
			return true;
	}
	return false;
}

static int no_such_type(const struct formation *f, const char *type, struct err *err)
{
	const char *names[LIMIT_TYPES];
	size_t n = f->n_types < LIMIT_TYPES ? f->n_types : LIMIT_TYPES;

	for (size_t i = 0; i < n; i++)
		names[i] = f->types[i].name;
	const char *nearest = nearest_name(type, names, n);
	if (nearest)
		return err_set(err, -ENOENT,
			"the release has no process type \"%s\"; did you mean \"%s\"?", type,
			nearest);
	return err_set(err, -ENOENT, "the release has no process type \"%s\"", type);
}

int formation_override(
	struct formation *f, const struct quantity_override *list, size_t n, struct err *err)
{
	unsigned wanted[LIMIT_TYPES] = {0};
	unsigned total = 0;

	for (size_t i = 0; i < n; i++) {
		const struct formation_type *t = formation_find(f, list[i].type);
		if (!t)
			return no_such_type(f, list[i].type, err);
		wanted[t - f->types] = list[i].quantity;
	}
	for (unsigned i = 0; i < f->n_types; i++)
		total += wanted[i];
	if (total > LIMIT_QUANTITY)
		return err_set(err, -EINVAL, "%u dynos are more than %d", total, LIMIT_QUANTITY);
	for (unsigned i = 0; i < f->n_types; i++)
		f->types[i].quantity = wanted[i];
	return 0;
}

int quantity_parse(const char *text, struct quantity_override *ret, struct err *err)
{
	struct quantity_override o = {.quantity = 1};
	const char *equals = strchrnul(text, '=');
	size_t len = (size_t)(equals - text);
	char shown[80];

	str_printable(text, strlen(text), shown, sizeof shown);
	if (len > 0 && len < sizeof o.type)
		memcpy(o.type, text, len);
	const char *wrong = rule_type(o.type);
	if (wrong)
		return err_set(err, -EINVAL, "\"%s\": the process type %s", shown, wrong);
	if (*equals && parse_uint(equals + 1, LIMIT_QUANTITY, &o.quantity) < 0)
		return err_set(err, -EINVAL,
			"\"%s\": the quantity must be a whole number from 0 to %d", shown,
			LIMIT_QUANTITY);
	*ret = o;
	return 0;
}
