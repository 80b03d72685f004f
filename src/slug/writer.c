#include "slug/writer.h"

#include "base/fd.h"
#include "base/file.h"
#include "slug/dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
	int root;
	struct writer_limits limits;
	struct dirs *dirs;
	uint64_t bytes, entries, stripped;
	uid_t uid; /* of the entry */
	gid_t gid;

	int file; /* the one being written, or -1 */
	uint64_t file_size, file_end;
};

static const char *what(const struct writer *w)
{
	return w->limits.stack ? "stack" : "slug";
}

int writer_new(int root, const struct writer_limits *limits, struct writer **ret_writer)
{
	struct writer *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->root = root;
	w->limits = *limits;
	w->file = -1;
	int r = dirs_new(root, &w->entries, limits->max_entries, what(w), &w->dirs);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret_writer = w;
	return 0;
}

struct writer *writer_free(struct writer *w)
{
	if (w) {
		(void)fd_close(w->file);
		(void)dirs_free(w->dirs);
		free(w);
	}
	return NULL;
}

uint64_t writer_bytes(const struct writer *w)
{
	return w->bytes;
}

uint64_t writer_entries(const struct writer *w)
{
	return w->entries;
}

uint64_t writer_stripped(const struct writer *w)
{
	return w->stripped;
}

void writer_owner(struct writer *w, uid_t uid, gid_t gid)
{
	w->uid = uid;
	w->gid = gid;
}

bool writer_keeps_owners(const struct writer *w)
{
	return w->limits.owners;
}

int writer_count(struct writer *w, uint64_t size, struct err *err)
{
	if (w->entries >= w->limits.max_entries)
		return err_set(err, -EFBIG, "the %s has more than %llu entries", what(w),
			(unsigned long long)w->limits.max_entries);
	if (size > w->limits.max_bytes - w->bytes)
		return err_set(err, -EFBIG, "the %s unpacks to more than %llu bytes", what(w),
			(unsigned long long)w->limits.max_bytes);
	w->entries++;
	w->bytes += size;
	return 0;
}

/* Of a slug set-id and sticky bits go, and nobody but the owner may write into what all dynos
 * share. Heroku makes its slugs with umask 077, for dynos of the owning user; where ours have users
 * of their own the owner's read and execute bits are for all. (Who may reach the slug at all is
 * decided by the directory above it.) */
static mode_t allowed_mode(struct writer *w, mode_t mode)
{
	if (w->limits.stack) {
		if (S_ISREG(mode) && (mode & (S_ISUID | S_ISGID)))
			w->stripped++;
		/* Without the owners' ids nobody but us can be meant. */
		if (!w->limits.owners)
			mode |= S_ISDIR(mode) ? 0700 : 0400;
		return mode & 01777;
	}
	mode &= 0755;
	return w->limits.shared ? mode | (mode & 0500) >> 3 | (mode & 0500) >> 6 : mode;
}

static int enter_parent(struct writer *w, const struct entry_name *name, struct err *err)
{
	if (name->len == 0)
		return err_set(err, -EBADMSG, "it would replace the %s's root", what(w));
	return dirs_enter(w->dirs, name->path, entry_name_parent(name), err);
}

/* Makes room where an earlier entry of the same name lies: the later one wins, as with tar. */
static int remove_earlier(
	struct writer *w, const struct entry_name *name, int parent, struct err *err)
{
	const char *last = entry_name_last(name);

	if (unlinkat(parent, last, 0) == 0)
		return 0;
	if (w->limits.stack && (errno == EISDIR || errno == EPERM)) {
		dirs_leave(w->dirs, name->depth - 1);
		int r = file_remove_tree(parent, last);
		return r < 0 ? err_errno(err, r, "cannot replace the directory") : 0;
	}
	if (errno == EISDIR || errno == EPERM)
		return err_set(err, -EBADMSG, "there is a directory of this name");
	return err_errno(err, -errno, "cannot replace the earlier one");
}

