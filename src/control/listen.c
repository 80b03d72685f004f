#include "control/listen.h"

#include "base/fd.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

/* By way of a descriptor: a socket's address has room for 107 bytes only. */
static int open_folder(const char *path, const char **ret_name, struct err *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder =
		slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

	*ret_name = slash ? slash + 1 : path;
	if (!folder)
		return err_errno(err, -ENOMEM, "control socket");
	if (!**ret_name || strlen(*ret_name) > 60)
		return err_set(err, -EINVAL,
			"control socket %.300s: its name must have 1 to 60 bytes", path);
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, -errno, "control socket: folder %.300s", folder) : fd;
}

static struct sockaddr_un address_in(int folder, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(
		address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%.80s", folder, name);
	return address;
}

static int new_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Binds under a name that nobody looks for, with its rights before anybody can know it. */
static int bind_beside(int folder, const char *name, const struct listen_rights *rights)
{
	struct sockaddr_un address = address_in(folder, name);
	_cleanup_close_ int fd = new_socket(AF_UNIX);

	if (fd < 0)
		return fd;
	(void)unlinkat(folder, name, 0);
	mode_t before = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
	(void)umask(before);
	if (r < 0)
		return r;
	if ((rights->owner != (uid_t)-1 || rights->group != (gid_t)-1) &&
		fchownat(folder, name, rights->owner, rights->group, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && fchmodat(folder, name, rights->mode, 0) < 0)
		r = -errno;
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(folder, name, 0);
	return r < 0 ? r : TAKE_FD(fd);
}

/* Whether somebody listens at what is there: 1, 0, or negative errno. */
static int is_alive(int folder, const char *name)
{
	struct sockaddr_un address = address_in(folder, name);
	_cleanup_close_ int fd = new_socket(AF_UNIX);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return 1;
	/* EAGAIN: its queue is full, so there is one. */
	return errno == ECONNREFUSED || errno == ENOENT ? 0 : errno == EAGAIN ? 1 : -errno;
}

/* Gives it its name; what is there goes only if it is dead, and is what was found dead. */
static int put_in_place(int folder, const char *beside, const char *name)
{
	for (int tries = 0; tries < 3; tries++) {
		struct stat dead, taken;

		if (linkat(folder, beside, folder, name, 0) == 0) {
			(void)unlinkat(folder, beside, 0);
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
		if (fstatat(folder, name, &dead, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		int r = is_alive(folder, name);
		if (r != 0)
			return r > 0 ? -EADDRINUSE : r;
		if (renameat2(folder, beside, folder, name, RENAME_EXCHANGE) < 0) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		if (fstatat(folder, beside, &taken, AT_SYMLINK_NOFOLLOW) == 0 &&
			taken.st_ino == dead.st_ino && taken.st_dev == dead.st_dev) {
			(void)unlinkat(folder, beside, 0);
			return 0;
		}
		/* Somebody else was as quick: it is his. */
		(void)renameat2(folder, beside, folder, name, RENAME_EXCHANGE);
	}
	return -EADDRINUSE;
}

int listen_unix(const char *path, const struct listen_rights *rights, int *ret_fd, struct err *err)
{
	const char *name;
	char beside[100];
	_cleanup_close_ int folder = open_folder(path, &name, err);

	if (folder < 0)
		return folder;
	(void)snprintf(beside, sizeof beside, ".%s.%d", name, (int)getpid());
	_cleanup_close_ int fd = bind_beside(folder, beside, rights);
	if (fd < 0)
		return err_errno(err, fd, "control socket %.300s cannot be made", path);
	int r = put_in_place(folder, beside, name);
	if (r == 0) {
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	(void)unlinkat(folder, beside, 0);
	if (r == -EADDRINUSE)
		return err_set(err, r,
			"control socket %.300s is another supervisor's, which is alive: this one "
			"serves none",
			path);
	if (r == -EEXIST)
		return err_set(err, r,
			"control socket %.300s: what is there is no socket, and is left alone",
			path);
	return err_errno(err, r, "control socket %.300s cannot be made", path);
}

ino_t listen_inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

void listen_unlink(const char *path, ino_t inode)
{
	if (inode && listen_inode(path) == inode)
		(void)unlink(path);
}

union tcp_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int parse_tcp(const char *text, union tcp_address *ret, struct err *err)
{
	const char *colon = strrchr(text, ':');
	union tcp_address a = {0};
	char host[64];
	unsigned port;

	if (!colon || colon - text >= (ptrdiff_t)sizeof host ||
		parse_uint(colon + 1, 65535, &port) < 0)
		return err_set(err, -EINVAL, "must be as 127.0.0.1:8080 or [::1]:8080");
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	size_t len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		if (inet_pton(AF_INET6, host + 1, &a.v6.sin6_addr) == 1 &&
			IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr)) {
			*ret = a;
			return 0;
		}
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1 &&
			ntohl(a.v4.sin_addr.s_addr) >> 24 == 127) {
			*ret = a;
			return 0;
		}
	}
	return err_set(err, -EINVAL,
		"must be an address of this machine alone, 127.0.0.1:PORT or [::1]:PORT: what goes "
		"there is not encrypted");
}

int listen_tcp_check(const char *address, struct err *err)
{
	union tcp_address ignored;

	return parse_tcp(address, &ignored, err);
}

int listen_tcp(const char *address, int *ret_fd, unsigned *ret_port, struct err *err)
{
	union tcp_address a = {0};
	int one = 1;

	int r = parse_tcp(address, &a, err);
	if (r < 0)
		return err_wrap(err, "--listen %.80s", address);
	socklen_t len = a.any.sa_family == AF_INET6 ? sizeof a.v6 : sizeof a.v4;
	_cleanup_close_ int fd = new_socket(a.any.sa_family);
	if (fd < 0)
		return err_errno(err, fd, "--listen %.80s", address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, &a.any, len) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, &a.any, &len) < 0)
		return err_errno(err, -errno, "--listen %.80s", address);
	*ret_port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
