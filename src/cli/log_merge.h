/* Lines of several apps, in the order of their time: held back for a moment, so that one that comes
 * a little later can still stand in front. */
#pragma once

#include "cli/reach.h"

struct held {
	char *text; /* with its newline */
	size_t key, key_len;
};

struct log_merge {
	struct held *held;
	size_t n, cap;
	uint64_t oldest; /* when the first of them came */
	bool raw;	 /* lines have neither time nor name: they stay as they are, as they come */
};

/* line: without its newline; gets the name of its app. Prints when there are too many. 0 or
 * -ENOMEM. */
int log_merge_add(struct log_merge *m, const struct app *app, const char *line, size_t len);
bool log_merge_due(const struct log_merge *m); /* it is time for log_merge_print() */
void log_merge_print(struct log_merge *m);     /* all of it */
void log_merge_done(struct log_merge *m);
