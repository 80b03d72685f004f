/* What an operator sees. */
#include "supervisor/operate.h"

#include "base/clock.h"
#include "supervisor/private.h"
#include "wire/spec.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

/* A daemon has a release as soon as it has looked into its folder, with apps or without. */
static bool hides(const struct supervisor *s, const struct known_release *current)
{
	return (!s->caught_up && s->n_adopted > 0) || (s->options->mode == MODE_UP && !current);
}

void operate_app(struct supervisor *s, struct app_view *ret)
{
	const struct known_release *k =
		s->engine ? release_known(s, engine_release(s->engine)) : NULL;
	bool rolling = s->engine && engine_rolling(s->engine);
	size_t n = s->engine ? engine_dynos(s->engine) : 0;

	*ret = (struct app_view){
		.name = k ? supervisor_app(s, k->release) : supervisor_app(s, NULL),
		.mode = s->options->mode,
		.version = k ? k->release->version : 0,
		.caught_up = s->caught_up,
		.hides = hides(s, k),
		.n_dynos = n,
		.started = s->begun,
		.control_dir = s->options->mode == MODE_UP ? s->options->apps_dir
							   : s->options->control_dir,
		.driver = s->setup->driver->name,
		.software = s->setup->software,
		.status = s->stopping			 ? "stopping"
			  : s->restoring && !s->in_force ? "restoring"
			  : s->preparing		 ? "preparing"
			  : rolling			 ? "rolling"
			  : k				 ? "up"
							 : "none",
	};
	for (size_t i = 0; i < n; i++)
		ret->n_ready += dyno_ready(engine_dyno(s->engine, i));
	if (rolling && s->in_force && k && s->in_force != k->handle) {
		const struct known_release *before = release_known(s, s->in_force);

		ret->previous = before ? before->release->version : 0;
	}
}

const char *operate_missing(struct supervisor *s, size_t index)
{
	const struct driver *driver = s->setup->driver;

	return driver->missing && s->driver_state ? driver->missing(s->driver_state, index) : NULL;
}

/* ---- dynos, in the order of the formation ---- */

static unsigned type_order(const struct supervisor *s, const char *type)
{
	const struct formation *f = engine_formation(s->engine);

	for (unsigned i = 0; f && i < f->n_types; i++)
		if (strcmp(f->types[i].name, type) == 0)
			return i;
	return UINT_MAX;
}

