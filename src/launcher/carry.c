#include "launcher/carry.h"

#include "base/fd.h"
#include "launcher/table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int open_pipe(void)
{
	char path[40];
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ HSUP_UNUSED int reading = fds[0];
	_cleanup_close_ int writing = fds[1];
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", writing);
	int both = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return both < 0 ? -errno : both;
}

int carry_open(const char *table, struct carry *ret_carry, struct err *err)
{
	char path[PATH_MAX];
	struct carry c;

	if (table && (size_t)snprintf(path, sizeof path, "%s.log", table) >= sizeof path)
		return err_errno(err, -ENAMETOOLONG, "%s.log", table);
	c.fds[0] = table_open_file(table ? path : NULL, "hsup-log", err);
	if (c.fds[0] < 0)
		return c.fds[0];
	for (int i = 1; i < CARRY_FDS; i++) {
		c.fds[i] = open_pipe();
		if (c.fds[i] < 0) {
			int r = c.fds[i];

			while (i-- > 0)
				(void)fd_close(c.fds[i]);
			return err_errno(err, r, "cannot make a pipe");
		}
	}
	*ret_carry = c;
	return 0;
}
