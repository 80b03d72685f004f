#include "base/clock.h"
#include "logs/ring_private.h"

#include <errno.h>

#define RETRY_NS (10 * NSEC_PER_SEC) /* when the file system was full */

void ring_touch(struct ring *ring)
{
	struct rings *r = ring->rings;

	if (ring->listed) {
		TAILQ_REMOVE(&r->lately, ring, link);
		TAILQ_INSERT_TAIL(&r->lately, ring, link);
	}
	r->newest = ring;
}

static void unlist(struct ring *ring)
{
	if (ring->listed)
		TAILQ_REMOVE(&ring->rings->lately, ring, link);
	ring->listed = false;
}

void rings_spare(struct rings *r, uint32_t chunk)
{
	/* Without memory to remember it, it is lost until the file is opened again. */
	if (mem_grow(&r->spare, &r->cap_spare, r->n_spare + 1, r->file.header->max_chunks,
		    sizeof *r->spare) == 0)
		r->spare[r->n_spare++] = chunk;
}

/* The oldest one, which is nobody's from here on. */
static uint32_t take_oldest(struct ring *ring)
{
	uint32_t chunk = ring->chunks[ring->first];

	__atomic_store_n(&ring->rings->file.table[chunk].owner, 0, __ATOMIC_RELEASE);
	ring->first = (uint32_t)((ring->first + 1) % ring->cap);
	ring->ordinal++;
	if (--ring->n == 0) {
		ring->used = RING_CHUNK;
		unlist(ring);
	}
	return chunk;
}

void ring_drop(struct ring *ring)
{
	while (ring->n > 0)
		rings_spare(ring->rings, take_oldest(ring));
}

static bool room_for_one_more(struct ring *ring)
{
	size_t cap = ring->cap, old = ring->cap - ring->first;

	if (ring->n < cap)
		return true;
	if (mem_grow(&ring->chunks, &ring->cap, ring->n + 1, ring->rings->file.header->max_chunks,
		    sizeof *ring->chunks) < 0)
		return false;
	if (ring->first == 0)
		return true;
	/* It goes round: what lay before the oldest comes behind the others. */
	uint32_t *moved = malloc(cap * sizeof *moved);
	if (!moved) {
		ring->cap = cap;
		return false;
	}
	memcpy(moved, ring->chunks + ring->first, old * sizeof *moved);
	memcpy(moved + old, ring->chunks, ring->first * sizeof *moved);
	memcpy(ring->chunks, moved, cap * sizeof *moved);
	free(moved);
	ring->first = 0;
	return true;
}

bool ring_push(struct ring *ring, uint32_t chunk)
{
	if (!room_for_one_more(ring))
		return false;
	ring->chunks[(ring->first + ring->n) % ring->cap] = chunk;
	ring->n++;
	ring->newest = chunk;
	if (!ring->listed)
		TAILQ_INSERT_TAIL(&ring->rings->lately, ring, link);
	ring->listed = true;
	return true;
}

static bool get_new(struct rings *r, uint32_t *ret_chunk)
{
	struct ring_file *f = &r->file;

	if (f->header->used_chunks >= f->header->max_chunks)
		return false;
	if (r->retry_ns && clock_now() < r->retry_ns)
		return false;
	int e = ring_file_grow_chunks(f);
	if (e < 0) {
		if (!r->retry_ns) {
			(void)err_errno(&r->trouble, e,
				"the last lines of some dynos are not kept for `hsup logs`");
			r->trouble_told = false;
		}
		r->retry_ns = clock_now() + RETRY_NS;
		return false;
	}
	r->retry_ns = 0;
	*ret_chunk = f->header->used_chunks;
	f->table[*ret_chunk] = (struct ring_chunk){0};
	__atomic_store_n(&f->header->used_chunks, *ret_chunk + 1, __ATOMIC_RELEASE);
	return true;
}

static bool get(struct rings *r, uint32_t *ret_chunk)
{
	struct ring *ring;

	if (r->n_spare > 0) {
		*ret_chunk = r->spare[--r->n_spare];
		return true;
	}
	if (get_new(r, ret_chunk))
		return true;
	ring = TAILQ_FIRST(&r->lately);
	if (!ring)
		return false;
	*ret_chunk = take_oldest(ring);
	return true;
}

bool ring_next_chunk(struct ring *ring)
{
	struct rings *r = ring->rings;
	uint32_t chunk;

	while (ring->n > ring->max)
		rings_spare(r, take_oldest(ring));
	if (ring->max == 0)
		return false;
	if (ring->n == ring->max)
		chunk = take_oldest(ring);
	else if (!get(r, &chunk))
		return false;

	struct ring_chunk *c = &r->file.table[chunk];
	if (!ring_push(ring, chunk)) {
		rings_spare(r, chunk);
		return false;
	}
	__atomic_store_n(&c->used, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&c->number, ++r->number, __ATOMIC_RELEASE);
	__atomic_store_n(&c->owner, ring->entry + 1, __ATOMIC_RELEASE);
	ring->used = 0;
	return true;
}