static int compare(const void *left, const void *right, void *userdata)
{
	const struct dyno *a = *(const struct dyno *const *)left,
			  *b = *(const struct dyno *const *)right;

	if (strcmp(a->type, b->type) != 0) {
		unsigned x = type_order(userdata, a->type), y = type_order(userdata, b->type);

		return x != y ? (x < y ? -1 : 1) : strcmp(a->type, b->type);
	}
	if (a->instance != b->instance)
		return a->instance < b->instance ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

size_t operate_dynos(struct supervisor *s)
{
	size_t n = s->engine ? engine_dynos(s->engine) : 0;

	usage_want(s);
	if (mem_grow(&s->sorted, &s->cap_sorted, n, LIMIT_DYNOS * 2, sizeof *s->sorted) < 0)
		return s->n_sorted = 0;
	for (size_t i = 0; i < n; i++)
		s->sorted[i] = engine_dyno(s->engine, i);
	if (n > 1)
		qsort_r(s->sorted, n, sizeof *s->sorted, compare, s);
	return s->n_sorted = n;
}

static double seconds_to(uint64_t at, uint64_t now)
{
	return at > now ? (double)(at - now) / (double)NSEC_PER_SEC : 0;
}

/* One line on why it is as it is. */
void say_why(struct supervisor *s, const struct dyno *d, char *ret, size_t size)
{
	uint64_t now = clock_now();
	char how[120] = "", waits[100];

	ret[0] = '\0';
	if (d->last_exit.kind != EXIT_NONE)
		(void)dyno_exit_text(&d->last_exit, wire_stage_text, how, sizeof how);
	if (d->state == DYNO_BACKOFF)
		(void)snprintf(ret, size, "%s; again in %.1f s", how, seconds_to(d->deadline, now));
	else if (d->state == DYNO_STOPPED && d->gave_up)
		(void)snprintf(ret, size, "gave up after %u starts: %s", d->bad_starts, how);
	else if (d->state == DYNO_STOPPED && dyno_stopped_by_operator(d))
		(void)snprintf(ret, size, "stopped by the operator");
	else if (d->state == DYNO_STOPPED && !d->generation &&
		 engine_waits_for(s->engine, d, waits, sizeof waits))
		(void)snprintf(ret, size, "waits for %s", waits);
	else if (d->state == DYNO_STOPPED)
		(void)snprintf(ret, size, "%s", how);
	else if (d->state == DYNO_STOPPING)
		(void)snprintf(ret, size, "%s; killed in %.0f s",
			d->desired == DESIRED_RETIRE ? "replaced or no longer wanted" : "stopping",
			seconds_to(d->deadline, now));
	else if (d->state == DYNO_STARTING && d->bad_starts)
		(void)snprintf(ret, size, "start %u; before, it %s", d->bad_starts + 1, how);
}

static void see_checks(struct supervisor *s, const struct dyno *d, struct dyno_view *v)
{
	const char *text;

	(void)supervisor_checks_state(s, d->id, d->generation, &v->health, &text);
	if (v->why[0] == '\0')
		(void)snprintf(v->why, sizeof v->why, "%s", text);
}

static void say_address(struct supervisor *s, const struct dyno *d, struct dyno_view *v)
{
	const struct driver *driver = s->setup->driver;
	struct driver_address a;

	if (!driver->address || !driver->address(s->driver_state, d->id, d->generation, &a))
		return;
	bool here = a.published || !a.host[0];
	(void)snprintf(v->host, sizeof v->host, "%s", here ? "127.0.0.1" : a.host);
	v->port = a.published ? a.published : a.port;
	v->published = a.published ? a.published : a.outside;
}

void operate_dyno(struct supervisor *s, size_t index, struct dyno_view *ret)
{
	const struct dyno *d = s->sorted[index];
	const struct life *l = life_find(s, d->id, d->generation);
	const struct known_release *k = release_known(s, engine_dyno_release(s->engine, d));
	bool live = dyno_live(d);

	*ret = (struct dyno_view){
		.dyno = d,
		.pid = l && !l->ended ? l->pid : 0,
		.version = k ? k->release->version : 0,
		.started = l && live ? l->started_at : 0,
		.since = d->since,
		.retry_at = d->state == DYNO_BACKOFF ? d->deadline : 0,
		.ended_at = l && l->ended ? l->ended_at : 0,
		.stopped_by_operator = d->state == DYNO_STOPPED && dyno_stopped_by_operator(d),
	};
	if (live)
		say_address(s, d, ret);
	name_dyno(d, ret->name);
	say_why(s, d, ret->why, sizeof ret->why);
	see_checks(s, d, ret);
	usage_get(s, d->id, d->generation, &ret->used);
}

const struct dyno *operate_dyno_at(struct supervisor *s, size_t index)
{
	return s->sorted[index];
}

/* A thousand names may be held against thousands of dynos. */
static bool may_fit(const char *pattern, const struct dyno *d)
{
	return *pattern == *d->type || strchr("*?[\\", *pattern);
}

bool operate_matches(const char *pattern, const struct dyno *d)
{
	char name[LIMIT_NAME + 1];

	if (strcmp(pattern, "*") == 0 || strcmp(pattern, "all") == 0)
		return true;
	if (!may_fit(pattern, d))
		return false;
	if (strcmp(pattern, d->type) == 0)
		return true;
	name_dyno(d, name);
	return strpbrk(pattern, "*?[\\") ? fnmatch(pattern, name, 0) == 0
					 : strcmp(pattern, name) == 0;
}

/* ---- types ---- */

size_t operate_types(struct supervisor *s)
{
	const struct formation *f = s->engine ? engine_formation(s->engine) : NULL;

	return f ? f->n_types : 0;
}

void operate_type(struct supervisor *s, size_t index, struct type_view *ret)
{
	const struct formation_type *t = &engine_formation(s->engine)->types[index];
	const struct release *r = operate_release(s);

	*ret = (struct type_view){
		.name = t->name,
		.quantity = engine_quantity(s->engine, t->name),
		.said = t->quantity,
		.process = r ? release_process(r, t->name) : NULL,
	};
	ret->by_operator = ret->quantity != ret->said && !(ret->quantity == 0 && !t->autostart);
}

const struct release *operate_release(struct supervisor *s)
{
	const struct known_release *k =
		s->engine ? release_known(s, engine_release(s->engine)) : NULL;

	return k ? k->release : NULL;
}

/* ---- releases ---- */

/* Without what lets others fetch it: who watches need not know. */
static void show_slug(const char *slug, char *ret, size_t size)
{
	const char *scheme = strstr(slug, "://"), *host = scheme ? scheme + 3 : slug;
	const char *at = scheme ? memchr(host, '@', strcspn(host, "/?#")) : NULL;
	size_t len = scheme ? strcspn(slug, "?#") : strlen(slug);

	if (at)
		(void)snprintf(ret, size, "%.*s%.*s", (int)(host - slug), slug,
			(int)(slug + len - at - 1), at + 1);
	else
		(void)snprintf(ret, size, "%.*s", (int)len, slug);
}

static void add_slug(struct supervisor *s, struct release_view *v)
{
	HSUP_CLEANUP(release_unrefp) struct release *r = NULL;
	struct release_errors errors = {0};
	_cleanup_free_ char *text = NULL;
	struct err err;
	size_t len;

	if (s->setup->source->read(s->source_state, v->version, &text, &len, &err) == 0 &&
		release_parse(text, len, &r, &errors) == 0 && r->slug)
		show_slug(r->slug, v->slug, sizeof v->slug);
	release_errors_done(&errors);
}

size_t operate_releases(struct supervisor *s, struct release_view ret[LIMIT_HISTORY + 1])
{
	struct source_version found[LIMIT_HISTORY + 1];
	size_t n;

	if (!s->source_state || !s->setup->source->history)
		return 0;
	n = s->setup->source->history(s->source_state, found, ARRAY_SIZE(found));
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct release_view){
			.version = found[i].version,
			.wall_ns = found[i].wall_ns,
			.in_force = found[i].in_force,
			.settled = !found[i].failed &&
				   !(found[i].in_force && engine_rolling(s->engine)),
		};
		(void)snprintf(ret[i].note, sizeof ret[i].note, "%s", found[i].note);
		add_slug(s, &ret[i]);
	}
	return n;
}

