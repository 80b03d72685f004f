/* What must be true of order, release phases, SettleSeconds, the operator's wishes and the end. */
#include "world.h"

bool world_unproven(const struct world *w, const struct dyno *d)
{
	const struct formation_type *t = world_wanted(w, world_type(d->type));

	return t && t->rollout.settle && engine_rolling(w->engine) && d->state == DYNO_UP &&
	       !world_was_settled(w, d) && w->now - d->since < t->rollout.settle;
}

bool world_rests(const struct world *w, const char *type, unsigned instance)
{
	for (size_t i = 0; i < w->n_rests; i++)
		if (w->rests[i].instance == instance && strcmp(w->rests[i].type, type) == 0)
			return true;
	return false;
}

/* ---- order ---- */

static bool is_current(const struct dyno *d, const struct formation_type *t)
{
	return !d->phase && !d->outdated && d->desired != DESIRED_RETIRE &&
	       d->fingerprint == t->fingerprint && strcmp(d->type, t->name) == 0;
}

/* Is d as far as those want that come after it? */
static bool has_come(const struct dyno *d, enum after_condition c)
{
	bool ready = dyno_ready(d);

	if (c == AFTER_STARTED)
		return ready || (dyno_live(d) && d->started);
	if (c == AFTER_SUCCEEDED)
		return d->state == DYNO_STOPPED && d->desired == DESIRED_REST && !d->gave_up &&
		       !d->asked && d->last_exit.kind == EXIT_CODE && d->last_exit.value == 0;
	return ready;
}

static unsigned count_come(
	const struct world *w, const struct formation_type *t, enum after_condition c)
{
	unsigned n = 0;

	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		n += is_current(d, t) && has_come(d, c);
	}
	return n;
}

static const struct formation_type *unmet(const struct world *w, const struct formation_type *t)
{
	const struct formation *f = engine_formation(w->engine);

	for (unsigned i = 0; i < t->n_after; i++) {
		const struct formation_type *other = &f->types[t->after[i].type];

		if (count_come(w, other, t->after[i].condition) < world_quantity(w, other))
			return other;
	}
	return NULL;
}

static bool has_circle(const struct world *w)
{
	return w->releases[engine_release(w->engine) - 1].circle;
}

bool promises_waits(const struct world *w, const struct formation_type *t)
{
	return t && world_quantity(w, t) && (has_circle(w) || unmet(w, t));
}

/* Nobody waits for the rest of such a type. */
static bool has_failing(const struct world *w, const struct formation_type *t)
{
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		if (is_current(d, t) && !dyno_ready(d) &&
			(d->failures || d->bad_starts || d->gave_up))
			return true;
	}
	return false;
}

/* All of a lower Priority must have come up, be at rest, or have tried. */
static const struct dyno *not_tried(const struct world *w, const struct formation_type *t)
{
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		const struct formation_type *its = world_wanted(w, world_type(d->type));

		/* One with an After may have waited for another until just now. */
		if (!world_quantity(w, its) || its->priority >= t->priority || its->n_after ||
			has_failing(w, its) || !is_current(d, its))
			continue;
		if (!dyno_ready(d) && !d->failures && !d->bad_starts && !d->gave_up)
			return d;
	}
	return NULL;
}

static unsigned count_all(const struct world *w, const struct formation_type *t)
{
	unsigned n = 0;

	for (size_t i = 0; i < engine_dynos(w->engine); i++)
		n += is_current(engine_dyno(w->engine, i), t);
	return n;
}

