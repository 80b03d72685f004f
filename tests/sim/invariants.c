/* DESIGN 3: what must be true after every step, whatever the world does. */
#include "world.h"

/* ---- of one action ---- */

static bool asked_for(const struct world *w, uint64_t id)
{
	const struct engine_event *event = &w->step.event;

	return event->id == id &&
	       (event->type == ENGINE_START_DYNO || event->type == ENGINE_RESTART_DYNO);
}

/* Not before its time, and not when its job is done, it gave up or the operator stopped it; neither
 * it nor another in its place. */
static void check_rest(struct world *w, const struct engine_action *a)
{
	for (size_t i = 0; i < w->n_ended; i++) {
		const struct ended *e = &w->ended[i];
		const struct task *t = &e->task;
		const struct dyno *d = engine_find(w->engine, t->id);

		if (d && d->outdated)
			continue;
		if (!e->judged || t->fingerprint != a->dyno->fingerprint ||
			t->instance != a->dyno->instance || asked_for(w, t->id) || e->forgiven ||
			(t->id != a->id && a->generation > 1))
			continue;
		if (e->state == DYNO_STOPPED)
			world_broken(w, "ran-again", "%s.%u #%" PRIu64 " was at rest",
				a->dyno->type, t->instance, t->id);
		else if (w->now < e->due)
			world_broken(w, "early-start", "%s.%u #%" PRIu64 " was to wait",
				a->dyno->type, t->instance, t->id);
	}
}

/* Whoever lives is of the same number. (What the operator starts beside a release phase of another
 * the driver refuses.) */
static void check_alone(struct world *w, const struct engine_action *a)
{
	uint64_t own = release_alone(w, a->dyno->fingerprint);

	for (size_t i = 0; i < w->n_processes; i++)
		if (release_alone(w, w->processes[i].fingerprint) != own && !w->processes[i].phase)
			world_broken(w, "beside", "#%" PRIu64 " beside #%" PRIu64, a->id,
				w->processes[i].id);
}

static void check_start(struct world *w, const struct engine_action *a)
{
	check_alone(w, a);
	if (a->dyno->phase)
		return;
	check_rest(w, a);
	const struct formation_type *t = world_wanted(w, world_type(a->dyno->type));
	unsigned quantity = world_quantity(w, t), live = 1;

	for (size_t i = 0; i < w->n_processes; i++) {
		const struct task *p = &w->processes[i];

		if (p->id == a->id)
			world_broken(w, "started-twice", "#%" PRIu64 " has a process", a->id);
		live += strcmp(world_types[p->type], a->dyno->type) == 0;
	}
	if (w->urgency)
		world_broken(w, "started-in-shutdown", "#%" PRIu64, a->id);
	/* Without memory a roll back may come late, in the step that made this one as well. */
	if (a->generation > 1 || a->id < w->next_id || w->step.no_memory)
		return;
	if (!t || live > quantity + plan_surge(&t->rollout, quantity))
		world_broken(
			w, "too-many", "%u %s for a quantity of %u", live, a->dyno->type, quantity);
}

static void check_signal(struct world *w, const struct engine_action *a)
{
	struct task *p = world_process(w, a->id, a->generation);

	if (!p) {
		world_broken(w, "signalled-dead", "#%" PRIu64 "/%u", a->id, a->generation);
		return;
	}
	if (a->type == ACTION_SIGNAL) {
		if (p->told)
			world_broken(w, "told-twice", "#%" PRIu64, a->id);
		return;
	}
	if (w->urgency < 2 && !p->kill_told && !p->adopted && !p->kept.bad && !p->condemned) {
		bool late = p->checked && p->start_timeout &&
			    w->now >= p->started_at + p->start_timeout;

		if (p->told ? w->now < p->told_at + p->grace : p->started && !late)
			world_broken(w, "early-kill", "#%" PRIu64 " had time left", a->id);
	}
	p->kill_told = true;
}

