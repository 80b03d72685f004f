/* The table of children as it lies in a file: what must outlive the launcher. A launcher that is
 * killed leaves it as it was at that instruction, and the next one finds the dynos by it; a
 * launcher that replaces itself hands it over. Nothing in it is a pointer, and nothing of it is
 * believed before table_sound_child() has looked: an entry may be half written.
 *
 * It is mapped shared from a file (--table, in the runtime directory: memory, gone after a boot) or
 * a memfd, and MADV_DONTFORK: a fork neither copies its page tables nor can a child between fork
 * and exec reach it. Pages are allocated before they are touched: a file system that is full is a
 * start that is refused, not a SIGBUS.
 *
 * The layout is numbered. Whoever changes a struct below counts TABLE_LAYOUT up; an old launcher's
 * table is then refused, unless code that converts it is written. Layout 1 is this one without
 * CHILD_KEPT, layout 2 without `boxed`, which was a zero: they are taken as they are, and are of
 * this layout from then on; so is layout 3, without `unreaped`. */
#pragma once

#include "base/err.h"
#include "spawn/stages.h"

#define TABLE_LAYOUT	    4
#define TABLE_LAYOUT_OLDEST 1
#define NO_SLOT		    UINT16_MAX
#define BLOCK_BYTES	    126
/* Of a child with the longest name and tag. */
#define MAX_BLOCKS ((LIMIT_NAME + LIMIT_TAG + BLOCK_BYTES - 1) / BLOCK_BYTES)
/* One more child's: a new tag is written before the old one goes. */
#define BLOCKS ((LIMIT_DYNOS + 1) * MAX_BLOCKS)

_Static_assert(BLOCKS < NO_SLOT, "a block is numbered by 16 bits");

enum child_state {
	CHILD_FREE,
	CHILD_FORKING, /* entered, and perhaps forked: seen only after a crash */
	CHILD_RUNNING, /* the leader lives, or was not reaped yet */
	CHILD_LEFT,    /* the leader is gone, others of its process group live */
	CHILD_ENDED,   /* nothing is left but the report */
	CHILD_KEPT,    /* somebody else runs it: no pid, and only the pipes are ours */
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

/* Where name and tag are, back to back. Written as one word, so that a crash finds either the old
 * or the new. */
struct child_text {
	_Alignas(8) uint16_t first; /* block */
	uint16_t name_length, tag_length, zero;
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
	bool found; /* after its launcher was killed: it is nobody's child that we could wait for */
	uint16_t next_by_pid, next_by_id;
	struct child_text text;
	struct child_link in_news, in_left;
	int watched; /* while it runs: a pidfd of one that was found, a pipe of an init; else -1 */
	uint32_t fork_took;	      /* ns */
	uint64_t fork_begun;	      /* CLOCK_BOOTTIME, ns: with it the process is known again */
	uint64_t pipe_ino[2];	      /* so are the pipes of its output */
	uint64_t spawn_time;	      /* CLOCK_MONOTONIC, ns */
	struct birth_failure failure; /* stage 0: it became the program, and what follows holds */
	int32_t status;
	uint8_t boxed; /* 1: the first of a pid namespace, and init there */
	/* It has ended by its own word (1): the slot and the number are its own until the reap. */
	uint8_t unreaped;
	uint8_t acknowledged; /* 1: for that alone it is still here, and nobody is told of it */
	uint8_t zero;
	uint64_t exit_time, user_usec, system_usec, max_rss_kb;
};

/* Names and tags are short as a rule and long at worst: they lie in chained blocks, so that each
 * child costs what its own text needs. */
struct block {
	uint16_t next;
	char bytes[BLOCK_BYTES];
};

struct table {
	uint32_t magic, layout;
	char boot[40]; /* boot_id of the kernel: nothing survives a boot */
	uint64_t key;  /* random: its children carry it in their environment */
	int32_t supervisor, zero;
	uint64_t supervisor_forked;  /* CLOCK_BOOTTIME, ns, before its fork */
	uint32_t fresh, fresh_block; /* those from here on were never used */
	_Alignas(4096) struct child slots[LIMIT_DYNOS];
	_Alignas(4096) struct block blocks[BLOCKS];
};

_Static_assert(sizeof(struct child) == 144, "count TABLE_LAYOUT up");
_Static_assert(sizeof(struct block) == 128, "count TABLE_LAYOUT up");

struct table_file {
	struct table *table;
	int fd;
	unsigned slots_ready, blocks_ready; /* allocated */
};

/* The file at `path` (made when it is not there, 0600, never through a link), or a memfd when path
 * is NULL; locked as long as this process lives. *ret_old: it is
 * what a launcher of this boot has left behind. -EBUSY: its launcher runs (err says which);
 * -EPROTO: it is of another layout. */
int table_open(const char *path, struct table_file *ret_file, bool *ret_old,
	struct err *err) HSUP_MUST_CHECK;
/* A file that is ours alone, made when it is not there, or a memfd of that name when path is NULL.
 * The descriptor, or negative errno and err. */
int table_open_file(const char *path, const char *name, struct err *err) HSUP_MUST_CHECK;
/* That of the launcher we were until now; takes fd. */
int table_resume(int fd, struct table_file *ret_file, struct err *err) HSUP_MUST_CHECK;
/* Could we? Changes nothing, fd stays the caller's. */
int table_check(int fd, struct err *err) HSUP_MUST_CHECK;
/* Empties the file: the next launcher begins anew. Nothing may be looked at in the table any more.
 */
void table_forget(const struct table_file *f);
/* Only before the turning point. */
void table_close(struct table_file *f);

/* Makes room for slots and blocks up to these counts. 0, or negative errno (-ENOSPC). */
int table_grow(struct table_file *f, unsigned slots, unsigned blocks) HSUP_MUST_CHECK;

/* What a launcher that was killed may have left of a child: false when it cannot be used at all;
 * *ret_text: whether name and tag can be. `used`: a bit per block, of those seen so far, to which
 * this child's are added. */
#define BLOCK_WORDS ((BLOCKS + 63) / 64)
bool table_sound_child(
	const struct table *t, const struct child *c, uint64_t used[BLOCK_WORDS], bool *ret_text);
