#include "core/engine_private.h"

#include "base/clock.h"

#include <errno.h>

#define RETRY_AFTER NSEC_PER_SEC

static const struct rollout *group_rollout(const struct group *g)
{
	static const struct rollout plain = {.strategy = ROLLOUT_ROLLING};

	return g->wanted ? &g->wanted->rollout : &plain;
}

size_t group_limit(const struct group *g)
{
	if (g->last)
		return g->n;
	return g->quantity ? g->quantity + plan_surge(group_rollout(g), g->quantity) : 0;
}

void group_want(struct group *g, unsigned quantity)
{
	size_t limit;

	g->quantity = quantity;
	limit = group_limit(g);
	g->ceiling = g->tally.held > limit ? g->tally.held : limit;
	g->busy = g->dirty = true;
}

void plan_later(struct engine *e, uint64_t now)
{
	e->retry = now + RETRY_AFTER;
}

void plan_retry(struct engine *e, uint64_t now)
{
	if (!e->retry || e->retry > now)
		return;
	e->retry = 0;
	for (size_t i = 0; i < e->n_groups; i++)
		e->groups[i]->dirty = e->groups[i]->busy;
}

/* A new one: started, unless the operator has stopped the one before, or it has to wait. */
static int make(struct engine *e, struct group *g, unsigned instance, bool open, uint64_t now)
{
	struct slot *s;
	int r;

	r = table_add(e, g, e->next_id, instance, &s);
	if (r < 0)
		return r;
	e->next_id++;
	slot_bind(s, e->wanted, g->wanted);
	s->current = true;
	s->born = e->rollout;
	s->dyno.fingerprint = g->wanted->fingerprint;
	g->progress = now;
	if (rest_has(e, g->name, instance)) {
		s->dyno.desired = DESIRED_REST;
		s->dyno.asked = true;
	} else if (open) {
		slot_apply(e, s, DYNO_EV_WANTED, now);
		return 0;
	} else {
		s->waiting = true;
	}
	slot_count(e, s, now);
	return 0;
}

/* Room for one look at the group, and what it sees. */
static int look(struct engine *e, const struct group *g)
{
	size_t n = g->n + g->quantity;
	int r;

	r = mem_grow(&e->plan_dynos, &e->plan_dynos_cap, g->n, SIZE_MAX, sizeof *e->plan_dynos);
	if (r < 0)
		return r;
	r = mem_grow(&e->plan_slots, &e->plan_slots_cap, g->n, SIZE_MAX, sizeof *e->plan_slots);
	if (r < 0)
		return r;
	r = mem_grow(&e->plan_steps, &e->plan_steps_cap, n, SIZE_MAX, sizeof *e->plan_steps);
	if (r < 0)
		return r;

	for (size_t i = 0; i < g->n; i++) {
		const struct dyno *d = &g->slots[i]->dyno;

		e->plan_slots[i] = g->slots[i];
		e->plan_dynos[i] = (struct plan_dyno){
			.instance = d->instance,
			.current = g->slots[i]->current,
			.live = dyno_live(d),
			.up = slot_kept(e, g->slots[i]) || dyno_ready(d),
			.proving = g->slots[i]->counted.proving,
			.retiring = d->desired == DESIRED_RETIRE,
		};
	}
	return 0;
}

/* Carries out what may be done for the type now. An error: some of it, or nothing. */
static int plan_group(struct engine *e, struct group *g, uint64_t now)
{
	bool done, open = order_open(e, g);
	size_t n;
	int r;

	r = look(e, g);
	if (r < 0)
		return r;
	n = plan_type(group_rollout(g), g->quantity, e->start_number, e->plan_dynos, g->n,
		e->plan_steps, &done);
	if (g->held && (n || !done)) {
		n = plan_held(group_rollout(g), g->quantity, e->start_number, e->plan_dynos, g->n,
			e->plan_steps);
		done = false;
	}
	for (size_t i = 0; i < n; i++) {
		const struct plan_step *step = &e->plan_steps[i];

		r = actions_reserve(e, ACTIONS_PER_STEP);
		if (r < 0)
			return r;
		if (step->type == PLAN_RETIRE)
			slot_retire(e, e->plan_slots[step->index], DYNO_EV_UNWANTED, now);
		else
			r = make(e, g, step->instance, open, now);
		if (r < 0)
			return r;
	}
	g->busy = !done;
	g->dirty = n && !done;
	return 0;
}

/* Of a type that is kept for a roll back only: what has never run is no loss. */
static void drop_waiting(struct engine *e, struct group *g, uint64_t now)
{
	for (size_t i = g->n; i-- > 0 && g->tally.waiting;) {
		if (!g->slots[i]->waiting)
			continue;
		if (actions_reserve(e, ACTIONS_PER_STEP) < 0) {
			plan_later(e, now);
			return;
		}
		slot_retire(e, g->slots[i], DYNO_EV_UNWANTED, now);
	}
}

void plans_run(struct engine *e, uint64_t now)
{
	if (e->holding || e->stopping || alone_clear(e, now))
		return;
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		if (g->last && g->tally.waiting)
			drop_waiting(e, g, now);
		while (g->dirty && !g->last) {
			int r = plan_group(e, g, now);

			if (r == 0)
				continue;
			g->dirty = false;
			plan_later(e, now);
			/* No room beside dynos that are only kept for a roll back: give them up. */
			for (size_t k = 0; r == -E2BIG && k < e->n_groups; k++)
				e->groups[k]->last = false;
		}
		g->dirty = false;
	}
}
