#include "slug/pack.h"

#include "base/fd.h"
#include "base/str.h"
#include "slug/sandbox.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER ((size_t)256 << 10)
#define BLOCK  (128 << 10) /* of the output */

struct packer {
	const struct pack *pack;
	struct archive *archive;
	struct archive_entry_linkresolver *links;
	struct job_done done;
	int out;
	char *buffer;
	struct strbuf path; /* of the entry in work, with the prefix */
	struct err written; /* what writing failed of, told through libarchive */
};

/* Names are the slug's: anything may be in them. */
static const char *shown(const struct packer *p, char ret_text[200])
{
	size_t skip = sizeof PACK_PREFIX;

	if (p->path.len <= skip)
		return "the slug's root";
	return str_printable(p->path.data + skip, p->path.len - skip, ret_text, 200);
}

static int failed(struct packer *p, int r, const char *what, struct err *err)
{
	char text[200];

	return err_errno(err, r, "%s: %s", shown(p, text), what);
}

static la_ssize_t on_output(struct archive *a, void *userdata, const void *data, size_t len)
{
	struct packer *p = userdata;
	int r = *p->pack->stop ? -EINTR : fd_write_all(p->out, data, len);

	if (r == 0) {
		p->done.packed += len;
		return (la_ssize_t)len;
	}
	if (*p->pack->stop)
		(void)err_set(&p->written, -ECANCELED, "interrupted");
	else if (r == -EPIPE)
		(void)err_set(&p->written, r, "nobody reads the packed slug any more");
	else
		(void)err_errno(&p->written, r, "cannot write the packed slug");
	archive_set_error(a, -p->written.code, "%s", p->written.text);
	return -1;
}

static int archive_failed(struct packer *p, struct err *err)
{
	const char *why = archive_error_string(p->archive);
	char text[200];

	if (p->written.code < 0) {
		if (err)
			*err = p->written;
		return p->written.code;
	}
	return err_set(err, archive_errno(p->archive) == ENOMEM ? -ENOMEM : -EBADMSG,
		"%s: cannot pack it: %s", shown(p, text), why ? why : "no reason given");
}

/* Exactly as many bytes as the header has said. */
static int copy_data(struct packer *p, int file, uint64_t size, struct err *err)
{
	char text[200];

	for (uint64_t left = size; left > 0;) {
		ssize_t n = fd_read_full(file, p->buffer, left < BUFFER ? (size_t)left : BUFFER);
		if (n < 0)
			return failed(p, (int)n, "cannot read it", err);
		if (n == 0)
			return err_set(err, -EIO, "%s: it became shorter while it was packed",
				shown(p, text));
		if (archive_write_data(p->archive, p->buffer, (size_t)n) != n)
			return archive_failed(p, err);
		left -= (uint64_t)n;
	}
	if (size > 0 && read(file, p->buffer, 1) != 0)
		return err_set(
			err, -EIO, "%s: it became longer while it was packed", shown(p, text));
	p->done.unpacked += size;
	return 0;
}

/* The header of what st describes; file: its data, -1 = it has none. */
static int put(
	struct packer *p, const struct stat *st, int file, const char *target, struct err *err)
{
	struct archive_entry *e = archive_entry_new(), *spare = NULL;
	int r = 0;

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	archive_entry_copy_stat(e, st);
	archive_entry_set_pathname(e, p->path.data);
	archive_entry_set_uid(e, p->pack->order.owner_uid);
	archive_entry_set_gid(e, p->pack->order.owner_gid);
	archive_entry_set_uname(e, "");
	archive_entry_set_gname(e, "");
	if (target)
		archive_entry_set_symlink(e, target);
	/* Knows the first name of what has several. For tar it keeps no entry back. */
	if (file >= 0 && st->st_nlink > 1)
		archive_entry_linkify(p->links, &e, &spare);
	bool data = file >= 0 && !archive_entry_hardlink(e);

	if (++p->done.entries > p->pack->order.max_entries)
		r = err_set(err, -EFBIG, "the slug has more than %llu entries",
			(unsigned long long)p->pack->order.max_entries);
	else if (archive_write_header(p->archive, e) != ARCHIVE_OK)
		r = archive_failed(p, err);
	else if (data)
		r = copy_data(p, file, (uint64_t)st->st_size, err);
	archive_entry_free(e);
	archive_entry_free(spare);
	return r;
}

static int put_link(
	struct packer *p, int dir, const char *name, const struct stat *st, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target - 1);

	if (n < 0)
		return failed(p, -errno, "cannot read the link", err);
	target[n] = '\0';
	return put(p, st, -1, target, err);
}

static int put_directory(struct packer *p, int dir, unsigned depth, struct err *err);

