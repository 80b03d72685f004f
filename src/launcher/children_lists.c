/* Those of whom something is to be told, and those that are left. */
#include "launcher/children_private.h"

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

void left_add(struct children *t, struct child *c)
{
	list_append(t, &t->left, (uint16_t)children_slot(t, c));
}

void left_remove(struct children *t, struct child *c)
{
	list_remove(t, &t->left, (uint16_t)children_slot(t, c));
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
	return child_at(t, t->news.first);
}

struct child *children_next_news(struct children *t, const struct child *c)
{
	return child_at(t, c->in_news.next);
}

struct child *children_first_left(struct children *t)
{
	return child_at(t, t->left.first);
}

struct child *children_next_left(struct children *t, const struct child *c)
{
	return child_at(t, c->in_left.next);
}
