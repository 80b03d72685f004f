#include "core/engine_private.h"

#include <errno.h>
#include <stdio.h>

/* Ids count up: the low bits alone spread them evenly. */
static struct slot **bucket(const struct engine *e, uint64_t id)
{
	return &e->buckets[id & (e->n_buckets - 1)];
}

static int buckets_reserve(struct engine *e, size_t n)
{
	size_t want = e->n_buckets ? e->n_buckets : 16;
	struct slot **fresh;

	while (want < n)
		want *= 2;
	if (want == e->n_buckets)
		return 0;
	fresh = calloc(want, sizeof *fresh);
	if (!fresh)
		return -ENOMEM;
	free(e->buckets);
	e->buckets = fresh;
	e->n_buckets = want;
	for (size_t i = 0; i < e->n; i++) {
		struct slot *s = e->slots[i], **b = bucket(e, s->dyno.id);

		s->next = *b;
		*b = s;
	}
	return 0;
}

struct slot *table_find(const struct engine *e, uint64_t id)
{
	if (!e->n_buckets)
		return NULL;
	for (struct slot *s = *bucket(e, id); s; s = s->next)
		if (s->dyno.id == id)
			return s;
	return NULL;
}

int table_add(
	struct engine *e, struct group *g, uint64_t id, unsigned instance, struct slot **ret_slot)
{
	struct slot *s, **b;
	int r;

	r = mem_grow(&e->slots, &e->cap, e->n + 1, LIMIT_DYNOS, sizeof *e->slots);
	if (r < 0)
		return r;
	r = mem_grow(&g->slots, &g->cap, g->n + 1, LIMIT_DYNOS, sizeof *g->slots);
	if (r < 0)
		return r;
	r = heap_reserve(&e->heap, e->n + 1);
	if (r < 0)
		return r;
	r = buckets_reserve(e, e->n + 1);
	if (r < 0)
		return r;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;

	s->dyno.id = id;
	s->dyno.instance = instance;
	s->dyno.timer = DYNO_EVENT_MAX;
	memcpy(s->dyno.type, g->name, sizeof s->dyno.type);
	s->group = g;
	s->type = &unknown_type;
	s->index = e->n;
	s->group_index = g->n;
	e->slots[e->n++] = s;
	g->slots[g->n++] = s;
	b = bucket(e, id);
	s->next = *b;
	*b = s;
	*ret_slot = s;
	return 0;
}

void table_remove(struct engine *e, struct slot *s)
{
	struct group *g = s->group;
	struct slot **link = bucket(e, s->dyno.id);

	heap_remove(&e->heap, s);
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;

	e->slots[s->index] = e->slots[--e->n];
	e->slots[s->index]->index = s->index;
	g->slots[s->group_index] = g->slots[--g->n];
	g->slots[s->group_index]->group_index = s->group_index;
	s->next = e->gone;
	e->gone = s;
}

void table_free_gone(struct engine *e)
{
	while (e->gone) {
		struct slot *s = e->gone;

		e->gone = s->next;
		era_unref(s->era);
		free(s);
	}
}

struct group *group_find(const struct engine *e, const char *name)
{
	for (size_t i = 0; i < e->n_groups; i++)
		if (strcmp(e->groups[i]->name, name) == 0)
			return e->groups[i];
	return NULL;
}

int group_add(struct engine *e, const char *name, struct group **ret_group)
{
	struct group *g;
	int r;

	r = mem_grow(&e->groups, &e->groups_cap, e->n_groups + 1, LIMIT_DYNOS + 2 * LIMIT_TYPES,
		sizeof *e->groups);
	if (r < 0)
		return r;
	g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	(void)snprintf(g->name, sizeof g->name, "%s", name);
	g->proof = UINT64_MAX;
	e->groups[e->n_groups++] = g;
	*ret_group = g;
	return 0;
}

void group_done(struct group *g)
{
	free(g->slots);
}

static void group_free(struct group *g)
{
	group_done(g);
	free(g);
}

void groups_drop_empty(struct engine *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		if (!g->n && !g->wanted)
			group_free(g);
		else
			e->groups[kept++] = g;
	}
	e->n_groups = kept;
}

void groups_done(struct engine *e)
{
	for (size_t i = 0; i < e->n_groups; i++)
		group_free(e->groups[i]);
	group_done(&e->phase);
	free(e->groups);
}
