#include "wire/box_presence.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100

static int lock_file(const char *run, int flags, short type, int command)
{
	struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
	char path[PATH_MAX + 16];
	struct stat st;
	int r;

	(void)snprintf(path, sizeof path, "%s/" BOX_PRESENT, run);
	_cleanup_close_ int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || ((flags & O_CREAT) && fchmod(fd, 0644) < 0))
		return -errno;
	do
		r = fcntl(fd, command, &whole);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	/* It was removed while we waited for it. */
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -ENOENT;
	return TAKE_FD(fd);
}

/* Between a start's setup and this, or while a supervisor was restarted, the last one of others may
 * have taken all away; the next of them may do it again. */
int box_presence_hold(const char *run)
{
	bool root = geteuid() == 0;
	int r = -ENOENT;

	for (int i = 0; r == -ENOENT && i < TRIES; i++) {
		if (root && mkdir(run, 0755) < 0 && errno != EEXIST)
			return -errno;
		r = lock_file(run, root ? O_RDONLY | O_CREAT : O_RDONLY, F_RDLCK, F_OFD_SETLKW);
	}
	return r;
}

int box_presence_alone(const char *run)
{
	return lock_file(run, O_RDWR, F_WRLCK, F_OFD_SETLK);
}
