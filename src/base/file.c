#include "base/file.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((unsigned long long)st.st_size > max)
		return -EFBIG;

	/* One byte more than the size: a file that grew meanwhile is noticed, not cut. */
	size_t cap = (size_t)st.st_size + 1;
	_cleanup_free_ char *data = malloc(cap + 1);
	if (!data)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	ssize_t n = fd_read_full(fd, data, cap);
	if (n < 0)
		return (int)n;
	if ((size_t)n == cap)
		return (size_t)n > max ? -EFBIG : -EAGAIN;
	data[n] = '\0';
	*ret_len = (size_t)n;
	*ret_data = TAKE_PTR(data);
	return 0;
}

int file_read(int dir, const char *name, size_t max, char **ret_data, size_t *ret_len)
{
	/* O_NONBLOCK: opening a FIFO without a writer must not wait for one. */
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return file_read_fd(fd, max, ret_data, ret_len);
}

static int write_temporary(
	int dir, const char *temporary, const void *data, size_t len, mode_t mode)
{
	_cleanup_close_ int fd =
		openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	/* A name left by an earlier crash may have another mode. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	int r = fd_write_all(fd, data, len);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

int file_replace(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	char temporary[300];

	if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", name) >= sizeof temporary)
		return -ENAMETOOLONG;

	int r = write_temporary(dir, temporary, data, len, mode);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		return r;
	}

	const char *slash = strrchr(name, '/');
	char parent[300] = ".";
	if (slash)
		(void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - name), name);
	_cleanup_close_ int folder = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) < 0)
		return -errno;
	return 0;
}

/* Empties the directory `fd` (taken). Depth is bounded by the open descriptors it needs: a tree
 * deeper than that is refused by the unpacker. */
static int empty_directory(int fd, dev_t device)
{
	DIR *d = fdopendir(fd);
	int first = 0;

	if (!d) {
		int r = -errno;
		(void)fd_close(fd);
		return r;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int r = 0;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0) {
			r = -errno;
			if (r == -EISDIR || r == -EPERM) {
				int sub = openat(dirfd(d), e->d_name,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
				struct stat st;

				if (sub < 0) {
					r = -errno;
				} else if (fstat(sub, &st) < 0 || st.st_dev != device) {
					r = -EXDEV;
					(void)fd_close(sub);
				} else {
					(void)fchmod(sub, 0700);
					r = empty_directory(sub, device);
					if (unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) < 0 &&
						r == 0)
						r = -errno;
				}
			}
		}
		if (r < 0 && first == 0)
			first = r;
	}
	(void)closedir(d);
	return first;
}

int file_remove_tree(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir, name, 0) < 0 ? -errno : 0;

	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = empty_directory(fd, st.st_dev);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && r == 0)
		r = -errno;
	return r;
}

int file_give(int fd, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uid == (uid_t)-1 || uid == st.st_uid) && (gid == (gid_t)-1 || gid == st.st_gid))
		return 0;
	return fchown(fd, uid, gid) < 0 ? -errno : 0;
}
