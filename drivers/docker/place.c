#include "drivers/docker/place.h"

#include "base/fd.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   UINT64_C(0x736563616c707368)
#define LAYOUT	   1
#define NAME	   "places"
#define GROWS_BY   32 /* slots: a page */
#define BYTES(n)   (sizeof(struct header) + (n) * sizeof(struct place))
#define LOW(bytes) ((bytes)&PLACE_WRITE_MAX)

struct header {
	uint64_t magic; /* stored last */
	uint32_t layout, slot;
};

struct places {
	int fd;	  /* -1 = dies with us */
	size_t n; /* slots that have room in the file: what is mapped behind them is not there */
	struct header *header;
	struct place *slots;
};

/* ---- one life ---- */

static void store(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

void place_about(struct place_stream *s, size_t held, size_t len)
{
	store(&s->way, (uint64_t)held << 40 | (uint64_t)LOW(len) << 20 | LOW(s->written));
}

void place_wrote(struct place_stream *s, size_t n)
{
	store(&s->written, s->written + n);
}

void place_set_mark(struct place_stream *s, struct place_mark mark)
{
	uint64_t next = !(s->young & 1);

	store(&s->marks[next].since, mark.since);
	store(&s->marks[next].at, mark.at);
	store(&s->young, next);
}

struct place_mark place_mark(const struct place_stream *s)
{
	return s->marks[s->young & 1];
}

void place_recover(struct place_stream *s, size_t pipe_holds)
{
	size_t held = s->way >> 40, len = LOW(s->way >> 20);

	if (len > 0 && LOW(s->way) == LOW(s->written) && pipe_holds > held) {
		size_t came = pipe_holds - held;

		place_wrote(s, came < len ? came : len);
	}
	place_about(s, 0, 0);
}

/* ---- all of them ---- */

/* A hole would be a SIGBUS where the file system is full. */
static int make_room(struct places *p, size_t n)
{
	if (p->fd >= 0) {
		int r = posix_fallocate(p->fd, 0, (off_t)BYTES(n));

		if (r != 0)
			return -r;
	}
	p->n = n;
	return 0;
}

static bool map(struct places *p)
{
	/* All that there may ever be, so that a slot never moves. */
	void *at = mmap(NULL, BYTES(LIMIT_DYNOS), PROT_READ | PROT_WRITE,
		p->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, p->fd, 0);

	if (at == MAP_FAILED)
		return false;
	p->header = at;
	p->slots = (struct place *)(p->header + 1);
	return true;
}

static size_t slots_in(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (size_t)st.st_size < BYTES(0))
		return 0;
	size_t n = ((size_t)st.st_size - BYTES(0)) / sizeof(struct place);
	return n < LIMIT_DYNOS ? n : LIMIT_DYNOS;
}

/* -ESTALE: it is of another layout, or none was written whole. */
static int open_old(struct places *p, const char *path)
{
	struct header h;
	struct stat st;
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EEXIST;
	if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || h.magic != MAGIC ||
		h.layout != LAYOUT || h.slot != sizeof(struct place))
		return -ESTALE;
	p->fd = TAKE_FD(fd);
	if (!map(p))
		return -errno;
	return make_room(p, slots_in(p->fd));
}

static int open_new(struct places *p, const char *path)
{
	p->fd = fd_close(p->fd);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	p->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (p->fd < 0)
		return -errno;
	int r = make_room(p, 0);
	if (r < 0)
		return r;
	if (!map(p))
		return -errno;
	p->header->layout = LAYOUT;
	p->header->slot = sizeof(struct place);
	store(&p->header->magic, MAGIC);
	return 0;
}

int places_open(const char *dir, struct places **ret_places, struct err *err)
{
	struct places *p = calloc(1, sizeof *p);
	char path[4096];
	int r;

	if (!p)
		return err_errno(err, -ENOMEM, "places of the output");
	p->fd = -1;
	if (!dir) {
		r = map(p) ? 0 : -errno;
	} else if (snprintf(path, sizeof path, "%s/" NAME, dir) >= (int)sizeof path) {
		r = -ENAMETOOLONG;
	} else {
		r = open_old(p, path);
		if (r == -ESTALE)
			r = open_new(p, path);
	}
	if (r < 0) {
		(void)places_close(p);
		return err_errno(err, r, "%s/" NAME, dir ? dir : "");
	}
	*ret_places = p;
	return 0;
}

struct places *places_close(struct places *p)
{
	if (!p)
		return NULL;
	if (p->header)
		(void)munmap(p->header, BYTES(LIMIT_DYNOS));
	fd_close(p->fd);
	free(p);
	return NULL;
}

void places_remove(const char *dir)
{
	char path[4096];

	if (snprintf(path, sizeof path, "%s/" NAME, dir) < (int)sizeof path)
		(void)unlink(path);
}

struct place *places_find(struct places *p, uint64_t id, uint32_t generation)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->slots[i].id == id && p->slots[i].generation == generation)
			return &p->slots[i];
	return NULL;
}

static struct place *free_slot(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->slots[i].id == 0)
			return &p->slots[i];
	size_t first = p->n;
	size_t more = LIMIT_DYNOS - first < GROWS_BY ? LIMIT_DYNOS - first : GROWS_BY;
	if (more == 0 || make_room(p, first + more) < 0)
		return NULL;
	return &p->slots[first];
}

struct place *places_take(struct places *p, uint64_t id, uint32_t generation)
{
	struct place *slot = id == 0 ? NULL : places_find(p, id, generation);

	if (slot || id == 0)
		return slot;
	slot = free_slot(p);
	if (!slot)
		return NULL;
	memset(slot, 0, sizeof *slot);
	slot->generation = generation;
	store(&slot->id, id);
	return slot;
}

void places_drop(struct places *p, uint64_t id, uint32_t generation)
{
	struct place *slot = id == 0 ? NULL : places_find(p, id, generation);

	if (slot)
		store(&slot->id, 0);
}
