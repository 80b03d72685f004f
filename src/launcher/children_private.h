/* What children*.c share. */
#pragma once

#include "launcher/children.h"

#define HEADS 4096

struct children {
	struct table_file file;
	struct child *slots;
	struct block *blocks;
	unsigned limit, count, alive, unreaped; /* count: without who was acknowledged */
	uint16_t free_slot, free_block;		/* chained by next_by_id, next */
	struct child_list news, left;
	uint16_t by_pid[HEADS], by_id[HEADS];
};

/* ---- children_text.c: names and tags ---- */

/* For `bytes` of text more, and for one slot. 0 or negative errno. */
int text_room(struct children *t, size_t bytes) HSUP_MUST_CHECK;
/* There is room. */
struct child_text text_write(struct children *t, const char *name, uint16_t name_length,
	const unsigned char *tag, uint16_t tag_length);
void text_free(struct children *t, struct child_text text);

static inline struct child *child_at(struct children *t, uint16_t slot)
{
	return slot == NO_SLOT ? NULL : &t->slots[slot];
}

/* ---- children.c ---- */

static inline bool is_alive(const struct child *c)
{
	return c->state != CHILD_ENDED && c->state != CHILD_KEPT;
}

void index_add(struct children *t, struct child *c);
void index_remove(struct children *t, struct child *c);

/* ---- children_lists.c ---- */

void left_add(struct children *t, struct child *c);
void left_remove(struct children *t, struct child *c);
