/* Splitting output into lines: pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The next piece of data that is a line of its own. Returns how many bytes of data it uses up
 * (newline included), 0 when there is no whole line yet; *ret_len is the text without its newline
 * (and without a carriage return before it). A line longer than limit comes in pieces of at most
 * limit bytes that do not cut a UTF-8 character. At `end` (nothing will follow) the unterminated
 * rest is a line too. */
size_t line_next(const char *data, size_t len, size_t limit, bool end, size_t *ret_len);
