/* Time. Deadlines and ages are nanoseconds of CLOCK_MONOTONIC; wall-clock time is only ever shown.
 */
#pragma once

#include <stdint.h>

#define NSEC_PER_SEC  UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

uint64_t clock_now(void);  /* CLOCK_MONOTONIC, ns */
uint64_t clock_wall(void); /* CLOCK_REALTIME, ns since 1970 */

/* RFC 3339 in UTC with microseconds, as Heroku prints it: "2026-11-21T08:00:00.123456+00:00".
 * Formats the seconds part once per second (logs call this for every line). */
#define CLOCK_STAMP_LEN 32
void clock_stamp(uint64_t wall_ns, char ret_stamp[CLOCK_STAMP_LEN + 1]);
