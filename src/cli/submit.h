/* Handing a release to a control directory, and hearing what became of it. */
#pragma once

#include "cli/cli.h"

#include <sys/stat.h>

struct mark { /* of a file: whether it is another than before */
	bool there;
	struct stat st;
};

struct submit {
	int dir;				  /* the control directory; -1 = not open */
	int watch;				  /* inotify */
	struct mark loaded, rejected, last_error; /* before */
	const char *text;			  /* the caller's */
	size_t len;
};

enum submit_result {
	SUBMIT_WAITS,
	SUBMIT_LOADED,
	SUBMIT_REJECTED,
};

/* Opens the app's control directory below folder, made 0700 when it is not there, and submits text
 * to it: atomically, so that nobody sees a part of it. submit_done() also after a failure. */
int submit_begin(struct submit *s, const char *folder, const char *app, const char *text,
	size_t len, struct err *err) HSUP_MUST_CHECK;

/* What became of it so far. */
enum submit_result submit_look(struct submit *s);

/* Waits for a change in the directory, or until other (a descriptor, -1 = none) is readable; at
 * most timeout_ms. */
void submit_wait(struct submit *s, int other, int timeout_ms);

/* Why it was refused: lines; the caller frees it. NULL = cannot be read. */
char *submit_reason(struct submit *s);
void submit_done(struct submit *s);
