/* What nobody could foresee: releases, the operator, a supervisor that dies, the clock. */
#include "world.h"

#include <signal.h>

#define SECONDS(n) ((uint64_t)(n)*NSEC_PER_SEC)
#define PICK(r, ...)                                                                               \
	((const uint64_t[]){__VA_ARGS__}[(r) % (sizeof((const uint64_t[]){__VA_ARGS__}) / 8)])

/* All that the fingerprint stands for follows from it, as it must. */
static void set_policy(struct formation_type *t, uint64_t fingerprint)
{
	uint64_t r = fingerprint * UINT64_C(0x9e3779b97f4a7c15) >> 16;

	t->fingerprint = fingerprint;
	t->restart = (enum restart_policy)PICK(r, RESTART_ALWAYS, RESTART_ALWAYS, RESTART_ALWAYS,
		RESTART_ON_FAILURE, RESTART_NEVER);
	t->start_time = SECONDS(PICK(r >> 3, 0, 1, 1, 5));
	t->start_timeout = SECONDS(PICK(r >> 5, 60, 5, 5, 0));
	t->stop_timeout = SECONDS(PICK(r >> 7, 30, 10, 2, 0));
	t->start_retries = (int)PICK(r >> 9, 10, 3, 0, 1000) % 1000 - (r >> 9 & 1);
	t->n_exit_codes = 1;
	t->stop_signal = SIGTERM;
}

static void new_type(struct world *w, struct formation_type *t, unsigned type)
{
	memset(t, 0, sizeof *t);
	(void)snprintf(t->name, sizeof t->name, "%s", world_types[type]);
	t->quantity = (unsigned)world_random(w, 5);
	t->autostart = world_chance(w, 95);
	t->priority = (int)world_random(w, 3);
	t->rollout = (struct rollout){
		.strategy = world_chance(w, 75) ? ROLLOUT_ROLLING : ROLLOUT_RECREATE,
		.surge = (unsigned)world_random(w, 3),
		.batch = (unsigned)world_random(w, 3),
		.timeout = SECONDS(20 + world_random(w, 100)),
	};
	/* Good ones are likelier: nothing much can be learnt from bad ones alone. */
	uint64_t what = world_chance(w, 50) ? GOOD : world_random(w, CHARACTER_MAX);

	set_policy(t, ++w->fingerprints * CHARACTER_MAX + what);
}

static void submit(struct world *w)
{
	struct sim_release *r;
	const struct formation *before = w->loaded ? w->releases[w->loaded - 1].formation : NULL;

	if (w->n_releases == WORLD_RELEASES)
		return;
	r = &w->releases[w->n_releases++];
	r->formation->version = w->n_releases;
	r->formation->n_types = 0;
	for (unsigned i = 0; i < WORLD_TYPES; i++) {
		const struct formation_type *old =
			before ? formation_find(before, world_types[i]) : NULL;
		struct formation_type *t = &r->formation->types[r->formation->n_types];

		if (world_chance(w, old ? 10 : 60))
			continue;
		new_type(w, t, i);
		if (old && world_chance(w, 50)) {
			unsigned quantity = t->quantity;

			*t = *old;
			if (world_chance(w, 40))
				t->quantity = quantity;
		}
		r->formation->n_types++;
	}
	world_handle(w, (struct engine_event){.type = ENGINE_SUBMITTED, .release = w->n_releases});
}

static void scale(struct world *w)
{
	struct quantity_override o = {.quantity = (unsigned)world_random(w, 5)};
	struct engine_event event = {.type = ENGINE_SCALE, .overrides = &o, .n_overrides = 1};
	size_t i = 0;

	(void)snprintf(o.type, sizeof o.type, "%s", world_types[world_random(w, WORLD_TYPES)]);
	while (i < w->n_overrides && strcmp(w->overrides[i].type, o.type) != 0)
		i++;
	w->overrides[i] = o;
	if (i == w->n_overrides)
		w->n_overrides++;
	w->disturbed = true;
	world_handle(w, event);
}

static void handle_dyno(struct world *w)
{
	static const enum engine_event_type types[] = {
		ENGINE_STOP_DYNO, ENGINE_START_DYNO, ENGINE_RESTART_DYNO};
	size_t n = engine_dynos(w->engine);

	if (!n)
		return;
	w->disturbed = true;
	world_handle(w, (struct engine_event){
				.type = types[world_random(w, 3)],
				.id = engine_dyno(w->engine, world_random(w, n))->id,
			});
}

static void say_again(struct world *w)
{
	if (w->n_history)
		world_handle(w, w->history[world_random(w, w->n_history < 8 ? w->n_history : 8)]);
}

static void jump(struct world *w)
{
	w->now += world_random(w, SECONDS(7200));
	w->disturbed = true;
	world_handle(w, (struct engine_event){.type = ENGINE_TIMER});
}

