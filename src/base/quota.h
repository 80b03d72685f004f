/* Quotas by project: how much all files below one folder may take of their file system (ext4 with
 * the features `quota` and `project`, XFS; mounted with prjquota). A project is a number that files
 * inherit from their folder; ours is made of the folder's inode number, so that hardly two folders
 * that are there begin with the same, and nobody has to keep a list. */
#pragma once

#include "base/mem.h"

#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* but on alpha and MIPS */
#endif

/* Whether the file system of this descriptor (O_PATH will do) holds projects to their limits.
 * 1 or 0; negative errno: that cannot be known. */
int quota_enforced(int fd);
/* A folder that is new and empty: it, and whatever is made below it, may take so many bytes
 * together, and a file for each 4 KiB of them. 0, or -EOPNOTSUPP: there is no such limit here; or
 * negative errno. */
int quota_begin(int folder, uint64_t bytes) HSUP_MUST_CHECK;
/* The project that quota_begin() has given to it; 0 = none. */
uint32_t quota_of(int folder);
/* There is no limit any more. `fd`: anything of its file system. */
void quota_end(int fd, uint32_t project);
