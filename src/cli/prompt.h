/* Lines from a terminal, with editing, completion and history by libedit, which is loaded when
 * there is a terminal; without either, lines as they come. */
#pragma once

#include <stdbool.h>

struct prompt {
	bool edits;
	char history[4096]; /* its file; "" = none */
};

void prompt_open(struct prompt *p, const char *state_dir);
char *prompt_read(struct prompt *p); /* without its newline; the caller's; NULL = the end */
void prompt_done(struct prompt *p);
