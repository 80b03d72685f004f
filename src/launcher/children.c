#include "launcher/children_private.h"

#include <errno.h>

struct table_file *children_table(struct children *t)
{
	return &t->file;
}

unsigned children_count(const struct children *t)
{
	return t->count;
}

unsigned children_alive(const struct children *t)
{
	return t->alive;
}

unsigned children_unreaped(const struct children *t)
{
	return t->unreaped;
}

unsigned children_slot(const struct children *t, const struct child *c)
{
	return (unsigned)(c - t->slots);
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

/* A crash between two of these leaves nothing that is half of anything: what a state says is there
 * before it. */
static void publish(struct child *c, enum child_state state)
{
	__atomic_store_n(&c->state, (uint8_t)state, __ATOMIC_RELEASE);
}

static bool in_pid_index(const struct child *c)
{
	return (c->state == CHILD_RUNNING || c->unreaped) && !c->found;
}

/* Of those that wait for the reap only, there may be more than the limit allows. */
static bool has_slot(const struct children *t)
{
	return t->free_slot != NO_SLOT || t->file.table->fresh < LIMIT_DYNOS;
}

static uint16_t take_slot(struct children *t)
{
	uint16_t slot = t->free_slot;

	if (slot == NO_SLOT)
		return (uint16_t)t->file.table->fresh++;
	t->free_slot = t->slots[slot].next_by_id;
	return slot;
}

void index_add(struct children *t, struct child *c)
{
	uint16_t slot = (uint16_t)children_slot(t, c);

	c->next_by_id = *id_head(t, c->id);
	*id_head(t, c->id) = slot;
	if (in_pid_index(c)) {
		c->next_by_pid = *pid_head(t, c->pid);
		*pid_head(t, c->pid) = slot;
	}
}

struct child *children_add(struct children *t, const struct wire_child *name, const char *text,
	const unsigned char *tag, uint16_t name_length, uint16_t tag_length)
{
	if (t->count >= t->limit || !has_slot(t)) {
		errno = EAGAIN;
		return NULL;
	}
	int r = text_room(t, (size_t)name_length + tag_length);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	struct child *c = &t->slots[take_slot(t)];

	*c = (struct child){
		.id = name->id,
		.generation = name->generation,
		.out = -1,
		.err = -1,
		.watched = -1,
		.text = text_write(t, text, name_length, tag, tag_length),
	};
	publish(c, CHILD_FORKING);
	index_add(t, c);
	t->count++;
	t->alive++;
	return c;
}

void children_forked(struct children *t, struct child *c, int32_t pid)
{
	uint16_t slot = (uint16_t)children_slot(t, c);

	c->pid = pid;
	publish(c, CHILD_RUNNING);
	c->next_by_pid = *pid_head(t, pid);
	*pid_head(t, pid) = slot;
}

static void forget_pid(struct children *t, struct child *c)
{
	uint16_t *p = pid_head(t, c->pid), slot = (uint16_t)children_slot(t, c);

	while (*p != slot)
		p = &t->slots[*p].next_by_pid;
	*p = c->next_by_pid;
}

void index_remove(struct children *t, struct child *c)
{
	uint16_t slot = (uint16_t)children_slot(t, c), *p = id_head(t, c->id);

	if (in_pid_index(c))
		forget_pid(t, c);
	while (*p != slot)
		p = &t->slots[*p].next_by_id;
	*p = c->next_by_id;
}

void children_set_state(struct children *t, struct child *c, enum child_state state)
{
	if (c->state == state)
		return;
	if (in_pid_index(c) && !c->unreaped)
		forget_pid(t, c);
	if (c->state == CHILD_LEFT)
		left_remove(t, c);
	if (state == CHILD_LEFT)
		left_add(t, c);
	t->alive -= is_alive(c);
	publish(c, state);
	t->alive += is_alive(c);
}

void children_remove(struct children *t, struct child *c)
{
	children_set_state(t, c, CHILD_ENDED);
	children_told(t, c, c->news);
	index_remove(t, c);
	publish(c, CHILD_FREE);
	text_free(t, c->text);
	c->next_by_id = t->free_slot;
	t->free_slot = (uint16_t)children_slot(t, c);
	t->count -= !c->acknowledged;
}

void children_over(struct children *t, struct child *c)
{
	c->unreaped = 1;
	t->unreaped++;
	children_set_state(t, c, CHILD_ENDED);
}

void children_reaped(struct children *t, struct child *c)
{
	forget_pid(t, c);
	c->unreaped = 0;
	t->unreaped--;
	if (c->acknowledged)
		children_remove(t, c);
}

void children_acknowledge(struct children *t, struct child *c)
{
	if (!c->unreaped) {
		children_remove(t, c);
		return;
	}
	children_told(t, c, c->news);
	c->acknowledged = 1;
	t->count--;
}

void children_set_found(struct children *t, struct child *c)
{
	if (in_pid_index(c))
		forget_pid(t, c);
	t->unreaped -= c->unreaped;
	c->unreaped = 0;
	c->found = true;
}

struct child *children_find(struct children *t, const struct wire_child *name)
{
	struct child *c = child_at(t, *id_head(t, name->id));

	while (c && (c->id != name->id || c->generation != name->generation || c->acknowledged))
		c = child_at(t, c->next_by_id);
	return c;
}

struct child *children_find_id(struct children *t, uint64_t id)
{
	struct child *c = child_at(t, *id_head(t, id));

	while (c && (c->id != id || c->state == CHILD_ENDED))
		c = child_at(t, c->next_by_id);
	return c;
}

struct child *children_find_pid(struct children *t, int32_t pid)
{
	struct child *c = child_at(t, *pid_head(t, pid));

	while (c && c->pid != pid)
		c = child_at(t, c->next_by_pid);
	return c;
}

struct child *children_at(struct children *t, unsigned slot)
{
	return &t->slots[slot];
}

struct child *children_next(struct children *t, const struct child *c)
{
	for (unsigned i = c ? children_slot(t, c) + 1 : 0; i < t->file.table->fresh; i++)
		if (t->slots[i].state != CHILD_FREE)
			return &t->slots[i];
	return NULL;
}