/* Owner, then mode: the first takes from the second. */
static int set_owner(const struct writer *w, int fd, mode_t mode, struct err *err)
{
	if (w->limits.owners && fchown(fd, w->uid, w->gid) < 0)
		return err_errno(err, -errno, "cannot set the owner");
	return fchmod(fd, mode) < 0 ? err_errno(err, -errno, "cannot set the mode") : 0;
}

/* A directory that is there already gets the mode of its own entry. */
static int set_directory_mode(
	const struct writer *w, int parent, const char *last, mode_t mode, struct err *err)
{
	_cleanup_close_ int fd =
		openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		if (errno == ENOTDIR || errno == ELOOP)
			return err_set(err, -EBADMSG,
				"it is a directory, but there is something else of this name");
		return err_errno(err, -errno, "cannot open the directory");
	}
	return set_owner(w, fd, mode, err);
}

/* 1 = made, 0 = there is one already. */
static int make_directory(
	struct writer *w, const struct entry_name *name, int parent, mode_t mode, struct err *err)
{
	const char *last = entry_name_last(name);
	struct stat st;

	if (mkdirat(parent, last, mode) == 0)
		return 1;
	if (errno != EEXIST)
		return err_errno(err, -errno, "cannot make the directory");
	if (!w->limits.stack)
		return 0;
	if (fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 0;
	int r = remove_earlier(w, name, parent, err);
	if (r < 0)
		return r;
	return mkdirat(parent, last, mode) < 0 ? err_errno(err, -errno, "cannot make the directory")
					       : 1;
}

int writer_directory(struct writer *w, const struct entry_name *name, mode_t mode, struct err *err)
{
	if (name->len == 0)
		return 0;
	int parent = enter_parent(w, name, err);
	if (parent < 0)
		return parent;
	/* We must be able to write and remove what is in it; as root of a stack we are. */
	mode = allowed_mode(w, S_IFDIR | mode | (w->limits.stack ? 0 : 0700));
	int r = make_directory(w, name, parent, mode, err);
	if (r < 0 || (r > 0 && !w->limits.stack))
		return r < 0 ? r : 0;
	return set_directory_mode(w, parent, entry_name_last(name), mode, err);
}

int writer_symlink(
	struct writer *w, const struct entry_name *name, const char *target, struct err *err)
{
	if (!target || !target[0] || strlen(target) > LIMIT_SLUG_PATH)
		return err_set(err, -EBADMSG, "the symbolic link has no usable target");
	int parent = enter_parent(w, name, err);
	if (parent < 0)
		return parent;
	/* The target is only text to us: it may point anywhere, nothing of hsup follows it. */
	int r = symlinkat(target, parent, entry_name_last(name));
	if (r < 0 && errno == EEXIST) {
		r = remove_earlier(w, name, parent, err);
		if (r < 0)
			return r;
		r = symlinkat(target, parent, entry_name_last(name));
	}
	if (r < 0)
		return err_errno(err, -errno, "cannot make the symbolic link");
	if (w->limits.owners &&
		fchownat(parent, entry_name_last(name), w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, -errno, "cannot set the owner");
	return 0;
}

/* Opens the parent of a hard link's target. The names of an archive are walked in one place only,
 * dirs.c; as that moves the directory in use, the descriptor is kept apart. */
static int target_parent(struct writer *w, const struct entry_name *target, struct err *err)
{
	struct stat st;
	int parent = dirs_enter(w->dirs, target->path, entry_name_parent(target), err);

	if (parent < 0)
		return parent;
	if (fstatat(parent, entry_name_last(target), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(
			err, -EBADMSG, "it is a hard link to what is not in the %s", what(w));
	if (!S_ISREG(st.st_mode) && !(w->limits.stack && S_ISLNK(st.st_mode)))
		return err_set(err, -EBADMSG, "it is a hard link to what is not a regular file");
	int copy = fcntl(parent, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? err_errno(err, -errno, "cannot keep a directory open") : copy;
}

int writer_hardlink(struct writer *w, const struct entry_name *name,
	const struct entry_name *target, struct err *err)
{
	if (target->len == 0 || strcmp(name->path, target->path) == 0)
		return err_set(err, -EBADMSG, "it is a hard link to itself or to the root");
	_cleanup_close_ int from = target_parent(w, target, err);
	if (from < 0)
		return from;
	int parent = enter_parent(w, name, err);
	if (parent < 0)
		return parent;

	/* Without AT_SYMLINK_FOLLOW the last part is not followed, and the part before it is a
	 * descriptor we walked to; linkat of an O_PATH descriptor (AT_EMPTY_PATH) would need a
	 * capability that we gave up, on kernels before 6.10. */
	int r = linkat(from, entry_name_last(target), parent, entry_name_last(name), 0);
	if (r < 0 && errno == EEXIST) {
		r = remove_earlier(w, name, parent, err);
		if (r < 0)
			return r;
		r = linkat(from, entry_name_last(target), parent, entry_name_last(name), 0);
	}
	return r < 0 ? err_errno(err, -errno, "cannot make the hard link") : 0;
}

int writer_file(struct writer *w, const struct entry_name *name, mode_t mode, uint64_t size,
	struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int parent = enter_parent(w, name, err);

	if (parent < 0)
		return parent;
	mode = allowed_mode(w, S_IFREG | mode);
	int fd = openat(parent, entry_name_last(name), flags, mode);
	if (fd < 0 && errno == EEXIST) {
		int r = remove_earlier(w, name, parent, err);
		if (r < 0)
			return r;
		fd = openat(parent, entry_name_last(name), flags, mode);
	}
	if (fd < 0)
		return err_errno(err, -errno, "cannot make the file");
	w->file = fd;
	w->file_size = size;
	w->file_end = 0;
	return w->limits.stack ? set_owner(w, fd, mode, err) : 0;
}

int writer_data(struct writer *w, const void *data, size_t len, uint64_t offset, struct err *err)
{
	const char *p = data;

	if (offset > w->file_size || len > w->file_size - offset)
		return err_set(err, -EBADMSG, "it holds more data than its size says");
	if (offset + len > w->file_end)
		w->file_end = offset + len;
	while (len > 0) {
		ssize_t n = pwrite(w->file, p, len, (off_t)offset);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(err, -errno, "cannot write");
		}
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int writer_end(struct writer *w, const struct timespec *mtime, struct err *err)
{
	/* A sparse file may end with a hole. */
	if (w->file_end < w->file_size && ftruncate(w->file, (off_t)w->file_size) < 0)
		return err_errno(err, -errno, "cannot set the size");
	/* Byte code of Python is only used when the time of its source is the recorded one. */
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
	if (times[1].tv_nsec < 0 || times[1].tv_nsec > 999999999)
		times[1].tv_nsec = 0;
	if (futimens(w->file, times) < 0)
		return err_errno(err, -errno, "cannot set the time");
	w->file = fd_close(w->file);
	return 0;
}

int writer_remove(struct writer *w, const struct entry_name *name, struct err *err)
{
	int parent = dirs_look(w->dirs, name->path, entry_name_parent(name), err);

	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	dirs_leave(w->dirs, name->depth - 1);
	int r = file_remove_tree(parent, entry_name_last(name));
	return r < 0 ? err_errno(err, r, "cannot remove what it hides") : 0;
}

int writer_empty(struct writer *w, const struct entry_name *name, struct err *err)
{
	int dir = dirs_look(w->dirs, name->path, name->len, err), r = 0;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	dirs_leave(w->dirs, name->depth);
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		(void)fd_close(fd);
		return err_errno(err, r, "cannot list what it hides");
	}
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = file_remove_tree(fd, e->d_name);
	(void)closedir(d);
	return r < 0 ? err_errno(err, r, "cannot remove what it hides") : 0;
}