/* A ready dyno is told to stop by the engine's own decision. */
static void check_changed(struct world *w, const struct engine_action *a)
{
	unsigned type = world_type(a->dyno->type);
	const struct formation_type *t = world_wanted(w, type);

	/* A new engine only goes on with stops that were under way. */
	if (a->from != DYNO_UP || a->event != DYNO_EV_UNWANTED || a->id == w->step.event.id ||
		w->adopting || a->dyno->phase)
		return;
	/* Nothing is promised of those that nobody can run beside, or of which that is not known.
	 */
	const struct task *p = world_process(w, a->id, a->generation);
	if (release_alone(w, a->dyno->fingerprint) != engine_formation(w->engine)->alone ||
		(w->alone && p && p->adopted))
		return;
	w->step.stopped[type]++;
	w->step.stopped_old[type] += !t || t->fingerprint != a->dyno->fingerprint;
}

void invariants_action(struct world *w, const struct engine_action *a)
{
	switch (a->type) {
	case ACTION_START:
		check_start(w, a);
		break;
	case ACTION_SIGNAL:
	case ACTION_KILL:
		check_signal(w, a);
		break;
	case ACTION_CHANGED:
		check_changed(w, a);
		break;
	case ACTION_ROLL_BACK:
		if (!w->settled || a->previous != w->settled || !a->text[0])
			world_broken(w, "roll-back", "to v%" PRIu64 ", not v%" PRIu64, a->previous,
				w->settled);
		for (size_t i = 0; i < w->n_pending; i++)
			if (w->pending[i].event.type == ENGINE_COMMITTED)
				world_broken(w, "roll-back",
					"while v%" PRIu64 " is being committed",
					w->pending[i].event.release);
		break;
	case ACTION_SETTLED:
		if (engine_rolling(w->engine) || a->release != engine_release(w->engine))
			world_broken(w, "settled", "v%" PRIu64 " too early", a->release);
		break;
	case ACTION_LEAVE:
		if (w->n_processes)
			world_broken(w, "left-behind", "%zu processes", w->n_processes);
		break;
	case ACTION_RETAG:
	case ACTION_PREPARE:
	case ACTION_DROP:
	case ACTION_COMMIT:
	case ACTION_FORGET:
	case ACTION_REPORT:
	case ACTION_ROLLOUT_BEGUN:
	case ACTION_REFUSE:
	case ACTION_SCALED:
	case ACTION_RESTING:
	case ACTION_MAX:
		break;
	}
}

/* ---- of the state after a step ---- */

struct census {
	unsigned live, ready, proven, current, resting;
};

static void check_timer(struct world *w, const struct dyno *d)
{
	static const enum dyno_event timers[DYNO_STATE_MAX] = {
		[DYNO_STOPPED] = DYNO_EVENT_MAX,
		[DYNO_STARTING] = DYNO_EV_START_TIMEOUT,
		[DYNO_UP] = DYNO_EV_STABLE,
		[DYNO_STOPPING] = DYNO_EV_GRACE_OVER,
		[DYNO_KILLING] = DYNO_EVENT_MAX,
		[DYNO_BACKOFF] = DYNO_EV_RETRY,
	};
	enum dyno_event right = timers[d->state];

	const struct task *p = world_process(w, d->id, d->generation);
	if (d->state == DYNO_STARTING && d->started && !(p && p->checked))
		right = DYNO_EV_READY;
	if (p && p->adopted && d->timer == DYNO_EV_READY)
		right = DYNO_EV_READY;
	if (d->deadline && d->timer != right)
		world_broken(w, "stale-timer", "#%" PRIu64 " %s, timer for: %s", d->id,
			dyno_state_text(d->state), dyno_event_text(d->timer));
	else if (!d->deadline && (d->state == DYNO_STOPPING || d->state == DYNO_BACKOFF))
		world_broken(w, "no-timer", "#%" PRIu64 " %s", d->id, dyno_state_text(d->state));
	else if (d->deadline && !w->step.no_memory && !w->adopting &&
		 (d->deadline <= w->now || d->deadline < engine_deadline(w->engine)))
		world_broken(w, "late-timer", "#%" PRIu64 " %s", d->id, dyno_state_text(d->state));
}

