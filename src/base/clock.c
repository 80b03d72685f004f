#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_stamp(uint64_t wall_ns, char ret_stamp[CLOCK_STAMP_LEN + 1])
{
	static uint64_t cached_second = UINT64_MAX;
	static char cached[20];
	uint64_t second = wall_ns / NSEC_PER_SEC;
	unsigned micros = (unsigned)(wall_ns % NSEC_PER_SEC / NSEC_PER_USEC);

	if (second != cached_second) {
		time_t t = (time_t)second;
		struct tm tm;

		if (!gmtime_r(&t, &tm) ||
			!strftime(cached, sizeof cached, "%Y-%m-%dT%H:%M:%S", &tm))
			memcpy(cached, "0000-00-00T00:00:00", sizeof cached);
		cached_second = second;
	}

	memcpy(ret_stamp, cached, 19);
	ret_stamp[19] = '.';
	for (int i = 25; i >= 20; i--) {
		ret_stamp[i] = (char)('0' + micros % 10);
		micros /= 10;
	}
	memcpy(ret_stamp + 26, "+00:00", 7);
}
