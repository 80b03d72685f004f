#include "launcher/children.h"

#include <errno.h>
#include <sys/mman.h>

#define HEADS	    4096
#define BLOCK_BYTES 126
/* Of a child with the longest name and tag. */
#define MAX_BLOCKS ((LIMIT_NAME + LIMIT_TAG + BLOCK_BYTES - 1) / BLOCK_BYTES)

/* Names and tags are short as a rule and long at worst: they lie in chained blocks, so that each
 * child costs what its own text needs. */
struct block {
	uint16_t next;
	char bytes[BLOCK_BYTES];
};

_Static_assert(LIMIT_DYNOS *MAX_BLOCKS < NO_SLOT, "a block is numbered by 16 bits");

struct children {
	unsigned limit, fresh, count, alive; /* slots from `fresh` on were never used */
	unsigned fresh_block;
	uint16_t free_slot, free_block; /* chained by next_by_id, next */
	struct child_list news, left;
	uint16_t by_pid[HEADS], by_id[HEADS];
	struct child slots[LIMIT_DYNOS];
	struct block blocks[LIMIT_DYNOS * MAX_BLOCKS];
};

struct children *children_new(unsigned limit)
{
	/* Only what is used is ever touched. */
	struct children *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	(void)madvise(t, sizeof *t, MADV_DONTFORK);
	t->limit = limit < LIMIT_DYNOS ? limit : LIMIT_DYNOS;
	t->free_slot = t->free_block = NO_SLOT;
	t->news = t->left = (struct child_list){NO_SLOT, NO_SLOT};
	memset(t->by_pid, 0xff, sizeof t->by_pid);
	memset(t->by_id, 0xff, sizeof t->by_id);
	return t;
}

unsigned children_count(const struct children *t)
{
	return t->count;
}

unsigned children_alive(const struct children *t)
{
	return t->alive;
}

unsigned children_slot(const struct children *t, const struct child *c)
{
	return (unsigned)(c - t->slots);
}

static struct child *at(struct children *t, uint16_t slot)
{
	return slot == NO_SLOT ? NULL : &t->slots[slot];
}

static uint16_t *pid_head(struct children *t, int32_t pid)
{
	return &t->by_pid[(uint32_t)pid % HEADS];
}