/* It was there when a release settled, as far as a new engine can tell: nobody waits for it. */
bool world_was_settled(const struct world *w, const struct dyno *d)
{
	const struct formation *f = w->settled ? w->releases[w->settled - 1].formation : NULL;
	const struct formation_type *t = f ? formation_find(f, d->type) : NULL;

	return d->id < w->settled_below ||
	       (d->id < w->restarted_below && t && t->fingerprint == d->fingerprint);
}

static void check_dyno(struct world *w, const struct dyno *d, struct census *c)
{
	struct task *p = world_process(w, d->id, d->generation);
	const struct formation_type *t = world_wanted(w, world_type(d->type));
	bool stays = d->desired != DESIRED_RETIRE;

	if (dyno_live(d) && !p)
		world_broken(w, "ghost", "#%" PRIu64 " is %s and has no process", d->id,
			dyno_state_text(d->state));
	char text[80];
	bool waits = engine_waits_for(w->engine, d, text, sizeof text) != NULL;
	if (d->state == DYNO_STOPPED && d->desired != DESIRED_REST && !waits)
		world_broken(w, "stuck", "#%" PRIu64 " is stopped and nobody will start it", d->id);
	if (d->state == DYNO_STOPPING && p && !p->told)
		world_broken(w, "not-told", "#%" PRIu64 " never got StopSignal", d->id);
	check_timer(w, d);
	if (d->phase)
		return;

	bool current = stays && t && t->fingerprint == d->fingerprint && !d->outdated;
	bool ready = stays && (dyno_ready(d) || (current && world_was_settled(w, d)));
	c->live += dyno_live(d);
	c->ready += ready;
	c->resting += dyno_ready(d) && !dyno_live(d);
	c->proven += ready && !(current && world_unproven(w, d));
	c->current += current;
}

/* What the engine has decided of those that have ended. */
static void note_ends(struct world *w)
{
	for (size_t i = 0; i < w->n_ended; i++) {
		struct ended *e = &w->ended[i];
		const struct dyno *d = engine_find(w->engine, e->task.id);

		if (!d)
			continue;
		e->judged = d->generation == e->task.generation && !dyno_live(d);
		e->forgiven |= d->outdated;
		e->state = d->state;
		e->due = d->deadline;
		e->gave_up = d->gave_up;
		e->task.last = dyno_kept(d);
	}
}

static bool same_counts(const struct dyno_kept *a, const struct dyno_kept *b)
{
	return a->restarts == b->restarts && a->failures == b->failures &&
	       a->bad_starts == b->bad_starts && a->resting == b->resting;
}

static bool is_wanted(const struct world *w, const struct task *t)
{
	const struct formation_type *type = world_wanted(w, t->type);

	return type && type->fingerprint == t->fingerprint;
}

/* A new engine is where the old one was, with all that is wanted as it was before. */
void invariants_restored(struct world *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		const struct task *t = &w->processes[i];
		const struct dyno *d = engine_find(w->engine, t->id);
		struct dyno_kept kept = d ? dyno_kept(d) : (struct dyno_kept){0};

		if (!is_wanted(w, t) || !t->last_known)
			continue;
		if (!same_counts(&kept, &t->last))
			world_broken(w, "not-restored", "#%" PRIu64 " has other counts", t->id);
	}
	for (size_t i = 0; i < w->n_ended; i++) {
		const struct ended *e = &w->ended[i];
		const struct dyno *d = engine_find(w->engine, e->task.id);

		/* Whether one that was found without its leader had come up, only its end will
		 * tell. */
		if (!d || !e->judged || !is_wanted(w, &e->task) ||
			(e->forgiven && e->state == DYNO_STOPPED) ||
			e->task.adopted || /* judged by a guess at its policy */
			(e->task.leaderless && e->task.listed))
			continue;
		struct dyno_kept kept = dyno_kept(d);
		if (d->state != e->state || d->deadline != e->due || d->gave_up != e->gave_up ||
			!same_counts(&kept, &e->task.last))
			world_broken(w, "not-restored", "#%" PRIu64 " is %s, was %s", d->id,
				dyno_state_text(d->state), dyno_state_text(e->state));
	}
}

