/* The processes of now, and what is kept of those that were. */
#include "supervisor/private.h"

#include <stdio.h>

static struct life **bucket(struct supervisor *s, uint64_t id)
{
	return &s->lives[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(LIFE_BUCKETS == 1 << (64 - 54), "bucket() yields as many values as there are");

struct life *life_find(struct supervisor *s, uint64_t id, uint32_t generation)
{
	struct life *l = *bucket(s, id);

	while (l && (l->id != id || l->generation != generation))
		l = l->next;
	return l;
}

struct life *life_new(
	struct supervisor *s, const char *name, unsigned color, uint64_t id, uint32_t generation)
{
	struct life *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->id = id;
	l->generation = generation;
	l->color = color;
	l->owner = s;
	l->used = DYNO_USAGE_UNKNOWN;
	(void)snprintf(l->name, sizeof l->name, "%s", name);

	struct life **head = bucket(s, id);
	l->next = *head;
	*head = l;
	s->n_lives++;
	s->n_starting++;
	return l;
}

void life_drop(struct supervisor *s, struct life *l)
{
	struct life **at = bucket(s, l->id);

	checks_end(l);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	s->n_lives -= !l->drained;
	s->n_starting -= !l->started;
	release_unref(l->release);
	free(l);
}

void lives_free(struct supervisor *s)
{
	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		while (s->lives[i])
			life_drop(s, s->lives[i]);
}

void lives_names(struct supervisor *s, char *ret_text, size_t size)
{
	size_t at = 0, named = 0;

	ret_text[0] = '\0';
	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (struct life *l = s->lives[i]; l; l = l->next) {
			if (l->ended || named >= 5)
				continue;
			int n = snprintf(
				ret_text + at, size - at, "%s%s", named ? " " : "", l->name);
			if (n < 0 || (size_t)n >= size - at)
				return;
			at += (size_t)n;
			named++;
		}
	if (s->n_lives > named)
		(void)snprintf(ret_text + at, size - at, " and %zu more", s->n_lives - named);
}

uint64_t lives_killed_at(struct supervisor *s)
{
	uint64_t last = 0;

	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (const struct life *l = s->lives[i]; l; l = l->next) {
			if (l->ended)
				continue;
			if (!l->killed_at)
				return 0;
			last = l->killed_at > last ? l->killed_at : last;
		}
	return last;
}

static bool has_later_life(struct supervisor *s, uint64_t id, uint32_t generation)
{
	for (struct life *l = *bucket(s, id); l; l = l->next)
		if (l->id == id && l->generation > generation)
			return true;
	return false;
}

void lives_supersede(struct supervisor *s, uint64_t id, uint32_t generation)
{
	for (struct life *l = *bucket(s, id), *next; l; l = next) {
		next = l->next;
		if (l->id != id || l->generation >= generation || l->superseded)
			continue;
		l->superseded = true;
		if (l->drained)
			life_release(s, l);
	}
}

/* The engine hears of a dyno's last life, with what has become of it since it was listed. */
static void tell_adopted(struct supervisor *s, struct engine_adopted *a)
{
	struct life *l = life_find(s, a->id, a->generation);

	if (!l)
		return;
	/* One that has ended may not have been released yet when the next began. */
	if (has_later_life(s, a->id, a->generation)) {
		l->superseded = true;
		return;
	}
	a->left = a->left || l->left;
	a->ended = l->ended;
	a->exit = l->exit;
	/* A start that failed did so at once. */
	a->at = l->ended_at ? l->ended_at : a->started;
	feed(s, &(struct engine_event){.type = ENGINE_ADOPTED, .adopted = a});
	checks_adopt(s, l, a);
}

void lives_tell_engine(struct supervisor *s)
{
	for (size_t i = 0; i < s->n_adopted; i++)
		tell_adopted(s, &s->adopted[i]);
	checks_sweep(s);
	/* Before it would start what is missing. */
	if (s->stopping)
		feed(s, &(struct engine_event){
				.type = ENGINE_SHUTDOWN, .urgency = (int)s->stopping});
	feed(s, &(struct engine_event){.type = ENGINE_CAUGHT_UP});
	s->caught_up = true;

	for (size_t i = 0; i < s->n_adopted; i++) {
		struct life *l = life_find(s, s->adopted[i].id, s->adopted[i].generation);

		if (l && l->ended)
			life_found_over(s, l);
	}
	/* Events that could not be handled for want of memory still point there. */
	if (s->n_queue == 0)
		free(TAKE_PTR(s->adopted));
	s->n_adopted = s->cap_adopted = 0;
}
