/* Whole files, relative to a directory descriptor (AT_FDCWD allowed). */
#pragma once

#include "base/mem.h"

#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file of at most max bytes. *ret_data is NUL-terminated behind *ret_len bytes;
 * the caller frees it. -EFBIG above max, -EISDIR / -EINVAL when it is no regular file (a FIFO is
 * never waited on), else the errno of open or read. */
int file_read(
	int dir, const char *name, size_t max, char **ret_data, size_t *ret_len) HSUP_MUST_CHECK;

/* The same from an open descriptor, from its start; fd stays the caller's. */
int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len) HSUP_MUST_CHECK;

/* Replaces a file durably: a temporary name beside it, write, fsync, rename, fsync of the
 * directory. Either the old or the new content is there after a crash; on failure the old one is
 * and no temporary is left. */
int file_replace(
	int dir, const char *name, const void *data, size_t len, mode_t mode) HSUP_MUST_CHECK;

/* Removes name and, when it is a directory, all below it, never following a link or leaving the
 * file system. 0, or the errno of the first thing that could not go (the rest is still tried);
 * a name that does not exist is success. */
int file_remove_tree(int dir, const char *name);

/* Makes a file somebody's; -1: of whom it is. Nothing is asked for that is so already: a supervisor
 * with a user of its own may not even ask. */
int file_give(int fd, uid_t uid, gid_t gid);
