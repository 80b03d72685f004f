/* The carry from inside: carry.c opens it, carry_take.c and carry_out.c are the way in
 * and the way out.
 *
 * A SIGKILL stops us between any two instructions, but what was stored before it stays: so the
 * order of the stores is what counts (the compiler must keep it), and each word that says how far
 * we came is stored at once. carry_recover.c reads them again. */
#pragma once

#include "base/clock.h"
#include "logs/carry.h"

#define CARRY_LAYOUT 2
#define NO_TAKE	     UINT16_MAX

/* Of each pipe that is taken from there is a line, and no line is shorter than its stamp. */
_Static_assert(CARRY_BYTES / (CLOCK_STAMP_LEN + 1) < CARRY_TAKES, "a take for every line");

struct take {
	uint64_t dev, ino; /* the pipe */
	uint32_t bytes, done;
};

struct journal {
	uint64_t magic;
	uint32_t layout, size;
	uint64_t h_ino, o_ino;
	uint64_t fill;	 /* struct fill */
	uint64_t taking; /* struct taking */
	uint64_t out;	 /* struct out */
	/* A write to a regular file: from out.start on, written at file_at; file_len is stored
	 * last. */
	uint64_t file_start, file_at, file_len;
	struct take takes[CARRY_TAKES];
	char buffer[CARRY_BYTES];
};

/* What counts: len bytes of lines (0 = all are out), and n takes (0 = all is taken). */
struct fill {
	uint32_t len, n;
};

/* The take that is being done, and how much of it is: done, and what H holds beyond base. When H is
 * being emptied it is done alone. */
struct taking {
	uint32_t done, base;
	uint16_t index;
	bool emptying;
};

/* Equal: so much is out, and O has what follows. Else O had all from start to end, and what it
 * still holds are the last bytes before end. */
struct out {
	uint32_t start, end;
};

struct carry {
	struct journal *j;
	int h, o, null; /* -1 = dies with us */
	const char *refused;
	struct fill fill;
	struct taking taking;
	struct out out;
	uint32_t len;	/* of lines, those not yet published included */
	uint32_t n;	/* takes not yet published */
	uint32_t next;	/* the published take that carry_take() does */
	bool no_splice; /* the sink's kernel side refuses it */
};

/* The only stores that count: each says how far we came, and a kill may come before and behind it.
 */
void carry_set_fill(struct carry *c, uint32_t len, uint32_t n);
void carry_set_taking(struct carry *c);
void carry_set_out(struct carry *c);
void carry_set_done(struct carry *c, uint32_t take, uint32_t done);
void carry_set_file(struct carry *c, uint64_t at, uint64_t len);
void carry_load(struct carry *c);

/* Goes on where the last supervisor was; the pipes are ours already. */
void carry_recover(struct carry *c, bool is_new, uint64_t h_ino, uint64_t o_ino);

/* Bytes in a pipe of ours; empties one. */
uint32_t carry_held(int pipe);
void carry_empty(const struct carry *c, int pipe);
