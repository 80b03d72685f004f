/* What nobody could foresee: releases, the operator, a supervisor that dies, the clock. */
#include "world.h"

#include <signal.h>

#define SECONDS(n) ((uint64_t)(n)*NSEC_PER_SEC)

static void submit(struct world *w)
{
	struct sim_release *r;
	const struct formation *before = w->loaded ? w->releases[w->loaded - 1].formation : NULL;

	if (w->n_releases == WORLD_RELEASES)
		return;
	r = &w->releases[w->n_releases++];
	release_fill(w, r, before);
	w->submitted = w->n_releases;
	world_handle(w, (struct engine_event){.type = ENGINE_SUBMITTED, .release = w->n_releases});
}

static void note_scale(struct world *w, unsigned type, unsigned quantity)
{
	const struct formation_type *t = world_wanted(w, type);
	struct sim_scale *s = &w->scaled[type];

	if (!t || t->phase)
		return;
	*s = (struct sim_scale){
		.set = quantity != world_plain_quantity(w, t),
		.quantity = quantity,
		.base = t->quantity,
	};
}

static void scale(struct world *w)
{
	struct quantity_override o = {.quantity = (unsigned)world_random(w, 5)};
	struct engine_event event = {.type = ENGINE_SCALE, .overrides = &o, .n_overrides = 1};
	unsigned type = (unsigned)world_random(w, WORLD_TYPES);
	const struct formation_type *t = world_wanted(w, type);

	w->disturbed = true;
	if (world_chance(w, 20)) {
		event = (struct engine_event){.type = ENGINE_START_TYPE, .text = world_types[type]};
		if (t && t->quantity && !world_quantity(w, t))
			note_scale(w, type, t->quantity);
	} else {
		(void)snprintf(o.type, sizeof o.type, "%s", world_types[type]);
		note_scale(w, type, o.quantity);
	}
	world_handle(w, event);
}

/* A type is to be renewed, or what is under way given up. */
static void roll(struct world *w)
{
	unsigned type = (unsigned)world_random(w, WORLD_TYPES);

	w->disturbed = true;
	if (world_chance(w, 30)) {
		world_handle(w, (struct engine_event){.type = ENGINE_ABORT});
		return;
	}
	if (world_quantity(w, world_wanted(w, type)) && !w->urgency && !w->renewing &&
		w->settled == engine_release(w->engine)) {
		w->renewing = true;
		w->settled_below = w->next_id;
	}
	world_handle(w, (struct engine_event){.type = ENGINE_ROLL_TYPE, .text = world_types[type]});
}

/* A check fails, or a limit is passed: perhaps just when it ends for another reason. */
static void sicken(struct world *w)
{
	struct task *p = w->n_processes ? &w->processes[world_random(w, w->n_processes)] : NULL;
	struct engine_event event = {.type = world_chance(w, 60) ? ENGINE_UNHEALTHY : ENGINE_OOM};

	if (!p)
		return;
	const struct dyno *d = engine_find(w->engine, p->id);
	event.id = p->id;
	event.generation = p->generation;
	if (d && d->generation == p->generation)
		p->condemned |= event.type == ENGINE_OOM ? d->state != DYNO_KILLING
							 : d->state == DYNO_UP && !p->phase;
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
	struct engine_event event = {.type = types[world_random(w, 3)],
		.id = engine_dyno(w->engine, world_random(w, n))->id};
	world_handle(w, event);
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
	/* What the old supervisor heard is lost with it: the check is begun again. */
	if (p->checked && p->started && !p->kept.was_up && p->said_ready) {
		p->said_ready = false;
		if (p->next == NEXT_NOTHING)
			process_recheck(w, p);
	}
	if (!t || t->fingerprint != p->fingerprint || p->phase) {
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

	if (w->lost & (p->phase ? LOST_PHASE : e->state == DYNO_BACKOFF ? LOST_BACKOFF : LOST_REST))
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
	w->renewing = w->essential_gone = false;
	w->adopting = true;
	w->restarted_below = w->next_id;
	if (w->loaded)
		world_handle(w, restored(w));
	adopt_all(w);
	if (w->loaded)
		invariants_restored(w);
	w->adopting = false;
	world_handle(w, (struct engine_event){.type = ENGINE_CAUGHT_UP});
	/* What was on its way in is found again; the operator may have taken it away. */
	if (w->submitted == w->loaded || world_chance(w, 10))
		w->submitted = 0;
	if (w->submitted)
		world_handle(w,
			(struct engine_event){.type = ENGINE_SUBMITTED, .release = w->submitted});
}

void operator_acts(struct world *w)
{
	uint64_t what = world_random(w, 1000);

	if (what < 300)
		submit(w);
	else if (what < 410)
		scale(w);
	else if (what < 450)
		roll(w);
	else if (what < 500)
		sicken(w);
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
