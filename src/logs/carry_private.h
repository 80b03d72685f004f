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

#define CARRY_PIECES 512

/* Of a file's lines. */
struct piece {
	uint64_t left;	   /* start << 32 | len: what is not out yet */
	uint64_t at_start; /* 1 + the start that the place below was noted for */
	uint64_t dev, ino, at;
	uint32_t path; /* where its name stands, in the same buffer */
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
	struct piece pieces[CARRY_PIECES];
	char files[CARRY_BYTES];
};

/* What counts: len bytes of lines (0 = all are out), n takes (0 = all is taken), and pieces for
 * files (0 = all are out). */
struct fill {
	uint32_t len, n, files;
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
	uint32_t len;		      /* of lines, those not yet published included */
	uint32_t n;		      /* takes not yet published */
	uint32_t next;		      /* the published take that carry_take() does */
	uint32_t n_pieces, files_len; /* not yet published */
	uint32_t piece;		      /* the one on its way out */
	void *owners[CARRY_PIECES];
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
void carry_set_left(struct carry *c, uint32_t piece, uint32_t start, uint32_t len);
void carry_set_place(struct carry *c, uint32_t piece, uint64_t dev, uint64_t ino, uint64_t at);

/* Goes on where the last supervisor was; the pipes are ours already. */
void carry_recover(struct carry *c, bool is_new, uint64_t h_ino, uint64_t o_ino);

/* Whether the pieces of an earlier supervisor make sense; and writes what is not out yet of them.
 */
bool carry_files_sound(const struct carry *c);
void carry_files_recover(struct carry *c);

/* How many bytes of data are in a file (any open one of it) at this place. */
size_t carry_same(int file, uint64_t at, const char *data, size_t len);

/* Bytes in a pipe of ours; empties one. */
uint32_t carry_held(int pipe);
void carry_empty(const struct carry *c, int pipe);
