/* A table that holds children already: lists and indexes are made of what they themselves say. */
#include "launcher/children_private.h"

#include <sys/mman.h>

/* All that is left of a child is the child itself: nobody knows its name or whose it is. False when
 * there is no room for even that. */
static bool name_anew(struct children *t, struct child *c)
{
	static const char unknown[] = "unknown";

	if (text_room(t, sizeof unknown) < 0)
		return false;
	c->text = text_write(t, unknown, sizeof unknown - 1, NULL, 0);
	return true;
}

static void free_unused_blocks(struct children *t, const uint64_t used[BLOCK_WORDS])
{
	for (unsigned b = t->file.table->fresh_block; b-- > 0;)
		if (!(used[b / 64] & UINT64_C(1) << b % 64)) {
			t->blocks[b].next = t->free_block;
			t->free_block = (uint16_t)b;
		}
}

static void take_up(struct children *t, struct child *c)
{
	uint8_t news = c->news;

	c->news = 0;
	index_add(t, c);
	t->count += !c->acknowledged;
	t->alive += is_alive(c);
	t->unreaped += c->unreaped;
	if (c->state == CHILD_LEFT)
		left_add(t, c);
	if (news)
		children_tell(t, c, news);
}

static void take_up_all(struct children *t)
{
	uint64_t used[BLOCK_WORDS] = {0}, nameless[(LIMIT_DYNOS + 63) / 64] = {0};

	for (unsigned i = t->file.table->fresh; i-- > 0;) {
		struct child *c = &t->slots[i];
		bool text = true;

		if (c->state != CHILD_FREE && !table_sound_child(t->file.table, c, used, &text))
			c->state = CHILD_FREE;
		if (c->state == CHILD_FREE) {
			c->next_by_id = t->free_slot;
			t->free_slot = (uint16_t)i;
		}
		if (!text)
			nameless[i / 64] |= UINT64_C(1) << i % 64;
	}
	free_unused_blocks(t, used);
	for (unsigned i = 0; i < t->file.table->fresh; i++) {
		struct child *c = &t->slots[i];

		if (c->state == CHILD_FREE)
			continue;
		if ((nameless[i / 64] & UINT64_C(1) << i % 64) && !name_anew(t, c))
			c->state = CHILD_FREE;
		else
			take_up(t, c);
	}
}

struct children *children_new(const struct table_file *table, unsigned limit)
{
	struct children *t =
		mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	/* As the table itself: nothing for a child. */
	(void)madvise(t, sizeof *t, MADV_DONTFORK);
	t->file = *table;
	t->slots = table->table->slots;
	t->blocks = table->table->blocks;
	t->limit = limit < LIMIT_DYNOS ? limit : LIMIT_DYNOS;
	t->free_slot = t->free_block = NO_SLOT;
	t->news = t->left = (struct child_list){NO_SLOT, NO_SLOT};
	memset(t->by_pid, 0xff, sizeof t->by_pid);
	memset(t->by_id, 0xff, sizeof t->by_id);
	take_up_all(t);
	return t;
}