static void check_processes(struct world *w)
{
	for (size_t i = 0; i < w->n_processes; i++) {
		const struct task *p = &w->processes[i];
		const struct dyno *d = engine_find(w->engine, p->id);

		if (w->adopting && !d)
			continue;
		if (!d || d->generation != p->generation || !dyno_live(d))
			world_broken(w, "forgotten", "a process of #%" PRIu64 "/%u lives on", p->id,
				p->generation);
		if (p->told && !p->kill_told && w->now >= p->told_at + p->grace &&
			!w->step.no_memory && !w->adopting)
			world_broken(w, "grace", "#%" PRIu64 " has outlived its grace", p->id);
	}
}

static bool hopeless(const struct world *w, const struct formation_type *t)
{
	enum character c = (enum character)(t->fingerprint % CHARACTER_MAX);

	if (w->oneshot || !world_quantity(w, t))
		return false;
	return c == NO_PROGRAM || c == HANGS || (c == DIES_YOUNG && (t->start_time || t->checked));
}

/* The operator has stopped one of the type, or one hung when it was adopted and is taken for up:
 * nobody waits for it any more. */
static bool excused(const struct world *w, const struct formation_type *t)
{
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		if (d->fingerprint == t->fingerprint && d->desired == DESIRED_REST && !d->gave_up)
			return true;
	}
	for (size_t i = 0; i < w->n_processes; i++)
		if (w->processes[i].fingerprint == t->fingerprint && w->processes[i].listed)
			return true;
	return false;
}

/* A rollout that can be rolled back, and will have to be: something new in it never comes up. */
static bool doomed(const struct world *w)
{
	const struct formation *f = engine_formation(w->engine);

	if (!engine_rolling(w->engine) || !w->settled || engine_release(w->engine) == w->settled ||
		w->disturbed)
		return false;
	for (unsigned i = 0; i < f->n_types; i++) {
		const struct formation *settled = w->releases[w->settled - 1].formation;
		const struct formation_type *t = &f->types[i];
		const struct formation_type *old = formation_find(settled, t->name);

		if ((!old || old->fingerprint != t->fingerprint) && hopeless(w, t) &&
			!excused(w, t))
			return true;
	}
	return false;
}

static void check_type(struct world *w, unsigned type, const struct census *c)
{
	const struct step *s = &w->step;
	const struct formation_type *t = world_wanted(w, type);
	unsigned quantity = world_quantity(w, t), least = quantity;
	bool recreate = t && t->rollout.strategy == ROLLOUT_RECREATE;

	/* One at rest that is not needed any more goes at once. */
	unsigned gone = s->resting[type] > c->resting ? s->resting[type] - c->resting : 0;

	if (c->live > engine_max_live(w->engine, world_types[type]))
		world_broken(w, "too-many", "%u %s live, at most %u may", c->live,
			world_types[type], engine_max_live(w->engine, world_types[type]));
	if (!s->operators && !s->rolled_back && s->release == engine_release(w->engine) &&
		!engine_stopping(w->engine) &&
		c->ready + s->lost_ready[type] + gone < s->min_up[type] && c->current < quantity)
		world_broken(w, "too-few", "%u %s ready, %u were promised", c->ready,
			world_types[type], s->min_up[type]);

	if (!s->stopped[type] || engine_stopping(w->engine))
		return;
	if (!quantity && doomed(w) && s->stopped_old[type])
		world_broken(w, "took-good-down", "%s, removed by a release that cannot come up",
			world_types[type]);
	if (recreate) {
		unsigned batch = plan_batch(&t->rollout, quantity);

		least = quantity > batch ? quantity - batch : 0;
	}
	if (c->current >= quantity) /* a smaller quantity is carried out at once */
		return;
	/* A new engine ends what the old one was ending, and then goes back to another quantity. */
	if (s->rolled_back && s->event.type == ENGINE_CAUGHT_UP)
		return;
	if (c->proven < least)
		world_broken(w, doomed(w) ? "took-good-down" : "too-few",
			"%u %s stopped, %u are left ready of %u", s->stopped[type],
			world_types[type], c->proven, quantity);
}

