#include "drivers/port_life.h"

#include "drivers/driver.h"

#include <errno.h>

static size_t slot_of(const struct port_lives *t, uint64_t id, uint32_t generation)
{
	uint64_t h = (id * 31 + generation) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(h >> 32) & (t->cap - 1);

	while (t->lives[i].id && (t->lives[i].id != id || t->lives[i].generation != generation))
		i = (i + 1) & (t->cap - 1);
	return i;
}

int port_life_add(struct port_lives *t, uint64_t id, uint32_t generation, unsigned port)
{
	if ((t->n + 1) * 2 > t->cap) {
		size_t old_cap = t->cap;
		struct port_life *old = t->lives;
		size_t cap = old_cap ? old_cap * 2 : 64;
		struct port_life *bigger = calloc(cap, sizeof *bigger);

		if (!bigger)
			return -ENOMEM;
		t->lives = bigger;
		t->cap = cap;
		for (size_t i = 0; i < old_cap; i++)
			if (old[i].id)
				t->lives[slot_of(t, old[i].id, old[i].generation)] = old[i];
		free(old);
	}
	t->lives[slot_of(t, id, generation)] =
		(struct port_life){.id = id, .generation = generation, .port = (uint16_t)port};
	t->n++;
	return 0;
}

int port_life_adopt(
	struct port_lives *t, uint64_t id, uint32_t generation, unsigned port, bool ended)
{
	int r = port_life_add(t, id, generation, port);

	if (r < 0)
		return r;
	t->lives[slot_of(t, id, generation)].ended = ended;
	if (!ended)
		port_mark(&t->ports, port);
	return 0;
}

struct port_life *port_life_find(const struct port_lives *t, uint64_t id, uint32_t generation)
{
	struct port_life *l = t->cap ? &t->lives[slot_of(t, id, generation)] : NULL;

	return l && l->id ? l : NULL;
}

bool port_lives_any(const struct port_lives *t)
{
	for (size_t i = 0; i < t->cap; i++)
		if (t->lives[i].id && !t->lives[i].ended)
			return true;
	return false;
}

void port_life_ended(struct port_lives *t, uint64_t id, uint32_t generation)
{
	struct port_life *l = port_life_find(t, id, generation);

	if (l && !l->ended) {
		l->ended = true;
		port_give_back(&t->ports, l->port);
	}
}

void port_life_remove(struct port_lives *t, uint64_t id, uint32_t generation)
{
	port_life_ended(t, id, generation);
	struct port_life *l = port_life_find(t, id, generation);
	if (!l)
		return;

	size_t hole = (size_t)(l - t->lives);
	t->lives[hole] = (struct port_life){0};
	t->n--;
	/* Close the gap: those behind it in the same run may have been pushed past it. */
	for (size_t i = (hole + 1) & (t->cap - 1); t->lives[i].id; i = (i + 1) & (t->cap - 1)) {
		struct port_life moved = t->lives[i];

		t->lives[i] = (struct port_life){0};
		t->lives[slot_of(t, moved.id, moved.generation)] = moved;
	}
}

/* The first time it is not asked whether a stranger has taken it in the moment between: that would
 * cost a tenth of the time to the replacement. If one has, the dyno fails again, and then it is
 * asked. */
unsigned port_life_choose(struct port_lives *t, const struct driver_start *start)
{
	const struct port_life *last = start->generation > 1 && start->failures <= 1
					       ? port_life_find(t, start->id, start->generation - 1)
					       : NULL;

	if (last && last->ended && port_take_again(&t->ports, last->port))
		return last->port;
	/* Perhaps it binds without SO_REUSEADDR: then old connections are in its way, for a minute.
	 */
	return port_take(&t->ports, port_wish(start->type_index, start->instance),
		start->bad_starts > 1 ? PORT_ANY_USE : PORT_LISTENERS);
}
