#include "logs/file_pack.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define CHUNK (128 << 10)
#define LEVEL 3

struct pack {
	ZSTD_CCtx *zstd;
	char *in, *out;
	size_t out_size;
};

static void pack_done(struct pack *p)
{
	(void)ZSTD_freeCCtx(p->zstd);
	free(p->in);
	free(p->out);
}

static int pack_init(struct pack *p)
{
	p->out_size = ZSTD_CStreamOutSize();
	p->zstd = ZSTD_createCCtx();
	p->in = malloc(CHUNK);
	p->out = malloc(p->out_size);
	if (!p->zstd || !p->in || !p->out)
		return -ENOMEM;
	(void)ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL);
	(void)ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
	return 0;
}

static int pack_chunk(struct pack *p, size_t len, bool last, int to)
{
	ZSTD_inBuffer in = {.src = p->in, .size = len};

	for (;;) {
		ZSTD_outBuffer out = {.dst = p->out, .size = p->out_size};
		size_t left = ZSTD_compressStream2(
			p->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);

		if (ZSTD_isError(left))
			return -EIO;
		int r = fd_write_all(to, p->out, out.pos);
		if (r < 0)
			return r;
		if (last ? left == 0 : in.pos == in.size)
			return 0;
	}
}

static int copy_packed(int from, int to, const atomic_bool *stop)
{
	struct pack HSUP_CLEANUP(pack_done) p = {0};
	int r = pack_init(&p);

	for (bool last = false; r == 0 && !last;) {
		ssize_t n = fd_read_full(from, p.in, CHUNK);

		if (n < 0)
			return (int)n;
		if (*stop)
			return -ECANCELED;
		last = n < CHUNK;
		r = pack_chunk(&p, (size_t)n, last, to);
	}
	return r;
}

int file_pack(int dir, const char *name, const atomic_bool *stop)
{
	char packed[NAME_MAX + 1], half[NAME_MAX + 1];
	struct stat st;

	if ((size_t)snprintf(packed, sizeof packed, "%s.zst", name) >= sizeof packed ||
		(size_t)snprintf(half, sizeof half, "%s.zst.tmp", name) >= sizeof half)
		return -ENAMETOOLONG;
	_cleanup_close_ int from =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	_cleanup_close_ int to = openat(dir, half, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	/* Who may not give files away keeps them, see file_give(). */
	(void)file_give(to, st.st_uid, st.st_gid);
	int r = fchmod(to, st.st_mode & 07777) < 0 ? -errno : copy_packed(from, to, stop);
	if (r == 0 && (fsync(to) < 0 || renameat(dir, half, dir, packed) < 0))
		r = -errno;
	(void)unlinkat(dir, r < 0 ? half : name, 0);
	return r;
}
