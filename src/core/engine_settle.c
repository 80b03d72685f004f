/* SettleSeconds: a new dyno of a rollout counts only when it has been up for so long. */
#include "core/engine_private.h"

static uint64_t settle_of(const struct slot *s)
{
	return s->group->wanted ? s->group->wanted->rollout.settle : 0;
}

bool settle_needed(const struct engine *e, const struct slot *s)
{
	return e->rolling && s->current && settle_of(s) && !slot_kept(e, s) && !s->proven;
}

uint64_t settle_proof(const struct engine *e, struct slot *s, uint64_t now)
{
	const struct dyno *d = &s->dyno;
	uint64_t settle = settle_of(s), due;

	if (d->state != DYNO_UP)
		s->proven = false;
	if (d->state != DYNO_UP || !settle_needed(e, s))
		return 0;
	due = settle < UINT64_MAX - d->since ? d->since + settle : UINT64_MAX;
	s->proven = due <= now;
	return s->proven ? 0 : due;
}

void settle_run(struct engine *e, uint64_t now)
{
	if (!e->rolling || e->holding || e->stopping)
		return;
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		if (!g->tally.proving || g->proof > now)
			continue;
		g->proof = UINT64_MAX;
		g->progress = now;
		for (size_t k = 0; k < g->n; k++)
			if (g->slots[k]->counted.proving)
				slot_count(e, g->slots[k], now);
	}
}

uint64_t settle_deadline(const struct engine *e)
{
	uint64_t first = UINT64_MAX;

	if (!e->rolling || e->holding || e->stopping)
		return first;
	for (size_t i = 0; i < e->n_groups; i++) {
		const struct group *g = e->groups[i];

		if (g->tally.proving && g->proof < first)
			first = g->proof;
	}
	return first;
}
