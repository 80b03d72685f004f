/* A folder, or an image of a file system, as it is. */
#include "slug/stack_private.h"

#include "base/fd.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER	  ((size_t)256 << 10)
#define OWNER_MAX 65535

/* The first name of what has several. */
struct linked {
	ino_t ino;
	char *path;
};

struct copy {
	struct stack_run *run;
	dev_t device;
	struct stat work; /* the stack's own folder: it may lie in what is copied */
	void *links;	  /* of struct linked, by ino */
	struct strbuf path;
	struct entry_name name;
	char *buffer;
};

static int compare_linked(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

static void free_linked(void *p)
{
	struct linked *l = p;

	free(l->path);
	free(l);
}

/* 1 = it was made a hard link to its first name, 0 = this is the first. */
static int link_to_first(struct copy *c, const struct stat *st, struct err *err)
{
	struct linked key = {.ino = st->st_ino};
	struct entry_name first;
	void *node = tfind(&key, &c->links, compare_linked);

	if (node) {
		const struct linked *known = *(struct linked **)node;
		if (entry_name_parse(known->path, &first))
			return err_set(err, -EBADMSG, "its first name");
		int r = writer_hardlink(c->run->writer, &c->name, &first, err);
		return r < 0 ? r : 1;
	}
	struct linked *l = malloc(sizeof *l);
	if (l)
		*l = (struct linked){.ino = st->st_ino, .path = strdup(c->path.data)};
	if (!l || !l->path || !tsearch(l, &c->links, compare_linked)) {
		if (l)
			free_linked(l);
		return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int copy_data(struct copy *c, int file, uint64_t size, struct err *err)
{
	uint64_t at = 0;

	for (;;) {
		ssize_t n = fd_read_full(file, c->buffer, BUFFER);
		if (n < 0)
			return err_errno(err, (int)n, "cannot read it");
		if (n == 0)
			break;
		/* That it has grown is said there. */
		int r = writer_data(c->run->writer, c->buffer, (size_t)n, at, err);
		if (r == 0)
			r = stack_tick(c->run, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return at == size ? 0 : err_set(err, -EIO, "it became shorter while it was copied");
}

static int copy_file(struct copy *c, int dir, const char *name, struct stat *st, struct err *err)
{
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0)
		return err_errno(err, -errno, "cannot open it");
	if (!S_ISREG(st->st_mode))
		return err_set(err, -EAGAIN, "it changed while it was copied");
	int r = st->st_nlink > 1 ? link_to_first(c, st, err) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	uint64_t size = (uint64_t)st->st_size;
	r = writer_count(c->run->writer, size, err);
	if (r == 0)
		r = writer_file(c->run->writer, &c->name, st->st_mode, size, err);
	if (r == 0)
		r = copy_data(c, fd, size, err);
	return r == 0 ? writer_end(c->run->writer, &st->st_mtim, err) : r;
}

static int copy_link(struct copy *c, int dir, const char *name, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target - 1);

	if (n < 0)
		return err_errno(err, -errno, "cannot read the link");
	target[n] = '\0';
	int r = writer_count(c->run->writer, 0, err);
	return r == 0 ? writer_symlink(c->run->writer, &c->name, target, err) : r;
}

/* What is mounted in it is not part of it: the folder that it is mounted on is. */
static int make_directory(struct copy *c, int dir, const char *name, const struct stat *st,
	int *ret_fd, struct err *err)
{
	if (st->st_dev == c->work.st_dev && st->st_ino == c->work.st_ino)
		return 0;
	int r = writer_count(c->run->writer, 0, err);
	if (r == 0)
		r = writer_directory(c->run->writer, &c->name, st->st_mode, err);
	if (r < 0 || st->st_dev != c->device)
		return r;
	*ret_fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(err, -errno, "cannot open it") : 0;
}

/* *ret_fd: of a directory, what is in it is still to be copied; else as it was. */
static int copy_one(struct copy *c, int dir, const char *name, int *ret_fd, struct err *err)
{
	struct stat st;
	const char *why = entry_name_parse(c->path.data, &c->name);

	if (why)
		return err_set(err, -EBADMSG, "%s", why);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, -errno, "cannot look at it");
	if (c->run->job->order.flags & JOB_STACK_OWNERS) {
		if (st.st_uid > OWNER_MAX || st.st_gid > OWNER_MAX)
			return err_set(err, -EBADMSG,
				"its owner %u:%u is none of 0 to %d, which is all that a dyno has",
				st.st_uid, st.st_gid, OWNER_MAX);
		writer_owner(c->run->writer, st.st_uid, st.st_gid);
	}
	if (S_ISREG(st.st_mode))
		return copy_file(c, dir, name, &st, err);
	if (S_ISLNK(st.st_mode))
		return copy_link(c, dir, name, err);
	if (S_ISDIR(st.st_mode))
		return make_directory(c, dir, name, &st, ret_fd, err);
	c->run->done.dropped++;
	return 0;
}

static int copy_directory(struct copy *c, int dir, struct err *err);

/* c->path is its name. */
static int copy_entry(struct copy *c, int dir, const char *name, struct err *err)
{
	char shown[200];
	int fd = -1, r = copy_one(c, dir, name, &fd, err);

	if (r == 0)
		r = stack_tick(c->run, err);
	if (r == 0 && fd >= 0)
		return copy_directory(c, fd, err);
	(void)fd_close(fd);
	if (r < 0)
		(void)err_wrap(err, "%s", str_printable(c->path.data, c->path.len, shown, 200));
	return r;
}

/* dir is taken. */
static int copy_directory(struct copy *c, int dir, struct err *err)
{
	DIR *d = fdopendir(dir);
	size_t len = c->path.len;
	int r = 0;

	if (!d) {
		r = err_errno(err, -errno, "cannot list a folder");
		(void)fd_close(dir);
		return r;
	}
	while (r == 0) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e) {
			r = errno ? err_errno(err, -errno, "cannot list a folder") : 0;
			break;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (len > 0)
			(void)strbuf_puts(&c->path, "/");
		r = strbuf_puts(&c->path, e->d_name);
		if (r < 0)
			(void)err_errno(err, r, "a name");
		else
			r = copy_entry(c, dir, e->d_name, err);
		c->path.len = len;
		c->path.data[len] = '\0';
	}
	(void)closedir(d);
	return r;
}

int stack_copy_tree(struct stack_run *u, int source, struct err *err)
{
	struct copy c = {.run = u, .path = STRBUF(2 * LIMIT_SLUG_PATH), .buffer = malloc(BUFFER)};
	struct stat st = {0};
	int r = 0, fd = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !c.buffer || fstat(fd, &st) < 0 || fstat(u->job->folder, &c.work) < 0)
		r = err_errno(err, c.buffer ? -errno : -ENOMEM, "cannot open the folder");
	c.device = st.st_dev;
	if (r == 0)
		r = copy_directory(&c, TAKE_FD(fd), err);
	(void)fd_close(fd);
	tdestroy(c.links, free_linked);
	strbuf_done(&c.path);
	free(c.buffer);
	return r;
}

