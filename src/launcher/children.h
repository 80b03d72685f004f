/* The children: the table that lies in a file (table.h), with the indexes and lists that are made
 * anew by each launcher. A child has a slot from before its fork until the supervisor has
 * acknowledged its end; one that is kept, from then until it is acknowledged. */
#pragma once

#include "launcher/table.h"

struct child_list {
	uint16_t first, last;
};

struct children;

/* Of at most `limit` (<= LIMIT_DYNOS); the table (copied, its descriptor stays open) may hold some
 * already. NULL and errno when there is no memory. */
struct children *children_new(const struct table_file *table, unsigned limit);
struct table_file *children_table(struct children *t);
unsigned children_count(const struct children *t);
unsigned children_alive(const struct children *t); /* running or left, and ours to end */
unsigned children_unreaped(const struct children *t);

/* One that is about to be forked, in no list, without output. NULL and errno: EAGAIN when the table
 * is full, else why it cannot grow. */
struct child *children_add(struct children *t, const struct wire_child *name, const char *text,
	const unsigned char *tag, uint16_t name_length, uint16_t tag_length);
/* It is to have another name: first the room for it, 0 or negative errno; then the name, id last:
 * a crash between finds the id that it had, and by that whose it was. */
int children_room(struct children *t, size_t text) HSUP_MUST_CHECK;
void children_rename(struct children *t, struct child *c, const struct wire_child *name,
	const char *text, const unsigned char *tag, uint16_t name_length, uint16_t tag_length);
/* It was: it runs. */
void children_forked(struct children *t, struct child *c, int32_t pid);
void children_remove(struct children *t, struct child *c);
/* It has ended, as its init says, which is still to be reaped. */
void children_over(struct children *t, struct child *c);
/* One of those was. Removed, if it was acknowledged. */
void children_reaped(struct children *t, struct child *c);
/* Its end is known to whom it concerns. Removed, as soon as it is reaped. */
void children_acknowledge(struct children *t, struct child *c);
unsigned children_slot(const struct children *t, const struct child *c);

struct child *children_find(struct children *t, const struct wire_child *name);
struct child *children_find_id(struct children *t, uint64_t id); /* not ended; or kept */
struct child *children_find_pid(
	struct children *t, int32_t pid); /* running or unreaped, not found */
struct child *children_at(struct children *t, unsigned slot);
/* Every child, in slot order: start with NULL. Rare work only. */
struct child *children_next(struct children *t, const struct child *c);

/* Name and tag, back to back, into ret_text (LIMIT_NAME + LIMIT_TAG bytes). */
void children_text(const struct children *t, const struct child *c, char *ret_text);

/* Its tag is this from now on. 0, or negative errno: it has the old one. */
int children_set_tag(struct children *t, struct child *c, const unsigned char *tag,
	uint16_t len) HSUP_MUST_CHECK;

/* The one place where the state changes: keeps the index by pid, the counts and the list of those
 * that are left. */
void children_set_state(struct children *t, struct child *c, enum child_state state);

/* It is nobody's child that we could wait for. */
void children_set_found(struct children *t, struct child *c);

/* The children of whom something is to be told, in the order they came. */
void children_tell(struct children *t, struct child *c, enum child_news news);
void children_told(struct children *t, struct child *c, enum child_news news);
struct child *children_first_news(struct children *t);
struct child *children_next_news(struct children *t, const struct child *c); /* NULL at the end */

/* Those in state CHILD_LEFT; next: NULL at the end. */
struct child *children_first_left(struct children *t);
struct child *children_next_left(struct children *t, const struct child *c);