/* dir is the caller's. */
static int put_one(struct packer *p, int dir, const char *name, unsigned depth, struct err *err)
{
	struct stat st;
	char text[200];

	if (*p->pack->stop)
		return err_set(err, -ECANCELED, "interrupted");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(p, -errno, "cannot look at it", err);
	if (S_ISLNK(st.st_mode))
		return put_link(p, dir, name, &st, err);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(
			err, -EBADMSG, "%s: it is no file, directory or link", shown(p, text));

	/* O_NONBLOCK: it may have become a FIFO meanwhile. */
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(p, -errno, "cannot open it", err);
	if (S_ISDIR(st.st_mode))
		return put_directory(p, fd, depth, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "%s: it changed while it was packed", shown(p, text));
	return put(p, &st, fd, NULL, err);
}

static int put_entries(struct packer *p, DIR *d, unsigned depth, struct err *err)
{
	size_t len = p->path.len;
	int r = 0;

	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e)
			return errno ? failed(p, -errno, "cannot list it", err) : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = strbuf_puts(&p->path, e->d_name);
		if (r < 0)
			return failed(p, r, "the path", err);
		r = put_one(p, dirfd(d), e->d_name, depth, err);
		if (r < 0)
			return r;
		p->path.len = len;
		p->path.data[len] = '\0';
	}
}

/* path is the directory's, without a slash at its end. */
static int put_directory(struct packer *p, int dir, unsigned depth, struct err *err)
{
	struct stat st;
	char text[200];

	if (depth > LIMIT_SLUG_DEPTH)
		return err_set(err, -EBADMSG, "%s: it is nested too deeply", shown(p, text));
	if (fstat(dir, &st) < 0)
		return failed(p, -errno, "cannot look at it", err);
	int r = strbuf_puts(&p->path, "/");
	if (r == 0)
		r = put(p, &st, -1, NULL, err);
	if (r < 0)
		return p->path.error ? failed(p, r, "the path", err) : r;

	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		(void)fd_close(fd);
		return failed(p, r, "cannot list it", err);
	}
	r = put_entries(p, d, depth + 1, err);
	(void)closedir(d);
	return r;
}

static int open_archive(struct packer *p, struct err *err)
{
	p->buffer = malloc(BUFFER);
	p->links = archive_entry_linkresolver_new();
	p->archive = archive_write_new();
	if (!p->buffer || !p->links || !p->archive)
		return err_set(err, -ENOMEM, "out of memory");
	archive_entry_linkresolver_set_strategy(p->links, ARCHIVE_FORMAT_TAR_GNUTAR);
	if (archive_write_set_format_gnutar(p->archive) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(p->archive, BLOCK) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(p->archive, 1) != ARCHIVE_OK)
		return archive_failed(p, err);
	return 0;
}

static int confine(int folder, struct err *err)
{
	int r = sandbox_pack(folder, err);

	return r == 0 ? sandbox_seal_pack(err) : r;
}

static int run(struct packer *p, struct err *err)
{
	const struct pack *pack = p->pack;
	int r = sandbox_become(pack->order.uid, pack->order.gid, err);

	/* A change of user has cleared it. */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		r = err_errno(err, -errno, "cannot bind my life to my parent's");
	if (r < 0)
		return r;
	_cleanup_close_ int folder = openat(pack->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_errno(err, -errno, "cannot open the unpacked slug");
	if (strbuf_puts(&p->path, PACK_PREFIX) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = open_archive(p, err);
	if (r == 0)
		r = confine(folder, err);
	if (r < 0)
		return r;
	if (archive_write_open(p->archive, p, NULL, on_output, NULL) != ARCHIVE_OK)
		return archive_failed(p, err);
	r = put_directory(p, folder, 0, err);
	if (r == 0 && archive_write_close(p->archive) != ARCHIVE_OK)
		r = archive_failed(p, err);
	return r;
}

int pack_run(const struct pack *pack, struct job_done *ret_done, struct err *err)
{
	struct packer p = {.pack = pack,
		.out = pack->out,
		.path = STRBUF(LIMIT_SLUG_PATH + sizeof PACK_PREFIX)};
	int r = fd_nonblock(p.out, false);

	memset(p.done.digest, '0', sizeof p.done.digest);
	if (r < 0)
		(void)err_errno(err, r, "where the tar goes to");
	else
		r = run(&p, err);
	/* What is not written yet must not look like an end. */
	if (r < 0 && p.archive)
		(void)archive_write_fail(p.archive);
	(void)fd_close(p.out);
	(void)archive_write_free(p.archive);
	archive_entry_linkresolver_free(p.links);
	free(p.buffer);
	strbuf_done(&p.path);
	if (r == 0)
		*ret_done = p.done;
	return r;
}