int stack_copy_image(struct stack_run *u, int source, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	_cleanup_close_ int out = openat(u->job->folder, STACK_IMAGE,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	_cleanup_free_ char *buffer = malloc(BUFFER);
	struct digest *digest = NULL;
	int r = 0;

	if (out < 0 || !buffer || digest_new(&digest) < 0)
		return err_errno(err, out < 0 ? -errno : -ENOMEM, "cannot make the image");
	for (ssize_t n = 1; r == 0 && n > 0; u->done.bytes += (uint64_t)n) {
		n = fd_read_full(source, buffer, BUFFER);
		if (n < 0)
			r = err_errno(err, (int)n, "cannot read it");
		else if (u->done.bytes + (uint64_t)n > u->job->order.max_bytes)
			r = err_set(err, -EFBIG, "the image is larger than %llu bytes",
				(unsigned long long)u->job->order.max_bytes);
		else if (digest_add(digest, buffer, (size_t)n) < 0)
			r = err_set(err, -EIO, "cannot hash it");
		else if ((r = fd_write_all(out, buffer, (size_t)n)) < 0)
			(void)err_errno(err, r, "cannot write the image");
		else
			r = stack_tick(u, err);
		if (r < 0)
			break;
	}
	if (r == 0 && digest_hex(digest, hex) < 0)
		r = err_set(err, -EIO, "cannot hash it");
	(void)digest_free(digest);
	if (r < 0)
		return r;
	u->done.entries = 1;
	memcpy(u->done.source, hex, sizeof u->done.source);
	memcpy(u->done.tree, hex, sizeof u->done.tree);
	return 0;
}
