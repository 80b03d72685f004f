/* How far the output of each life has come, kept where a kill of the supervisor does not reach: a
 * file of the app's runtime folder, mapped, a slot per life.
 *
 * The bytes of one stream (standard output or error) are counted from the container's start. Those
 * up to `written` are in the pipe or beyond it: the launcher keeps the pipe (launch_keep), so they
 * are safe. A write to the pipe and the store that says it cannot be one step: before it the slot
 * says what the pipe holds and what is about to come (`way`), and nobody takes from the pipe in
 * between; so a successor reads from the pipe itself how much of it came. What `way` says belongs
 * to one value of `written`: the store of the next one ends it.
 *
 * The engine's log cannot be read from a byte on, only from a time on: `mark` says that the message
 * which bears the stamp `since`, the first that does, begins at the byte `at`. Two marks: the older
 * one is good until the younger is written whole (`young` is the last store). */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct place_mark {
	uint64_t since; /* ns since 1970; 0 = from the beginning */
	uint64_t at;	/* bytes, of the payload without stamps */
};

struct place_stream {
	uint64_t written;
	uint64_t way; /* held << 40 | len << 20 | written % 2^20; len 0 = no write is on its way */
	struct place_mark marks[2];
	uint64_t young; /* which of them is valid: 0 or 1 */
};

struct place {
	uint64_t
		id; /* 0 = the slot is free; stored last when it is taken, first when it is freed */
	uint32_t generation;
	uint32_t reserved;
	struct place_stream streams[2]; /* out, err */
};

struct places;

/* dir: the app's runtime folder; NULL = the places die with us. 0 or negative errno and err (a file
 * of another layout is replaced). */
int places_open(const char *dir, struct places **ret_places, struct err *err) HSUP_MUST_CHECK;
struct places *places_close(struct places *p); /* the file stays; NULL allowed */
void places_remove(const char *dir);	       /* at the end of all */

/* The slot of this life, made when there is none; valid until it is dropped. NULL = no room. */
struct place *places_take(struct places *p, uint64_t id, uint32_t generation);
struct place *places_find(struct places *p, uint64_t id, uint32_t generation);
void places_drop(struct places *p, uint64_t id, uint32_t generation);

/* The bytes of one write: fewer than `way` can tell apart. Of a pipe that holds more than the other
 * (16 MiB) a successor cannot say what came, so nothing is written into such a one. */
#define PLACE_WRITE_MAX ((1U << 20) - 1)
#define PLACE_HELD_MAX	((1U << 24) - 1)

/* Each a single store that counts: a kill may come before and behind it.
 *
 * About to write len bytes (0 = no more) into the pipe, which holds `held`; written: n of them. */
void place_about(struct place_stream *s, size_t held, size_t len);
void place_wrote(struct place_stream *s, size_t n);
void place_set_mark(struct place_stream *s, struct place_mark mark);
struct place_mark place_mark(const struct place_stream *s);

/* Of a successor: what was on its way, by what the pipe holds now. Before anything is read from it.
 */
void place_recover(struct place_stream *s, size_t pipe_holds);
