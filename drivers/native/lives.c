/* The table of lives, and what their boxes are called. */
#include "drivers/native/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static struct native_life **place_of(const struct native *n, uint64_t id, uint32_t generation)
{
	uint64_t hash = (id * 31 + generation) * UINT64_C(0x9e3779b97f4a7c15);
	/* Whoever changes it has it to change. */
	struct native_life *const *constant = &n->buckets[(hash >> 32) % NATIVE_BUCKETS];
	struct native_life **at;

	memcpy(&at, &constant, sizeof at);
	while (*at && ((*at)->id != id || (*at)->generation != generation))
		at = &(*at)->next;
	return at;
}

struct native_life *native_find(const struct native *n, uint64_t id, uint32_t generation)
{
	return *place_of(n, id, generation);
}

/* What is no name of a box (spec.h) has become one. */
void native_name_box(const struct native *n, const char *name, uint64_t id, uint32_t generation,
	char ret_box[SPEC_BOX_NAME_MAX + 1])
{
	const char *owner = n->context->owner;

	(void)snprintf(ret_box, SPEC_BOX_NAME_MAX + 1, "%.32s.%.40s.%" PRIx64 ".%" PRIu32,
		*owner ? owner : "0", name, id, generation);
	for (char *c = ret_box; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9') || strchr("._-", *c)))
			*c = '-';
}

int native_add(struct native *n, uint64_t id, uint32_t generation, const char *name,
	const char *box, struct native_life **ret_life)
{
	struct native_life *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	l->id = id;
	l->generation = generation;
	if (box)
		(void)snprintf(l->box, sizeof l->box, "%s", box);
	else
		native_name_box(n, name, id, generation, l->box);
	*place_of(n, id, generation) = l;
	n->n_lives++;
	*ret_life = l;
	return 0;
}

void native_forget(struct native *n, uint64_t id, uint32_t generation)
{
	struct native_life **at = place_of(n, id, generation), *l = *at;

	port_life_remove(&n->ports, id, generation);
	if (!l)
		return;
	*at = l->next;
	n->n_lives--;
	native_wish_end(l);
	native_kind_leave(n, l);
	free(l);
}
