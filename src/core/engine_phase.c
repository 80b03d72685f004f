/* The release phase: before a release is made the one in force, one dyno of its type "release"
 * runs, once, with the new code and environment. Its exit code decides.
 *
 * Such dynos stand in a group of their own, of which the plan knows nothing. One at a time: that of
 * an overtaken release has to be gone before the next starts. Its end is kept until the release is
 * in force or refused for good, so that a supervisor that dies in between does not run it again: a
 * life found then belongs to the release with its version and fingerprint. */
#include "core/engine_private.h"

#include <errno.h>
#include <stdio.h>

const struct formation_type *phase_type(const struct formation *f)
{
	for (unsigned i = 0; i < f->n_types; i++)
		if (f->types[i].phase)
			return &f->types[i];
	return NULL;
}

static bool is_of(const struct slot *s, const struct formation *f)
{
	const struct formation_type *t = phase_type(f);

	return t && s->dyno.fingerprint == t->fingerprint && s->dyno.version == f->version;
}

/* Found, and not told to end: it is the one that this release would start. */
static bool is_its(const struct engine *e, const struct slot *s)
{
	if (s->dyno.desired == DESIRED_RETIRE || s->dyno.asked)
		return false;
	return s->era == e->phasing || (!s->era && is_of(s, e->phasing->formation));
}

void phase_over(struct engine *e, uint64_t now)
{
	for (size_t i = e->phase.n; i-- > 0;) {
		struct slot *s = e->phase.slots[i];

		if (s->dyno.desired == DESIRED_RETIRE)
			continue;
		if (actions_reserve(e, ACTIONS_PER_STEP) < 0) {
			plan_later(e, now);
			return;
		}
		slot_retire(e, s, DYNO_EV_UNWANTED, now);
	}
}

void phase_drop(struct engine *e, uint64_t now)
{
	if (!e->phasing)
		return;
	action_add(e, ACTION_DROP)->release = e->phasing->handle;
	e->phasing = era_unref(e->phasing);
	phase_over(e, now);
}

void phase_refuse(struct engine *e, const char *why, uint64_t now)
{
	struct engine_action *a = action_add(e, ACTION_REFUSE);

	a->release = e->phasing->handle;
	(void)snprintf(a->text, sizeof a->text, "release phase: %s", why);
	e->counts.refused++;
	e->phasing = era_unref(e->phasing);
	phase_over(e, now);
}

static void judge(struct engine *e, const struct slot *s, uint64_t now)
{
	const struct dyno_exit *exit = &s->dyno.last_exit;
	char how[96];

	if (actions_reserve(e, 1 + ACTIONS_PER_STEP) < 0) {
		plan_later(e, now);
		return;
	}
	if (exit->kind == EXIT_CODE && !s->dyno.condemned &&
		formation_exit_expected(s->type, exit->value)) {
		e->committing = TAKE_PTR(e->phasing);
		action_add(e, ACTION_COMMIT)->release = e->committing->handle;
		return;
	}
	dyno_exit_text(exit, e->stage_text, how, sizeof how);
	phase_refuse(e, how, now);
}

static int begin(struct engine *e, uint64_t now)
{
	const struct formation_type *t = phase_type(e->phasing->formation);
	struct slot *s;
	int r = actions_reserve(e, ACTIONS_PER_STEP);

	if (!t)
		return -EINVAL;
	if (r < 0)
		return r;
	(void)snprintf(e->phase.name, sizeof e->phase.name, "%s", t->name);
	r = table_add(e, &e->phase, e->next_id, 1, &s);
	if (r < 0)
		return r;
	e->next_id++;
	slot_bind(s, e->phasing, t);
	s->current = true;
	s->dyno.phase = true;
	s->dyno.fingerprint = t->fingerprint;
	s->dyno.version = e->phasing->formation->version;
	slot_apply(e, s, DYNO_EV_WANTED, now);
	return 0;
}

void phase_run(struct engine *e, uint64_t now)
{
	struct slot *its = NULL;

	if (!e->phasing || e->holding || e->stopping)
		return;
	for (size_t i = 0; i < e->phase.n && !its; i++)
		if (is_its(e, e->phase.slots[i]))
			its = e->phase.slots[i];
	if (!its) {
		phase_over(e, now);
		if (actions_reserve(e, 1) < 0)
			plan_later(e, now);
		else if (!e->phase.n && alone_barred(e, e->phasing->formation))
			phase_refuse(
				e, "others run that its dyno cannot run beside: stop them", now);
		else if (!e->phase.n && begin(e, now) < 0)
			plan_later(e, now);
		return;
	}
	if (!its->era)
		slot_bind(its, e->phasing, phase_type(e->phasing->formation));
	if (!dyno_live(&its->dyno))
		judge(e, its, now);
}

/* That of the release in force has done its part. */
void phase_caught_up(struct engine *e, uint64_t now)
{
	if (!e->wanted)
		return;
	for (size_t i = e->phase.n; i-- > 0;) {
		struct slot *s = e->phase.slots[i];

		if (!dyno_live(&s->dyno) && is_of(s, e->wanted->formation))
			slot_retire(e, s, DYNO_EV_UNWANTED, now);
	}
}
