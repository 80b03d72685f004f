#include "core/engine_private.h"

int heap_reserve(struct heap *h, size_t n)
{
	return mem_grow(&h->at, &h->cap, n + 1, SIZE_MAX, sizeof *h->at);
}

static void put(struct heap *h, size_t at, struct slot *s)
{
	h->at[at] = s;
	s->dyno.heap_slot = at;
}

static bool before(const struct slot *a, const struct slot *b)
{
	if (a->dyno.deadline != b->dyno.deadline)
		return a->dyno.deadline < b->dyno.deadline;
	return a->dyno.id < b->dyno.id;
}

/* Moves s, which may stand anywhere, from `at` to where it belongs. */
static void sift(struct heap *h, size_t at, struct slot *s)
{
	for (; at > 1 && before(s, h->at[at / 2]); at /= 2)
		put(h, at, h->at[at / 2]);
	for (;;) {
		size_t child = at * 2;

		if (child > h->n)
			break;
		if (child < h->n && before(h->at[child + 1], h->at[child]))
			child++;
		if (!before(h->at[child], s))
			break;
		put(h, at, h->at[child]);
		at = child;
	}
	put(h, at, s);
}

void heap_remove(struct heap *h, struct slot *s)
{
	size_t at = s->dyno.heap_slot;
	struct slot *tail;

	if (!at)
		return;
	tail = h->at[h->n--];
	s->dyno.heap_slot = 0;
	if (tail != s)
		sift(h, at, tail);
}

void heap_sync(struct heap *h, struct slot *s)
{
	if (!s->dyno.deadline) {
		heap_remove(h, s);
		return;
	}
	sift(h, s->dyno.heap_slot ? s->dyno.heap_slot : ++h->n, s);
}

struct slot *heap_first(const struct heap *h)
{
	return h->n ? h->at[1] : NULL;
}
