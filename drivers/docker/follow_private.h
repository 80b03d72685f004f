/* The follow from inside: follow.c asks the engine, follow_bytes.c makes bytes with a position of
 * the frames, follow_pipe.c writes them. */
#pragma once

#include "drivers/docker/follow.h"
#include "drivers/docker/stream.h"

/* What waits to be written of one pipe; the engine's stream is paused above it. What one call of
 * the engine client gives comes on top. */
#define FOLLOW_BATCH ((size_t)64 << 10)

/* Of one stream (standard output, error), in this reading of the log. */
struct follow_position {
	uint64_t at;   /* of the next byte that the engine sends */
	uint64_t have; /* what is in the pipe or waits for it; what comes below it is not new */
	uint64_t max;  /* the highest stamp */
	bool counting; /* the mark's message has come: before it is what was before the mark */
	bool wants;    /* a mark, to be set when all before it is written */
	struct place_mark want;
};

/* Runs of bytes of one stream, each with a struct follow_run before it. */
struct follow_pipe {
	struct follow *follow;
	int fd;
	sd_event_source *writable;
	char *data; /* NULL when nothing waits */
	size_t start, end, size;
	size_t last; /* where the last run begins */
};

struct follow_run {
	uint32_t stream, len;
};

struct follow {
	struct follow_setup setup;
	char *container;
	struct follow_pipe pipes[2];
	unsigned n_pipes;
	struct follow_position positions[2];

	struct stream_parser parser;
	char stamp[40]; /* the beginning of one that came in two pieces */
	size_t n_stamp;
	bool stamped, skips; /* the frame's; skips: it is before the mark */

	struct engine_call *call;
	bool paused;
	bool reading; /* also when all has come and is not yet written */
	sd_event_source *flush, *tick;
	struct err err; /* why we have ended the stream */

	bool finishing, lost;
	unsigned gone, silent; /* ticks */
};

/* A new reading: from the marks on. */
void follow_rewind(struct follow *f);
/* All of data is taken. -EBADMSG, -EIO, -ENOMEM: with f->err. */
int follow_bytes(struct follow *f, const char *data, size_t len) HSUP_MUST_CHECK;
/* What is written may have made room for the marks. */
void follow_marks(struct follow *f);

int follow_pipe_add(
	struct follow_pipe *p, unsigned stream, const char *data, size_t len) HSUP_MUST_CHECK;
/* Writes what the pipe takes; true: something was. */
bool follow_pipe_flush(struct follow_pipe *p);
size_t follow_pipe_waits(const struct follow_pipe *p);
void follow_pipe_drop(struct follow_pipe *p); /* what waits: it comes again in the next reading */

/* Into the pipes. False: one is so far behind that the engine has to wait for it. */
bool follow_write(struct follow *f);

int follow_read(struct follow *f, bool follows, struct err *err);
void follow_read_end(struct follow *f); /* what waits comes again in the next one */
/* It has ended by itself: r as engine_stream's done has it. The last that is done with f. */
void follow_read_done(struct follow *f, int r, const struct err *err);
