/* The table of children, sized once. A child has a slot from its start until the supervisor has
 * acknowledged its end. It knows no system call but the one that maps it.
 *
 * The table is mapped MADV_DONTFORK: a fork neither copies its page tables nor leaves its pages to
 * be copied on the next write, so a start costs the same with 10 children and with 1,000; and a
 * child between fork and exec cannot reach it. */
#pragma once

#include "spawn/stages.h"

#define NO_SLOT UINT16_MAX

enum child_state {
	CHILD_FREE,
	CHILD_RUNNING, /* the leader lives, or was not reaped yet */
	CHILD_LEFT,    /* the leader was reaped, others of its process group live */
	CHILD_ENDED,   /* nothing is left but the report */
};

/* What the supervisor is still to be told of a child; told in this order. */
enum child_news {
	NEWS_SPAWNED = 1,
	NEWS_ENTRY = 2,
	NEWS_LEFT = 4,
	NEWS_ENDED = 8,
};

struct child_link {
	uint16_t prev, next;
};

struct child_list {
	uint16_t first, last;
};

struct child {
	uint64_t id;
	uint32_t generation;
	int32_t pid;	/* of the leader, and of its process group */
	int out, err;	/* read ends of its pipes, -1 when the output was given */
	uint8_t state;	/* enum child_state */
	uint8_t output; /* enum wire_output */
	uint8_t news;	/* enum child_news, or-ed */
	bool known;	/* to the supervisor that is connected: it may be told of */
	bool left_told;
	uint16_t name_length, tag_length;
	uint16_t text; /* first block of name and tag */
	uint16_t next_by_pid, next_by_id;
	struct child_link in_news, in_left;
	uint64_t spawn_time;
	struct birth_failure failure; /* stage 0: it became the program, and what follows holds */
	int32_t status;
	uint64_t exit_time, user_usec, system_usec, max_rss_kb;
};

struct children;

/* At most `limit` (<= LIMIT_DYNOS) children. NULL and errno when there is no memory. */
struct children *children_new(unsigned limit);
unsigned children_count(const struct children *t);
unsigned children_alive(const struct children *t); /* running or left */

/* A running child, in no list, without output. NULL when the table is full. */
struct child *children_add(struct children *t, const struct wire_child *name, int32_t pid,
	const char *text, const unsigned char *tag, uint16_t name_length, uint16_t tag_length);
void children_remove(struct children *t, struct child *c);
unsigned children_slot(const struct children *t, const struct child *c);
/* The slot that the next children_add() will use, so that what belongs to it can be made ready
 * before the fork; NO_SLOT when the table is full. */
unsigned children_next_slot(const struct children *t);

struct child *children_find(struct children *t, const struct wire_child *name);
struct child *children_find_id(struct children *t, uint64_t id);  /* not ended */
struct child *children_find_pid(struct children *t, int32_t pid); /* running */
/* Every child, in slot order: start with NULL. Rare work only. */
struct child *children_next(struct children *t, const struct child *c);

/* Name and tag, back to back, into ret_text (LIMIT_NAME + LIMIT_TAG bytes). */
void children_text(const struct children *t, const struct child *c, char *ret_text);

/* Its tag is this from now on. */
void children_set_tag(struct children *t, struct child *c, const unsigned char *tag, uint16_t len);

/* The one place where the state changes: keeps the index by pid, the counts and the list of those
 * that are left. */
void children_set_state(struct children *t, struct child *c, enum child_state state);

/* The children of whom something is to be told, in the order they came. */
void children_tell(struct children *t, struct child *c, enum child_news news);
void children_told(struct children *t, struct child *c, enum child_news news);
struct child *children_first_news(struct children *t);
struct child *children_next_news(struct children *t, const struct child *c); /* NULL at the end */

/* Those in state CHILD_LEFT; next: NULL at the end. */
struct child *children_first_left(struct children *t);
struct child *children_next_left(struct children *t, const struct child *c);