static void shut_down(struct world *w, int urgency)
{
	if (urgency > (int)w->urgency)
		w->urgency = (unsigned)urgency;
	world_handle(w, (struct engine_event){.type = ENGINE_SHUTDOWN, .urgency = urgency});
}

static void adopt(struct world *w, struct task *p)
{
	if (!p->started && !p->listed)
		p->started_at = w->now;
	struct engine_adopted a = {
		.id = p->id,
		.generation = p->generation,
		.instance = p->instance,
		.fingerprint = p->fingerprint,
		.kept = p->kept,
		.started = p->started_at,
		.left = p->leaderless,
	};
	const struct formation_type *t = world_wanted(w, p->type);

	if (w->lost & LOST_COUNTS)
		a.kept.failures = a.kept.bad_starts = 0;
	(void)snprintf(a.type, sizeof a.type, "%s", world_types[p->type]);
	p->told = p->kill_told = false;
	p->listed = true;
	if (!t || t->fingerprint != p->fingerprint) {
		p->adopted = true;
		p->grace = SECONDS(30);
	}
	world_handle(w, (struct engine_event){.type = ENGINE_ADOPTED, .adopted = &a});
}

static void adopt_ended(struct world *w, const struct ended *e)
{
	const struct task *p = &e->task;
	struct engine_adopted a = {
		.id = p->id,
		.generation = p->generation,
		.instance = p->instance,
		.fingerprint = p->fingerprint,
		.kept = p->kept,
		.started = p->started_at,
		.ended = true,
		.exit = p->exit,
		.at = w->lost & LOST_TIME ? w->now : e->at,
	};

	if (w->lost & (e->state == DYNO_BACKOFF ? LOST_BACKOFF : LOST_REST))
		return;
	if (w->lost & LOST_COUNTS)
		a.kept.failures = a.kept.bad_starts = 0;
	(void)snprintf(a.type, sizeof a.type, "%s", world_types[p->type]);
	world_handle(w, (struct engine_event){.type = ENGINE_ADOPTED, .adopted = &a});
}

/* What was there: of each dyno the last life. */
static void adopt_all(struct world *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		adopt(w, &w->processes[i]);
		process_forget(w, w->processes[i].id, w->processes[i].generation);
	}
	for (size_t i = 0; i < w->n_ended;) {
		const struct task *t = &w->ended[i].task;
		size_t n = w->n_ended;

		process_forget(w, t->id, t->generation);
		i = n == w->n_ended ? i + 1 : 0;
	}
	/* Some are forgotten as they are told. */
	for (size_t i = w->n_ended; i-- > 0;)
		if (i < w->n_ended)
			adopt_ended(w, &w->ended[i]);
}

static void remember_kept(struct world *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		const struct dyno *d = engine_find(w->engine, w->processes[i].id);

		w->processes[i].last_known = d && d->desired != DESIRED_RETIRE;
		if (d)
			w->processes[i].last = dyno_kept(d);
	}
}

/* The source knows which release settled last; a release before which there is none is taken for
 * such a one. At times it cannot be made ready any more. */
static struct engine_event restored(struct world *w)
{
	struct engine_event event = {.type = ENGINE_RESTORED,
		.release = w->loaded,
		.formation = w->releases[w->loaded - 1].formation};

	if (!w->settled)
		w->settled = w->loaded;
	if (w->settled != w->loaded && world_chance(w, 10))
		w->settled = w->settled_below = 0;
	event.settled = w->settled;
	if (w->settled)
		event.settled_formation = w->releases[w->settled - 1].formation;
	return event;
}

/* The supervisor is killed and started again: what the engine knew is lost, what runs is not. */
void operator_restarts_supervisor(struct world *w)
{
	if (w->oneshot || w->urgency)
		return;
	for (size_t i = 0; i < w->n_pending; i++)
		if (w->pending[i].event.type == ENGINE_COMMITTED && world_chance(w, 50))
			w->loaded = w->pending[i].event.release;
	w->n_pending = 0;
	w->n_history = 0; /* the wire is another, on which nothing was said yet */
	remember_kept(w);
	engine_free(w->engine);
	w->engine = world_engine(w);
	if (w->only_named == false)
		w->n_overrides = 0; /* what was scaled by hand is forgotten with the engine */
	w->adopting = true;
	w->restarted_below = w->next_id;
	if (w->loaded)
		world_handle(w, restored(w));
	adopt_all(w);
	if (w->loaded)
		invariants_restored(w);
	w->adopting = false;
	world_handle(w, (struct engine_event){.type = ENGINE_CAUGHT_UP});
}

void operator_acts(struct world *w)
{
	uint64_t what = world_random(w, 1000);

	if (what < 350)
		submit(w);
	else if (what < 480)
		scale(w);
	else if (what < 650)
		handle_dyno(w);
	else if (what < 750)
		operator_restarts_supervisor(w);
	else if (what < 880)
		say_again(w);
	else if (what < 985)
		jump(w);
	else if (what < 995)
		shut_down(w, 1);
	else
		shut_down(w, 2);
}
