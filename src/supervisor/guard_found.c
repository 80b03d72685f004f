/* Dynos that ran before they were looked at: of an earlier supervisor, or of a release that looked
 * at them in another way. */
#include "supervisor/guard.h"

#include "base/clock.h"

/* Before its StartTimeout, so that it is not killed at that moment. */
#define ASSUME_MARGIN (50 * NSEC_PER_MSEC)
#define ASSUME_AFTER  (60 * NSEC_PER_SEC) /* without a StartTimeout */

/* Of which release it was made; when that is not known, what its type is today is the best guess.
 */
static const struct known_release *release_of(struct supervisor *s, const struct dyno *d)
{
	const struct known_release *k = release_known(s, engine_dyno_release(s->engine, d));

	return k ? k : release_known(s, s->in_force);
}

/* READY=1 may have been said while nobody listened. */
static void assume_ready(struct guard *g, uint64_t started)
{
	const struct process *p = g->order.process;
	uint64_t now = clock_now(), when = now + ASSUME_AFTER;

	if (p->ready.kind != CHECK_NOTIFY)
		return;
	if (p->start_timeout)
		when = started + p->start_timeout -
		       (p->start_timeout > 2 * ASSUME_MARGIN ? ASSUME_MARGIN
							     : p->start_timeout / 2);
	if (when > now) {
		checker_assume_ready(g->checker, when);
		return;
	}
	/* The timer of the engine would be first. */
	router_note(g->owner->router, g->life->name,
		"it may have said READY=1 when no supervisor listened: taken as ready");
	guard_ready(g);
}

/* A dyno that runs is looked at in the way of the release that it is of by now. */
static bool look_at(struct supervisor *s, struct life *l, const struct dyno *d)
{
	const struct known_release *k = release_of(s, d);
	const struct process *p = k ? release_process(k->release, d->type) : NULL;
	struct err err = {0};

	if (!p || l->ended || (d->state != DYNO_STARTING && d->state != DYNO_UP))
		return false;
	const struct formation_type *t =
		k->formation ? formation_find(k->formation, d->type) : NULL;
	struct driver_start order = {
		.id = d->id,
		.generation = d->generation,
		.name = l->name,
		.instance = d->instance,
		.type_index = (unsigned)(p - k->release->processes),
		.only_one = t && t->quantity == 1,
		.process = p,
		.release = k->release,
		.app = supervisor_app(s, k->release),
	};
	usage_limit(s, l, p->memory);
	if (guard_new(s, l, &order, &err) < 0) {
		router_note(s->router, l->name, "it cannot be looked at: %s", err.text);
		checks_end(l);
	}
	if (!l->guard)
		return false;
	checks_begin(l);
	if (d->state == DYNO_UP)
		checker_up(l->guard->checker, d->since);
	return true;
}

void checks_adopt(struct supervisor *s, struct life *l, const struct engine_adopted *a)
{
	const struct dyno *d = engine_find(s->engine, a->id);

	if (d && look_at(s, l, d) && d->state == DYNO_STARTING)
		assume_ready(l->guard, a->started);
}

/* ---- another release, with the same dynos ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_check(const struct check *a, const struct check *b)
{
	if (a->kind != b->kind || a->port != b->port || !same_text(a->path, b->path) ||
		a->n_args != b->n_args || a->interval != b->interval || a->timeout != b->timeout ||
		a->threshold != b->threshold || a->cooldown != b->cooldown)
		return false;
	for (size_t i = 0; i < a->n_args; i++)
		if (strcmp(a->args[i], b->args[i]) != 0)
			return false;
	return true;
}

/* What is looked at now, is that what its release wants? */
static bool is_current(struct supervisor *s, const struct life *l, const struct dyno *d)
{
	const struct known_release *k = release_of(s, d);
	const struct process *p = k ? release_process(k->release, d->type) : NULL;
	const struct process *now = l->guard ? l->guard->order.process : NULL;

	if (!p)
		return true;
	if (!now)
		return p->ready.kind == CHECK_NONE && p->healthy.kind == CHECK_NONE;
	return same_check(&p->ready, &now->ready) && same_check(&p->healthy, &now->healthy);
}

void checks_redefine(struct supervisor *s)
{
	for (size_t i = 0; i < engine_dynos(s->engine); i++) {
		const struct dyno *d = engine_dyno(s->engine, i);
		struct life *l = dyno_live(d) ? life_find(s, d->id, d->generation) : NULL;

		if (!l || !l->started || is_current(s, l, d))
			continue;
		checks_end(l);
		(void)look_at(s, l, d);
	}
}
