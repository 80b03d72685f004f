/* How long to wait before a dyno is started again: one policy for failed starts and crashes.
 *
 * The first restart is at once, then 1 s doubling to 5 min, each plus up to a quarter of jitter;
 * after 60 s up the count is forgotten. */
#pragma once

#include <stdint.h>

#define BACKOFF_RESET_NS (UINT64_C(60) * 1000000000)

struct backoff_policy {
	uint64_t first, max; /* ns */
};
extern const struct backoff_policy backoff_default;

/* The wait after the `failures`-th failure in a row (from 1); *seed is advanced. ns. */
uint64_t backoff_delay(const struct backoff_policy *p, unsigned failures, uint64_t *seed);
