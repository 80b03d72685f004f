#include "logs/ring_file.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static size_t whole_pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

struct shape {
	size_t table, chunks, all; /* where they begin; the end */
};

static struct shape shape_of(uint32_t max_entries, uint32_t max_chunks)
{
	struct shape s;

	s.table = whole_pages(PAGE + max_entries * sizeof(struct ring_entry));
	s.chunks = whole_pages(s.table + max_chunks * sizeof(struct ring_chunk));
	s.all = s.chunks + (size_t)max_chunks * RING_CHUNK;
	return s;
}

/* What is mapped and has no memory kills who touches it when the file system is full. */
static int make_ready(int fd, size_t from, size_t len)
{
	static const char zeros[PAGE];

	if (len == 0)
		return 0;
	int r;
	do
		r = fallocate(fd, 0, (off_t)from, (off_t)len);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	for (size_t at = from; at < from + len; at += PAGE) {
		char there[PAGE];

		/* What is there stays: a hole reads as zeros and gets them. */
		ssize_t n = pread(fd, there, sizeof there, (off_t)at);
		if (pwrite(fd, n == PAGE ? there : zeros, PAGE, (off_t)at) != PAGE)
			return errno ? -errno : -ENOSPC;
	}
	return 0;
}

static int grow(const struct ring_file *f, const void *region, size_t *ready, size_t need)
{
	if (need <= *ready)
		return 0;

	size_t from = (size_t)((const char *)region - f->map) + *ready;
	size_t more = whole_pages(need) - *ready;
	int r = make_ready(f->fd, from, more);
	if (r == 0)
		*ready += more;
	return r;
}

int ring_file_grow_entries(struct ring_file *f)
{
	return grow(f, f->entries, &f->entries_ready,
		(f->header->used_entries + 1) * sizeof *f->entries);
}

int ring_file_grow_chunks(struct ring_file *f)
{
	uint32_t chunk = f->header->used_chunks;
	int r = grow(f, f->table, &f->table_ready, (chunk + 1) * sizeof *f->table);

	if (r < 0)
		return r;
	return make_ready(f->fd, (size_t)(ring_file_chunk(f, chunk) - f->map), RING_CHUNK);
}

/* ---- opening ---- */

static int make_new(const char *path, const struct ring_header *header, size_t len, int *ret_fd)
{
	_cleanup_close_ int fd =
		path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)
		     : memfd_create("hsup-log-rings", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = ftruncate(fd, (off_t)len) < 0 ? -errno : make_ready(fd, 0, PAGE);
	if (r == 0 && pwrite(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
		r = -EIO;
	if (r < 0) {
		if (path)
			(void)unlink(path);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* 0; 1: there is none, or an empty one; else why it cannot be used. */
static int take_old(const char *path, const struct ring_header *want, size_t len,
	struct ring_header *ret_header, int *ret_fd, struct err *err)
{
	struct ring_header is;
	struct stat st;
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 1 : err_errno(err, -errno, "cannot be opened");
	if (fstat(fd, &st) < 0)
		return err_errno(err, -errno, "cannot be looked at");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, -EINVAL, "is no regular file of ours");
	if (st.st_size == 0)
		return 1;
	if (pread(fd, &is, sizeof is, 0) != (ssize_t)sizeof is ||
		memcmp(is.magic, want->magic, sizeof is.magic) != 0)
		return err_set(err, -EINVAL, "is damaged");
	if (is.layout != want->layout || is.max_entries != want->max_entries ||
		is.max_chunks != want->max_chunks)
		return err_set(err, -EINVAL, "was written by another version");
	if ((size_t)st.st_size != len || is.used_entries > is.max_entries ||
		is.used_chunks > is.max_chunks)
		return err_set(err, -EINVAL, "is damaged");
	*ret_header = is;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int map_it(struct ring_file *f, const struct shape *s, const struct ring_header *header)
{
	f->map_len = s->all;
	f->map = mmap(NULL, s->all, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (f->map == MAP_FAILED) {
		f->map = NULL;
		return -errno;
	}
	f->header = (struct ring_header *)(void *)f->map;
	f->entries = (struct ring_entry *)(void *)(f->map + PAGE);
	f->table = (struct ring_chunk *)(void *)(f->map + s->table);
	f->chunks = f->map + s->chunks;

	/* A copy of a file may have holes where this one had memory. */
	f->entries_ready = whole_pages(header->used_entries * sizeof *f->entries);
	f->table_ready = whole_pages(header->used_chunks * sizeof *f->table);
	int r = make_ready(f->fd, 0, PAGE + f->entries_ready);
	if (r == 0)
		r = make_ready(f->fd, s->table, f->table_ready);
	if (r == 0)
		r = make_ready(f->fd, s->chunks, (size_t)header->used_chunks * RING_CHUNK);
	return r;
}

int ring_file_open(const char *path, uint32_t max_entries, uint32_t max_chunks,
	struct ring_file *ret_file, struct err *ret_refused, struct err *err)
{
	struct ring_header header = {
		.layout = RING_LAYOUT,
		.max_entries = max_entries,
		.max_chunks = max_chunks,
	};
	struct shape s = shape_of(max_entries, max_chunks);
	struct ring_file f = {.fd = -1};
	int r = 1;

	memcpy(header.magic, RING_MAGIC, sizeof header.magic);
	if (path) {
		struct ring_header is = header;

		r = take_old(path, &header, s.all, &is, &f.fd, ret_refused);
		if (r == 0) {
			r = map_it(&f, &s, &is);
			if (r < 0) {
				(void)err_errno(ret_refused, r, "cannot be used");
				ring_file_close(&f);
			}
		}
		if (r < 0)
			(void)err_wrap(ret_refused, "%s", path);
	}
	if (r != 0) {
		if (path && unlink(path) < 0 && errno != ENOENT)
			return err_errno(err, -errno, "%s: cannot be removed", path);
		r = make_new(path, &header, s.all, &f.fd);
		if (r == 0)
			r = map_it(&f, &s, &header);
	}
	if (r < 0) {
		ring_file_close(&f);
		return err_errno(err, r, "%s: cannot be made", path ? path : "log rings");
	}
	*ret_file = f;
	return 0;
}

void ring_file_close(struct ring_file *f)
{
	if (f->map)
		(void)munmap(f->map, f->map_len);
	f->map = NULL;
	f->fd = fd_close(f->fd);
}

/* ---- records ---- */

bool ring_record_at(
	const char *chunk, size_t used, size_t at, struct ring_record *ret_record, size_t *ret_next)
{
	struct ring_record is;

	if (used > RING_CHUNK || at > used || used - at < RECORD_OVERHEAD)
		return false;
	memcpy(&is, chunk + at, sizeof is);
	if (is.len > used - at - RECORD_OVERHEAD)
		return false;
	*ret_record = is;
	*ret_next = at + RECORD_OVERHEAD + is.len;
	return true;
}

bool ring_record_before(const char *chunk, size_t at, size_t *ret_at)
{
	struct ring_record is;
	uint16_t size;
	size_t next;

	if (at > RING_CHUNK || at < RECORD_OVERHEAD)
		return false;
	memcpy(&size, chunk + at - sizeof size, sizeof size);
	if (size < RECORD_OVERHEAD || size > at ||
		!ring_record_at(chunk, at, at - size, &is, &next) || next != at)
		return false;
	*ret_at = at - size;
	return true;
}