/* Of those that are there now, a release that has settled waits for none. */
static void note_ids(struct world *w)
{
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		if (d->id >= w->next_id)
			w->next_id = d->id + 1;
	}
	if (w->settled && !engine_rolling(w->engine))
		w->settled_below = w->next_id;
}

void invariants_check(struct world *w)
{
	struct census census[WORLD_TYPES] = {0};

	note_ids(w);

	for (size_t i = 0; i < engine_dynos(w->engine) && !w->broken; i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		check_dyno(w, d, &census[world_type(d->type)]);
	}
	check_processes(w);
	if (!w->adopting)
		note_ends(w);
	for (unsigned i = 0; i < WORLD_TYPES; i++)
		check_type(w, i, &census[i]);
	if (!engine_stopping(w->engine) && engine_release(w->engine) != w->loaded)
		world_broken(w, "release", "v%" PRIu64 " is in force, v%" PRIu64 " is loaded",
			engine_release(w->engine), w->loaded);
	if (engine_wrong(w->engine))
		world_broken(w, "wrong", "an event met a state in which it cannot happen");
}

/* With no faults left, nothing more happens: is what runs what is wanted? */
void invariants_converged(struct world *w)
{
	unsigned number[WORLD_TYPES] = {0};
	bool stalled[WORLD_TYPES] = {false}; /* by one that gave up, with nothing to go back to */
	bool any_stalled = false;

	if (w->broken || w->left)
		return;
	if (w->urgency || engine_stopping(w->engine) ||
		(w->oneshot && engine_formation(w->engine))) {
		world_broken(w, "never-left", "%zu dynos", engine_dynos(w->engine));
		return;
	}
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		number[world_type(d->type)] += !d->phase || d->state != DYNO_STOPPED;
		stalled[world_type(d->type)] |= d->gave_up;
	}
	for (unsigned i = 0; i < WORLD_TYPES; i++)
		any_stalled |= stalled[i] |= promises_waits(w, world_wanted(w, i));
	/* What goes last stays as long as the rollout waits. */
	for (unsigned i = 0; i < WORLD_TYPES; i++)
		stalled[i] |= any_stalled && engine_rolling(w->engine) &&
			      !world_quantity(w, world_wanted(w, i));
	for (unsigned i = 0; i < WORLD_TYPES; i++) {
		unsigned quantity = world_quantity(w, world_wanted(w, i));

		any_stalled |= stalled[i];
		if (number[i] != quantity && !stalled[i])
			world_broken(w, "not-converged", "%u %s, %u wanted", number[i],
				world_types[i], quantity);
	}
	if (!any_stalled && engine_rolling(w->engine))
		world_broken(w, "not-converged", "all is there and the rollout goes on");
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		const struct formation_type *t = world_wanted(w, world_type(d->type));
		unsigned quantity = world_quantity(w, t);

		if (d->gave_up || stalled[world_type(d->type)] || d->phase)
			continue;
		if (!t || d->fingerprint != t->fingerprint || d->instance < w->start_number ||
			d->instance >= w->start_number + quantity)
			world_broken(
				w, "not-converged", "%s.%u is not wanted", d->type, d->instance);
		if (d->state != DYNO_UP && (d->state != DYNO_STOPPED || d->desired != DESIRED_REST))
			world_broken(w, "not-converged", "%s.%u is %s", d->type, d->instance,
				dyno_state_text(d->state));
		for (size_t k = 0; k < i; k++)
			if (engine_dyno(w->engine, k)->instance == d->instance &&
				strcmp(engine_dyno(w->engine, k)->type, d->type) == 0)
				world_broken(w, "not-converged", "two %s.%u", d->type, d->instance);
	}
}
