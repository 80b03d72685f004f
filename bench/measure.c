/* measure RESULT PROGRAM [ARGUMENT]...: runs it and writes "NANOSECONDS PEAK_KIB STATUS" to RESULT.
 *
 * A program of its own because exec counts the pages of the caller as the new program's first peak:
 * below this one the peak is true down to a few hundred KiB; below Python it would not be. The peak
 * is that of the largest process among the program and those that it waited for. */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: measure RESULT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	uint64_t begin = now_ns();
	int r = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (r != 0) {
		(void)fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(r));
		return 1;
	}
	while (wait4(pid, &status, 0, &usage) < 0) {
		if (errno != EINTR) {
			(void)fprintf(stderr, "measure: wait: %s\n", strerror(errno));
			return 1;
		}
	}
	uint64_t end = now_ns();

	FILE *result = fopen(argv[1], "we");
	if (!result) {
		(void)fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	(void)fprintf(result, "%" PRIu64 " %ld %d\n", end - begin, usage.ru_maxrss, status);
	return fclose(result) == 0 ? 0 : 1;
}