static uint16_t *id_head(struct children *t, uint64_t id)
{
	return &t->by_id[id * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

_Static_assert(HEADS == 1 << (64 - 52), "id_head() takes the top bits");

/* ---- lists ---- */

static struct child_link *link_of(struct children *t, const struct child_list *list, uint16_t slot)
{
	return list == &t->news ? &t->slots[slot].in_news : &t->slots[slot].in_left;
}

static void list_append(struct children *t, struct child_list *list, uint16_t slot)
{
	*link_of(t, list, slot) = (struct child_link){.prev = list->last, .next = NO_SLOT};
	if (list->last == NO_SLOT)
		list->first = slot;
	else
		link_of(t, list, list->last)->next = slot;
	list->last = slot;
}

static void list_remove(struct children *t, struct child_list *list, uint16_t slot)
{
	struct child_link link = *link_of(t, list, slot);

	if (link.prev == NO_SLOT)
		list->first = link.next;
	else
		link_of(t, list, link.prev)->next = link.next;
	if (link.next == NO_SLOT)
		list->last = link.prev;
	else
		link_of(t, list, link.next)->prev = link.prev;
}

/* ---- text ---- */

static uint16_t block_take(struct children *t)
{
	uint16_t block = t->free_block;

	if (block == NO_SLOT)
		return (uint16_t)t->fresh_block++;
	t->free_block = t->blocks[block].next;
	return block;
}

static void text_append(struct children *t, struct child *c, size_t *used, uint16_t *last,
	const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t room = BLOCK_BYTES - *used % BLOCK_BYTES;

		if (*used % BLOCK_BYTES == 0) {
			uint16_t block = block_take(t);

			if (*last == NO_SLOT)
				c->text = block;
			else
				t->blocks[*last].next = block;
			t->blocks[block].next = NO_SLOT;
			*last = block;
		}
		if (room > len - done)
			room = len - done;
		memcpy(t->blocks[*last].bytes + *used % BLOCK_BYTES, (const char *)bytes + done,
			room);
		done += room;
		*used += room;
	}
}

void children_text(const struct children *t, const struct child *c, char *ret_text)
{
	size_t left = (size_t)c->name_length + c->tag_length;

	for (uint16_t block = c->text; block != NO_SLOT && left > 0;
		block = t->blocks[block].next) {
		size_t n = left < BLOCK_BYTES ? left : BLOCK_BYTES;

		memcpy(ret_text, t->blocks[block].bytes, n);
		ret_text += n;
		left -= n;
	}
}

static void text_free(struct children *t, uint16_t first)
{
	for (uint16_t block = first; block != NO_SLOT;) {
		uint16_t next = t->blocks[block].next;

		t->blocks[block].next = t->free_block;
		t->free_block = block;
		block = next;
	}
}

void children_set_tag(struct children *t, struct child *c, const unsigned char *tag, uint16_t len)
{
	char text[LIMIT_NAME + LIMIT_TAG];
	uint16_t last = NO_SLOT;
	size_t used = 0;

	children_text(t, c, text);
	text_free(t, c->text);
	c->text = NO_SLOT;
	c->tag_length = len;
	text_append(t, c, &used, &last, text, c->name_length);
	text_append(t, c, &used, &last, tag, len);
}

/* ---- children ---- */

unsigned children_next_slot(const struct children *t)
{
	if (t->count >= t->limit)
		return NO_SLOT;
	return t->free_slot != NO_SLOT ? t->free_slot : t->fresh;
}

struct child *children_add(struct children *t, const struct wire_child *name, int32_t pid,
	const char *text, const unsigned char *tag, uint16_t name_length, uint16_t tag_length)
{
	unsigned slot = children_next_slot(t);

	if (slot == NO_SLOT)
		return NULL;
	struct child *c = &t->slots[slot];
	if (slot == t->fresh)
		t->fresh++;
	else
		t->free_slot = c->next_by_id;

	*c = (struct child){
		.id = name->id,
		.generation = name->generation,
		.pid = pid,
		.out = -1,
		.err = -1,
		.state = CHILD_RUNNING,
		.name_length = name_length,
		.tag_length = tag_length,
		.text = NO_SLOT,
		.next_by_pid = *pid_head(t, pid),
		.next_by_id = *id_head(t, name->id),
	};
	*pid_head(t, pid) = *id_head(t, name->id) = (uint16_t)slot;
	t->count++;
	t->alive++;

	size_t used = 0;
	uint16_t last = NO_SLOT;
	text_append(t, c, &used, &last, text, name_length);
	text_append(t, c, &used, &last, tag, tag_length);
	return c;
}

static void forget_pid(struct children *t, struct child *c)
{
	uint16_t *p = pid_head(t, c->pid), slot = (uint16_t)children_slot(t, c);

	while (*p != slot)
		p = &t->slots[*p].next_by_pid;
	*p = c->next_by_pid;
}

void children_set_state(struct children *t, struct child *c, enum child_state state)
{
	uint16_t slot = (uint16_t)children_slot(t, c);

	if (c->state == state)
		return;
	if (c->state == CHILD_RUNNING)
		forget_pid(t, c);
	if (c->state == CHILD_LEFT)
		list_remove(t, &t->left, slot);
	if (state == CHILD_LEFT)
		list_append(t, &t->left, slot);
	if (state == CHILD_ENDED)
		t->alive--;
	c->state = (uint8_t)state;
}

void children_remove(struct children *t, struct child *c)
{
	uint16_t slot = (uint16_t)children_slot(t, c), *p = id_head(t, c->id);

	children_set_state(t, c, CHILD_ENDED);
	children_told(t, c, c->news);
	while (*p != slot)
		p = &t->slots[*p].next_by_id;
	*p = c->next_by_id;

	text_free(t, c->text);
	c->state = CHILD_FREE;
	c->next_by_id = t->free_slot;
	t->free_slot = slot;
	t->count--;
}

struct child *children_find(struct children *t, const struct wire_child *name)
{
	struct child *c = at(t, *id_head(t, name->id));

	while (c && (c->id != name->id || c->generation != name->generation))
		c = at(t, c->next_by_id);
	return c;
}

struct child *children_find_id(struct children *t, uint64_t id)
{
	struct child *c = at(t, *id_head(t, id));

	while (c && (c->id != id || c->state == CHILD_ENDED))
		c = at(t, c->next_by_id);
	return c;
}

struct child *children_find_pid(struct children *t, int32_t pid)
{
	struct child *c = at(t, *pid_head(t, pid));

	while (c && c->pid != pid)
		c = at(t, c->next_by_pid);
	return c;
}

struct child *children_next(struct children *t, const struct child *c)
{
	for (unsigned i = c ? children_slot(t, c) + 1 : 0; i < t->fresh; i++)
		if (t->slots[i].state != CHILD_FREE)
			return &t->slots[i];
	return NULL;
}

void children_tell(struct children *t, struct child *c, enum child_news news)
{
	if (!c->news)
		list_append(t, &t->news, (uint16_t)children_slot(t, c));
	c->news |= (uint8_t)news;
}

void children_told(struct children *t, struct child *c, enum child_news news)
{
	if (!c->news)
		return;
	c->news &= (uint8_t)~news;
	if (!c->news)
		list_remove(t, &t->news, (uint16_t)children_slot(t, c));
}

struct child *children_first_news(struct children *t)
{
	return at(t, t->news.first);
}

struct child *children_next_news(struct children *t, const struct child *c)
{
	return at(t, c->in_news.next);
}

struct child *children_first_left(struct children *t)
{
	return at(t, t->left.first);
}

struct child *children_next_left(struct children *t, const struct child *c)
{
	return at(t, c->in_left.next);
}
