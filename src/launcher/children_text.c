#include "launcher/children_private.h"

static uint16_t block_take(struct children *t)
{
	uint16_t block = t->free_block;

	if (block == NO_SLOT)
		return (uint16_t)t->file.table->fresh_block++;
	t->free_block = t->blocks[block].next;
	return block;
}

int text_room(struct children *t, size_t bytes)
{
	unsigned blocks = (unsigned)((bytes + BLOCK_BYTES - 1) / BLOCK_BYTES);

	for (uint16_t b = t->free_block; b != NO_SLOT && blocks > 0; b = t->blocks[b].next)
		blocks--;
	return table_grow(&t->file, t->file.table->fresh + 1U, t->file.table->fresh_block + blocks);
}

struct text_end {
	uint16_t first, last;
	size_t used;
};

static void text_append(struct children *t, struct text_end *e, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t at = e->used % BLOCK_BYTES, room = BLOCK_BYTES - at;

		if (at == 0) {
			uint16_t block = block_take(t);

			if (e->last == NO_SLOT)
				e->first = block;
			else
				t->blocks[e->last].next = block;
			t->blocks[block].next = NO_SLOT;
			e->last = block;
		}
		if (room > len - done)
			room = len - done;
		memcpy(t->blocks[e->last].bytes + at, (const char *)bytes + done, room);
		done += room;
		e->used += room;
	}
}

struct child_text text_write(struct children *t, const char *name, uint16_t name_length,
	const unsigned char *tag, uint16_t tag_length)
{
	struct text_end end = {NO_SLOT, NO_SLOT, 0};

	text_append(t, &end, name, name_length);
	text_append(t, &end, tag, tag_length);
	return (struct child_text){end.first, name_length, tag_length, 0};
}

void text_free(struct children *t, struct child_text text)
{
	size_t left = (size_t)text.name_length + text.tag_length;

	for (uint16_t block = text.first; left > 0;) {
		uint16_t next = t->blocks[block].next;

		t->blocks[block].next = t->free_block;
		t->free_block = block;
		block = next;
		left -= left < BLOCK_BYTES ? left : BLOCK_BYTES;
	}
}

int children_set_tag(struct children *t, struct child *c, const unsigned char *tag, uint16_t len)
{
	char text[LIMIT_NAME + LIMIT_TAG];
	struct child_text old = c->text;

	int r = text_room(t, old.name_length + (size_t)len);
	if (r < 0)
		return r;
	children_text(t, c, text);
	struct child_text new = text_write(t, text, old.name_length, tag, len);
	__atomic_store(&c->text, &new, __ATOMIC_RELEASE);
	text_free(t, old);
	return 0;
}

int children_room(struct children *t, size_t text)
{
	return text_room(t, text);
}

void children_rename(struct children *t, struct child *c, const struct wire_child *name,
	const char *text, const unsigned char *tag, uint16_t name_length, uint16_t tag_length)
{
	struct child_text old = c->text, new = text_write(t, text, name_length, tag, tag_length);

	index_remove(t, c);
	__atomic_store(&c->text, &new, __ATOMIC_RELEASE);
	c->generation = name->generation;
	__atomic_store_n(&c->id, name->id, __ATOMIC_RELEASE);
	index_add(t, c);
	text_free(t, old);
}

void children_text(const struct children *t, const struct child *c, char *ret_text)
{
	size_t left = (size_t)c->text.name_length + c->text.tag_length;

	for (uint16_t block = c->text.first; left > 0; block = t->blocks[block].next) {
		size_t n = left < BLOCK_BYTES ? left : BLOCK_BYTES;

		memcpy(ret_text, t->blocks[block].bytes, n);
		ret_text += n;
		left -= n;
	}
}
