/* The dyno of every measurement: says when it began to run, then waits to be ended.
 *
 * child REPORT: appends one record to that file. A write of this size with O_APPEND is whole, so
 * any number of children share one report without a word to each other. */
#include "record.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0 || argc < 2)
		return 2;

	struct record record = {
		.ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
		.pid = (uint64_t)getpid(),
	};
	int fd = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || write(fd, &record, sizeof record) != sizeof record)
		return 1;
	(void)close(fd);

	for (;;)
		(void)pause();
}
