/* Locks of stacks: files that only their owner can open. */
#include "cli/stack.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int stack_locks_open(const struct stacks *s)
{
	int r = mkdirat(s->fd, STACK_LOCKS, 0700) < 0 && errno != EEXIST ? -errno : 0;
	int fd = openat(s->fd, STACK_LOCKS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return r < 0 ? r : -errno;
	return fd;
}

int stack_lock_open(const struct stacks *s, const char *folder)
{
	int fd = openat(s->locks, folder,
		O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int stack_lock_take(const struct stacks *s, const char *folder, int *ret_fd)
{
	struct stat st;

	for (;;) {
		_cleanup_close_ int fd = stack_lock_open(s, folder);

		if (fd < 0)
			return fd;
		int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (r < 0 && r != -EWOULDBLOCK)
			return r;
		if (fstat(fd, &st) < 0)
			return -errno;
		/* Else another has removed it, with its stack, between the two. */
		if (st.st_nlink > 0) {
			*ret_fd = TAKE_FD(fd);
			return r < 0 ? -EBUSY : 0;
		}
	}
}
