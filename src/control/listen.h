/* The sockets: made so that none is ever there with the wrong rights, or in the way of another. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct listen_rights {
	mode_t mode;
	uid_t owner; /* (uid_t)-1 = as it is made */
	gid_t group;
};

/* The Unix socket of a path, which may be longer than a socket's address: *ret_fd listens, without
 * waiting. One that nobody listens at any more is replaced. -EADDRINUSE: somebody does; -EEXIST: it
 * is something else. */
int listen_unix(const char *path, const struct listen_rights *rights, int *ret_fd,
	struct err *err) HSUP_MUST_CHECK;
/* Removes it if it is still this one. */
void listen_unlink(const char *path, ino_t inode);
/* Of the socket that is at the path; 0 = none. */
ino_t listen_inode(const char *path);

/* "127.0.0.1:8080", "[::1]:8080", port 0 = any; *ret_port: that it is. -EINVAL: not so, or not of
 * loopback. */
int listen_tcp(
	const char *address, int *ret_fd, unsigned *ret_port, struct err *err) HSUP_MUST_CHECK;
/* Only whether it can be meant. */
int listen_tcp_check(const char *address, struct err *err) HSUP_MUST_CHECK;
