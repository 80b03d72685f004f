/* File descriptors: owned by exactly one variable, close-on-exec from birth, -1 means none. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes fd if it is one; keeps errno; returns -1, so that `fd = fd_close(fd)` forgets it. */
int fd_close(int fd);

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

#define _cleanup_close_ HSUP_CLEANUP(fd_closep)

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int _taken = (fd);                                                                 \
		(fd) = -1;                                                                         \
		_taken;                                                                            \
	})

/* Writes all of it, through EINTR and short writes (blocking fd). 0 or negative errno. */
int fd_write_all(int fd, const void *data, size_t len) HSUP_MUST_CHECK;

/* Reads until len bytes or end of file. Bytes read, or negative errno. */
ssize_t fd_read_full(int fd, void *data, size_t len) HSUP_MUST_CHECK;

/* O_NONBLOCK and FD_CLOEXEC on a descriptor that came from outside. 0 or negative errno. */
int fd_nonblock(int fd, bool on);
int fd_cloexec(int fd, bool on);

/* renameat2(2) that replaces nothing, which musl has no names for. -EEXIST: the new name is taken.
 */
int fd_rename_new(int from, const char *name, int to, const char *new_name) HSUP_MUST_CHECK;

/* Closes every descriptor from `first` on, or makes it close-on-exec. */
void fd_from(int first, bool cloexec);