int operate_release_text(
	struct supervisor *s, int64_t version, char **ret_text, size_t *ret_len, struct err *err)
{
	if (!s->source_state || !s->setup->source->read)
		return err_set(err, -ENOENT, "there is no history of releases here");
	return s->setup->source->read(s->source_state, version, ret_text, ret_len, err);
}

struct recorder *operate_recorder(struct supervisor *s)
{
	return s->recorder;
}

struct rings *operate_rings(struct supervisor *s)
{
	return s->rings;
}

void operate_counts(struct supervisor *s, struct operate_counts *ret)
{
	struct router_counts logs;

	*ret = s->counts;
	router_counts(s->router, &logs);
	ret->log_bytes = logs.bytes;
	ret->log_lines = logs.lines;
	ret->log_dropped = logs.dropped;
	if (!s->engine)
		return;
	const struct engine_counts *c = engine_counts(s->engine);
	ret->starts = c->starts;
	ret->restarts = c->restarts;
	ret->start_timeouts = c->start_timeouts;
	ret->stop_timeouts = c->stop_timeouts;
	ret->unhealthy = c->unhealthy;
	ret->oom += c->oom;
	ret->rollouts = c->rollouts;
	ret->rollbacks = c->rollbacks;
	ret->wrong = engine_wrong(s->engine);
	ret->stale = engine_stale(s->engine);
}
