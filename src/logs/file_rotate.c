#include "base/clock.h"
#include "base/fd.h"
#include "logs/file.h"
#include "logs/file_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Names in the order of time, whatever the clock does while we live. */
static int move_aside(struct log_file *f)
{
	char path[PATH_MAX], stamp[FILE_STAMP_LEN + 1];
	uint64_t micros = clock_wall() / NSEC_PER_USEC;

	for (unsigned tries = 0; tries < 1000; tries++) {
		if (micros <= f->last_name)
			micros = f->last_name + 1;
		f->last_name = micros;
		file_stamp(micros, stamp);
		if ((size_t)snprintf(path, sizeof path, "%s.%s", f->path, stamp) >= sizeof path)
			return -ENAMETOOLONG;
		if (renameat2(AT_FDCWD, f->path, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
			return 0;
		/* Of a file system that does not know how. */
		if (errno == EINVAL && rename(f->path, path) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int log_file_rotate(struct log_file *f)
{
	int r = move_aside(f);

	/* Gone already: the next write makes a new one. */
	if (r < 0 && r != -ENOENT) {
		log_file_trouble(f, r, "rotated");
		return r;
	}
	f->fd = fd_close(f->fd);
	if (f->keeper)
		file_keeper_order(f->keeper, f->path, f->keep, f->compress);
	return 0;
}

void file_stamp(unsigned long long micros, char ret_stamp[FILE_STAMP_LEN + 1])
{
	time_t seconds = (time_t)(micros / 1000000);
	struct tm tm;
	char text[32] = "00000000T000000";

	if (gmtime_r(&seconds, &tm))
		(void)strftime(text, sizeof text, "%Y%m%dT%H%M%S", &tm);
	(void)snprintf(
		ret_stamp, FILE_STAMP_LEN + 1, "%.15s.%06uZ", text, (unsigned)(micros % 1000000));
}

bool file_is_stamp(const char *text)
{
	static const char shape[] = "00000000T000000.000000Z";

	_Static_assert(sizeof shape == FILE_STAMP_LEN + 1, "the stamp's length");
	for (size_t i = 0; i < FILE_STAMP_LEN; i++)
		if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
			return false;
	return true;
}
