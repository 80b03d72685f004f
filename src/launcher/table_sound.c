/* What of a table that a launcher has left can be believed. */
#include "launcher/table.h"

static bool text_sound(const struct table *t, const struct child *c, uint64_t used[BLOCK_WORDS])
{
	size_t left = (size_t)c->text.name_length + c->text.tag_length;
	uint16_t block = c->text.first;

	if (c->text.name_length < 1 || c->text.name_length > LIMIT_NAME ||
		c->text.tag_length > LIMIT_TAG)
		return false;
	for (; left > 0; block = t->blocks[block].next) {
		if (block >= t->fresh_block || used[block / 64] & UINT64_C(1) << block % 64)
			return false;
		used[block / 64] |= UINT64_C(1) << block % 64;
		left -= left < BLOCK_BYTES ? left : BLOCK_BYTES;
	}
	return true;
}

bool table_sound_child(
	const struct table *t, const struct child *c, uint64_t used[BLOCK_WORDS], bool *ret_text)
{
	if (c->id == 0 || c->generation == 0 || c->state > CHILD_KEPT ||
		c->output >= WIRE_OUTPUT_MAX || c->failure.stage >= WIRE_STAGE_MAX ||
		c->boxed > 1 || c->unreaped > 1 || c->acknowledged > c->unreaped ||
		(c->state != CHILD_FORKING && c->state != CHILD_KEPT && c->pid <= 0))
		return false;
	*ret_text = text_sound(t, c, used);
	return true;
}
