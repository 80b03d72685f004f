/* What a release says: all random, but what its fingerprints stand for. */
#include "world.h"

#include <signal.h>

#define SECONDS(n) ((uint64_t)(n)*NSEC_PER_SEC)
#define PICK(r, ...)                                                                               \
	((const uint64_t[]){__VA_ARGS__}[(r) % (sizeof((const uint64_t[]){__VA_ARGS__}) / 8)])

static uint64_t scatter(uint64_t fingerprint)
{
	return fingerprint * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

bool policy_checked(uint64_t fingerprint)
{
	return (scatter(fingerprint) >> 12) % 4 == 0;
}

/* All that the fingerprint stands for follows from it, as it must. */
static void set_policy(struct formation_type *t, uint64_t fingerprint)
{
	uint64_t r = scatter(fingerprint);

	t->fingerprint = fingerprint;
	t->restart = (enum restart_policy)PICK(r, RESTART_ALWAYS, RESTART_ALWAYS, RESTART_ALWAYS,
		RESTART_ON_FAILURE, RESTART_NEVER);
	t->start_time = SECONDS(PICK(r >> 3, 0, 1, 1, 5));
	t->start_timeout = SECONDS(PICK(r >> 5, 60, 5, 5, 0));
	t->stop_timeout = SECONDS(PICK(r >> 7, 30, 10, 2, 0));
	t->start_retries = (int)PICK(r >> 9, 10, 3, 0, 1000) % 1000 - (r >> 9 & 1);
	t->n_exit_codes = 1;
	t->stop_signal = SIGTERM;
	t->checked = policy_checked(fingerprint);
}

uint64_t release_alone(const struct world *w, uint64_t fingerprint)
{
	return w->numbers[fingerprint / CHARACTER_MAX];
}

static void new_type(struct world *w, struct formation_type *t, unsigned type, uint64_t alone)
{
	memset(t, 0, sizeof *t);
	(void)snprintf(t->name, sizeof t->name, "%s", world_types[type]);
	t->quantity = (unsigned)world_random(w, 5);
	t->autostart = world_chance(w, 92);
	t->priority = (int)world_random(w, 3);
	t->essential = world_chance(w, 4);
	t->phase = type == WORLD_PHASE;
	t->rollout = (struct rollout){
		.strategy = world_chance(w, 75) ? ROLLOUT_ROLLING : ROLLOUT_RECREATE,
		.surge = (unsigned)world_random(w, 3),
		.batch = (unsigned)world_random(w, 3),
		.timeout = SECONDS(20 + world_random(w, 100)),
		.settle = world_chance(w, 70) ? 0 : SECONDS(1 + world_random(w, 80)),
	};
	/* Good ones are likelier: nothing much can be learnt from bad ones alone. */
	uint64_t what = world_chance(w, 50) ? GOOD : world_random(w, CHARACTER_MAX);

	w->numbers[w->fingerprints + 1] = alone;
	set_policy(t, ++w->fingerprints * CHARACTER_MAX + what);
	if (t->phase)
		t->checked = false;
}

/* Some wait for others; now and then in a circle, which nothing must hang in. */
static void fill_after(struct world *w, struct sim_release *r)
{
	struct formation *f = r->formation;

	r->circle = world_chance(w, 3);
	for (unsigned i = 0; i < f->n_types; i++) {
		struct formation_type *t = &f->types[i];

		t->n_after = 0;
		for (unsigned k = 0; k < f->n_types; k++)
			if ((r->circle || k < i) && world_chance(w, r->circle ? 50 : 10))
				t->after[t->n_after++] = (struct formation_after){
					k, world_chance(w, 60) ? AFTER_READY
							       : (enum after_condition)world_random(
									 w, AFTER_CONDITION_MAX)};
	}
}

void release_fill(struct world *w, struct sim_release *r, const struct formation *before)
{
	r->formation->version = w->n_releases;
	r->formation->n_types = 0;
	r->skip_phase = world_chance(w, 15);
	r->ran = r->succeeded = false;
	r->formation->alone = !w->alone			      ? 0
			      : before && world_chance(w, 50) ? before->alone
							      : w->n_releases;
	for (unsigned i = 0; i < WORLD_TYPES; i++) {
		const struct formation_type *old =
			before ? formation_find(before, world_types[i]) : NULL;
		struct formation_type *t = &r->formation->types[r->formation->n_types];

		if (world_chance(w, i == WORLD_PHASE ? 80 : old ? 10 : 60))
			continue;
		new_type(w, t, i, r->formation->alone);
		if (old && before->alone == r->formation->alone && world_chance(w, 50)) {
			unsigned quantity = t->quantity;

			*t = *old;
			if (world_chance(w, 40))
				t->quantity = quantity;
		}
		r->formation->n_types++;
	}
	fill_after(w, r);
}