static void check_turn(struct world *w, const struct engine_action *a)
{
	const struct formation *f = engine_formation(w->engine);
	const struct formation_type *t = f ? formation_find(f, a->dyno->type) : NULL;

	/* Only what has never run is asked; what the step did later may have changed it. */
	if (!t || engine_stopping(w->engine) || a->generation > 1 || a->dyno->phase ||
		has_circle(w) || w->step.rolled_back || !is_current(a->dyno, t) ||
		w->step.no_memory || a->id == w->step.event.id)
		return;
	if (unmet(w, t))
		world_broken(w, "early-turn", "%s.%u before %s", t->name, a->dyno->instance,
			unmet(w, t)->name);
	if (not_tried(w, t))
		world_broken(w, "early-turn", "%s.%u before %s.%u of a lower Priority", t->name,
			a->dyno->instance, not_tried(w, t)->type, not_tried(w, t)->instance);
	for (unsigned i = 0; i < f->n_types; i++) {
		const struct formation_type *other = &f->types[i];

		if (other->priority < t->priority && !other->n_after && !has_failing(w, other) &&
			count_all(w, other) < world_quantity(w, other))
			world_broken(w, "early-turn", "%s.%u before all %s are there", t->name,
				a->dyno->instance, other->name);
	}
}

static int step_of(const struct world *w, unsigned type)
{
	const struct formation *f = engine_formation(w->engine);
	const struct formation_type *t = world_wanted(w, type);
	int highest = 0;

	if (t && !t->phase)
		return t->priority;
	for (unsigned i = 0; f && i < f->n_types; i++)
		if (!f->types[i].phase && f->types[i].priority > highest)
			highest = f->types[i].priority;
	return highest;
}

/* The last to start is the first to stop, and has gone when the next is told. */
static void check_stop_order(struct world *w, const struct engine_action *a)
{
	int step = step_of(w, world_type(a->dyno->type));

	if (!w->step.was_stopping || w->urgency > 1 || a->id == w->step.event.id ||
		a->type != ACTION_SIGNAL || w->adopting)
		return;
	for (size_t i = 0; i < w->n_processes; i++)
		if (!w->processes[i].phase && step_of(w, w->processes[i].type) > step)
			world_broken(w, "stop-order", "%s.%u before %s.%u", a->dyno->type,
				a->dyno->instance, world_types[w->processes[i].type],
				w->processes[i].instance);
}

/* ---- release phase ---- */

static void check_phase_start(struct world *w, const struct engine_action *a)
{
	const struct sim_release *r = &w->releases[a->release - 1];

	if (!a->dyno->phase)
		return;
	if (r->skip_phase)
		world_broken(w, "phase", "of v%" PRIu64 ", which has none", a->release);
	if (r->ran)
		world_broken(w, "phase-twice", "v%" PRIu64, a->release);
	if (a->dyno->version != r->formation->version || a->kept.version != a->dyno->version)
		world_broken(w, "phase", "of another version");
	for (size_t i = 0; i < w->n_processes; i++)
		if (w->processes[i].phase)
			world_broken(w, "phase", "two at once");
}

static void check_commit(struct world *w, const struct engine_action *a)
{
	const struct sim_release *r = &w->releases[a->release - 1];
	const struct formation_type *t = formation_find(r->formation, world_types[WORLD_PHASE]);

	if (t && !r->skip_phase && !r->succeeded)
		world_broken(
			w, "unphased", "v%" PRIu64 " has not passed its release phase", a->release);
}

static void check_refuse(struct world *w, const struct engine_action *a)
{
	if (w->releases[a->release - 1].succeeded)
		world_broken(w, "refused-good", "v%" PRIu64, a->release);
	if (a->release != w->submitted || !a->text[0])
		world_broken(w, "refused-other", "v%" PRIu64, a->release);
}

/* ---- the end ---- */

/* The codes with which it may leave, when one that it cannot do without has ended. */
static void note_essential(struct world *w)
{
	const struct dyno_exit *exit = &w->step.event.exit;

	if (!engine_stopping(w->engine) || w->urgency || w->left || w->essential_gone)
		return;
	w->essential_gone = true;
	world_note_code(w, exit);
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		int code = dyno_exit_code(&d->last_exit);

		w->essential_codes[d->gave_up && !code ? 1 : code & 255] = true;
	}
}

