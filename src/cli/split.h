/* A line into words, as a shell does it: blanks between, 'quotes', "quotes" and backslashes; no
 * variables, no patterns. */
#pragma once

#include "base/mem.h"

/* In place; a word that begins with # and all behind it is a comment. -EINVAL: a quote has no end;
 * -E2BIG. */
int split_words(char *line, char **ret_words, size_t max, size_t *ret_n) HSUP_MUST_CHECK;
