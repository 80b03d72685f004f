/* A wall clock that jumps a day back, for LD_PRELOAD: when the file named by HSUP_TEST_CLOCK_BACK
 * exists, CLOCK_REALTIME is a day behind. The machine's own clock cannot be touched by a test. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);
	const char *trigger = getenv("HSUP_TEST_CLOCK_BACK");

	if (r == 0 && id == CLOCK_REALTIME && trigger && access(trigger, F_OK) == 0)
		t->tv_sec -= DAY;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