static bool any_essential(const struct world *w)
{
	const struct formation *f = engine_formation(w->engine);

	for (unsigned i = 0; f && i < f->n_types; i++)
		if (f->types[i].essential)
			return true;
	return false;
}

static void check_leave(struct world *w, const struct engine_action *a)
{
	int largest = 0;

	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		int code = dyno_exit_code(&d->last_exit);

		code = d->gave_up && !code ? 1 : code;
		largest = code > largest ? code : largest;
	}
	if (any_essential(w))
		note_essential(w);
	if (w->essential_gone && a->code >= 0 && a->code < 256 && w->essential_codes[a->code])
		return;
	if (w->essential_gone && !w->exit_when_done && !w->oneshot)
		world_broken(w, "exit-code", "%d of no essential dyno", a->code);
	else if (!w->essential_gone && !w->urgency && !w->exit_when_done && !w->oneshot)
		world_broken(w, "left-early", "nobody wanted that");
	else if (a->code != (w->oneshot ? w->code : w->urgency ? 0 : largest))
		world_broken(w, "exit-code", "%d, not %d or %d", a->code, w->code, largest);
}

/* The operator has just started one of its number. */
static bool was_asked(const struct world *w, const struct dyno *d)
{
	const struct dyno *its = w->step.event.id ? engine_find(w->engine, w->step.event.id) : NULL;

	return its && its->instance == d->instance && strcmp(its->type, d->type) == 0;
}

void promises_action(struct world *w, const struct engine_action *a)
{
	switch ((int)a->type) {
	case ACTION_START:
		check_turn(w, a);
		check_phase_start(w, a);
		if (world_rests(w, a->dyno->type, a->dyno->instance) && !was_asked(w, a->dyno) &&
			!a->dyno->phase)
			world_broken(w, "ran-again", "%s.%u was stopped by the operator",
				a->dyno->type, a->dyno->instance);
		break;
	case ACTION_SIGNAL:
		check_stop_order(w, a);
		break;
	case ACTION_COMMIT:
		check_commit(w, a);
		break;
	case ACTION_REFUSE:
		check_refuse(w, a);
		break;
	case ACTION_SETTLED:
		for (size_t i = 0; i < engine_dynos(w->engine); i++) {
			const struct dyno *d = engine_dyno(w->engine, i);
			const struct formation_type *t = world_wanted(w, world_type(d->type));

			if (t && d->state == DYNO_UP && d->desired != DESIRED_RETIRE &&
				!world_was_settled(w, d) && !d->phase &&
				w->now - d->since < t->rollout.settle)
				world_broken(w, "unproven", "%s.%u", d->type, d->instance);
		}
		break;
	case ACTION_LEAVE:
		check_leave(w, a);
		break;
	default:
		break;
	}
}

/* ---- after a step ---- */

static void check_quantities(struct world *w)
{
	for (unsigned i = 0; i < WORLD_TYPES; i++) {
		unsigned wanted = world_quantity(w, world_wanted(w, i));

		if (engine_quantity(w->engine, world_types[i]) != wanted)
			world_broken(w, "scaled", "%u %s are wanted, not %u",
				engine_quantity(w->engine, world_types[i]), world_types[i], wanted);
	}
}

static void check_rests(struct world *w)
{
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		const struct formation_type *t = world_wanted(w, world_type(d->type));
		bool noted = world_rests(w, d->type, d->instance);

		if (!t || !is_current(d, t) || w->adopting || w->step.no_memory)
			continue;
		if (noted && d->desired != DESIRED_REST && !d->gave_up)
			world_broken(w, "ran-again", "%s.%u was stopped by the operator", d->type,
				d->instance);
		if (!noted && dyno_stopped_by_operator(d) &&
			d->instance < w->start_number + world_quantity(w, t))
			world_broken(w, "not-noted", "%s.%u is stopped by the operator", d->type,
				d->instance);
	}
}

