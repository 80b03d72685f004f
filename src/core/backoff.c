#include "core/backoff.h"

#include "base/clock.h"

const struct backoff_policy backoff_default = {
	.first = NSEC_PER_SEC,
	.max = 300 * NSEC_PER_SEC,
};

/* splitmix64: every seed is a good one, 0 included. */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t backoff_delay(const struct backoff_policy *p, unsigned failures, uint64_t *seed)
{
	uint64_t delay = p->first;

	if (failures <= 1)
		return 0;
	for (unsigned i = 2; i < failures && delay < p->max; i++)
		delay = delay > p->max / 2 ? p->max : delay * 2;
	return delay + next_random(seed) % (delay / 4 + 1);
}
