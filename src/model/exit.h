/* How a life of a dyno ended: plain data. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum exit_kind {
	EXIT_NONE = 0, /* has never ended */
	EXIT_CODE,
	EXIT_SIGNAL,
	EXIT_STAGE,   /* never became the program: (stage, error) */
	EXIT_UNKNOWN, /* it is gone and nobody can know how */
};

/* The stage whose "no such file" means: there is no such program. WIRE_STAGE_EXEC of wire/proto.h
 * (numbers are never reused), which this room does not see. */
#define EXIT_STAGE_EXEC 12

struct dyno_exit {
	enum exit_kind kind;
	int value; /* code, signal, or stage (wire/proto.h) */
	int error; /* positive errno of a stage */
	bool oom;  /* for the memory it took: R15 */
};

/* "exited with status 3", "was killed by SIGSEGV",
 * "was killed by SIGKILL: R15, memory quota vastly exceeded",
 * "could not start: executing the program: No such file or directory". stage_text names a stage
 * (wire_stage_text; NULL: its number). Returns ret_text. */
char *dyno_exit_text(const struct dyno_exit *e, const char *(*stage_text)(unsigned), char *ret_text,
	size_t size);

/* What a shell would see: the code, 128+n for a signal, 127 when the program does not exist, 126
 * for any other stage, 255 unknown, 0 for EXIT_NONE. */
int dyno_exit_code(const struct dyno_exit *e);