/* One that is unhealthy is stopped; its end is a crash, with whatever code. */
static void check_health(struct world *w)
{
	const struct engine_event *event = &w->step.event;
	const struct dyno *d = event->id ? engine_find(w->engine, event->id) : NULL;
	struct task *p = d ? world_process(w, d->id, d->generation) : NULL;

	if (p && p->condemned && (d->state == DYNO_UP || d->state == DYNO_STARTING))
		world_broken(w, "ill", "#%" PRIu64 " goes on", d->id);
	if (p && d->state == DYNO_KILLING && !p->kill_told && !w->adopting)
		world_broken(w, "not-killed", "#%" PRIu64, d->id);
	if (!d || event->type != ENGINE_EXITED || d->asked || d->phase || w->oneshot)
		return;
	for (size_t i = 0; i < w->n_ended; i++) {
		const struct task *t = &w->ended[i].task;

		if (t->id == d->id && t->generation == d->generation && t->condemned &&
			d->state == DYNO_STOPPED && d->desired == DESIRED_REST && !d->gave_up)
			world_broken(w, "ill", "#%" PRIu64 " is said to have done its job", d->id);
	}
}

static void check_essential(struct world *w)
{
	const struct engine_event *event = &w->step.event;
	const struct dyno *d = event->id ? engine_find(w->engine, event->id) : NULL;
	const struct formation_type *t = d ? world_wanted(w, world_type(d->type)) : NULL;
	bool ended = event->type == ENGINE_EXITED || event->type == ENGINE_FAILED;

	if (!ended || !t || !t->essential || !is_current(d, t) || d->asked ||
		d->desired != DESIRED_REST || d->generation != event->generation ||
		(d->gave_up && w->step.protected && !world_was_settled(w, d)))
		return;
	if (!engine_stopping(w->engine) && !w->step.no_memory && !w->adopting)
		world_broken(w, "essential", "%s.%u has ended for good", d->type, d->instance);
}

static void check_abort(struct world *w)
{
	if (w->step.event.type != ENGINE_ABORT || !w->step.protected || w->step.no_memory ||
		engine_stopping(w->engine))
		return;
	for (size_t i = 0; i < w->n_pending; i++)
		if (w->pending[i].event.type == ENGINE_COMMITTED ||
			w->pending[i].event.type == ENGINE_COMMIT_FAILED)
			return;
	if (!w->step.rolled_back)
		world_broken(w, "abort", "and the rollout goes on");
}

/* Once a release is in force or not, nobody asks for the end of its release phase any more. */
static void check_phases(struct world *w)
{
	enum engine_event_type type = w->step.event.type;

	if ((type != ENGINE_COMMITTED && type != ENGINE_COMMIT_FAILED) || w->step.no_memory)
		return;
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		if (d->phase && d->desired != DESIRED_RETIRE)
			world_broken(w, "phase-left", "#%" PRIu64, d->id);
	}
}

void promises_check(struct world *w)
{
	check_phases(w);
	note_essential(w);
	if (!engine_stopping(w->engine))
		check_quantities(w);
	check_rests(w);
	check_health(w);
	check_essential(w);
	check_abort(w);
}

/* Nothing more will happen: should it not have left? */
void promises_converged(struct world *w)
{
	char text[80];

	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);
		const struct formation_type *t = world_wanted(w, world_type(d->type));

		if (engine_waits_for(w->engine, d, text, sizeof text) && t && !unmet(w, t))
			world_broken(
				w, "waits-for-ever", "%s.%u for %s", d->type, d->instance, text);
	}
	if (w->submitted && !engine_stopping(w->engine))
		world_broken(
			w, "stuck-release", "v%" PRIu64 " is on its way for ever", w->submitted);
	if (!w->exit_when_done || !engine_formation(w->engine))
		return;
	for (size_t i = 0; i < engine_dynos(w->engine); i++) {
		const struct dyno *d = engine_dyno(w->engine, i);

		if (dyno_live(d) || dyno_stopped_by_operator(d))
			return;
	}
	world_broken(w, "never-left", "nothing runs, and nothing will");
}
