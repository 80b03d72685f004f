#include "slug/feed.h"

#include "slug/decoder.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define BLOCKS	   4
#define BLOCK_SIZE ((size_t)128 << 10)

struct block {
	ssize_t len; /* 0 = the end, negative = failed */
	unsigned char data[BLOCK_SIZE];
};

struct feed {
	struct packed *packed;
	struct decoder *decoder;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	bool started, stop;
	unsigned filled;   /* blocks ready for the reader */
	struct err failed; /* written before the block that tells of it is handed over */

	bool holds_block; /* the reader still uses ring[out] */
	bool ended;
	unsigned in, out; /* of the thread, of the reader */
	uint64_t zeros;
	struct digest *plain; /* of what was read, or NULL */
	struct block ring[BLOCKS];
};

/* Waits for a free block; false = stop. */
static bool wait_free(struct feed *f)
{
	(void)pthread_mutex_lock(&f->lock);
	while (!f->stop && (!f->started || f->filled == BLOCKS))
		(void)pthread_cond_wait(&f->changed, &f->lock);
	bool go = !f->stop;
	(void)pthread_mutex_unlock(&f->lock);
	return go;
}

static void *feed_main(void *userdata)
{
	struct feed *f = userdata;
	ssize_t n = 1;

	while (n > 0 && wait_free(f)) {
		struct block *b = &f->ring[f->in];
		struct err failed = {0};

		n = f->decoder->read(f->decoder, b->data, BLOCK_SIZE, &failed);
		b->len = n;
		f->in = (f->in + 1) % BLOCKS;
		(void)pthread_mutex_lock(&f->lock);
		f->failed = failed;
		f->filled++;
		(void)pthread_cond_signal(&f->changed);
		(void)pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

static int prepare(struct feed *f, int fd, struct err *err)
{
	unsigned char head[8];
	ssize_t n = pread(fd, head, sizeof head, 0);

	if (n < 0)
		return err_errno(err, -errno, "cannot read the slug");
	int r = packed_new(fd, &f->packed, err);
	if (r == 0)
		r = decoder_new(packing_of(head, (size_t)n), f->packed, &f->decoder, err);
	return r;
}

int feed_open(int fd, struct feed **ret_feed, struct err *err)
{
	struct feed *f = calloc(1, sizeof *f);

	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
	int r = prepare(f, fd, err);
	if (r == 0) {
		r = -pthread_create(&f->thread, NULL, feed_main, f);
		if (r < 0)
			(void)err_errno(err, r, "cannot start a thread");
		else
			f->has_thread = true;
	}
	if (r < 0) {
		(void)feed_close(f);
		return r;
	}
	*ret_feed = f;
	return 0;
}

struct feed *feed_close(struct feed *f)
{
	if (!f)
		return NULL;
	if (f->has_thread) {
		(void)pthread_mutex_lock(&f->lock);
		f->stop = true;
		(void)pthread_cond_signal(&f->changed);
		(void)pthread_mutex_unlock(&f->lock);
		(void)pthread_join(f->thread, NULL);
	}
	if (f->decoder)
		f->decoder->free(f->decoder);
	(void)packed_free(f->packed);
	(void)digest_free(f->plain);
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

void feed_start(struct feed *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->started = true;
	(void)pthread_cond_signal(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
}

static void count_zeros(struct feed *f, const struct block *b)
{
	size_t n = (size_t)b->len, zeros = 0;

	while (zeros < n && b->data[n - 1 - zeros] == 0)
		zeros++;
	f->zeros = zeros == n ? f->zeros + n : zeros;
}

ssize_t feed_read(struct feed *f, const void **ret_block)
{
	if (f->ended)
		return f->ring[f->out].len < 0 ? -EIO : 0;

	(void)pthread_mutex_lock(&f->lock);
	if (f->holds_block) {
		f->out = (f->out + 1) % BLOCKS;
		f->filled--;
		(void)pthread_cond_signal(&f->changed);
	}
	while (f->filled == 0)
		(void)pthread_cond_wait(&f->changed, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);

	const struct block *b = &f->ring[f->out];
	f->holds_block = true;
	if (b->len <= 0) {
		f->ended = true;
		return b->len < 0 ? -EIO : 0;
	}
	count_zeros(f, b);
	if (f->plain && digest_add(f->plain, b->data, (size_t)b->len) < 0)
		return -EIO;
	*ret_block = b->data;
	return b->len;
}

int feed_error(const struct feed *f, struct err *err)
{
	if (!f->ended || f->ring[f->out].len >= 0)
		return 0;
	if (err)
		*err = f->failed;
	return f->failed.code;
}

uint64_t feed_packed(const struct feed *f)
{
	return atomic_load(&f->packed->done);
}

uint64_t feed_zeros(const struct feed *f)
{
	return f->zeros;
}

int feed_digest(struct feed *f, char ret_hex[DIGEST_HEX + 1])
{
	return digest_hex(f->packed->digest, ret_hex);
}

int feed_hash_plain(struct feed *f)
{
	return digest_new(&f->plain);
}

int feed_plain_digest(struct feed *f, char ret_hex[DIGEST_HEX + 1])
{
	return digest_hex(f->plain, ret_hex);
}
