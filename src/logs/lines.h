/* Many lines into a buffer. */
#pragma once

#include "logs/format.h"

/* As many of the lines as fit into space bytes, with their newlines; how many, and where it ends.
 */
size_t lines_put(
	struct format *f, const struct log_lines *lines, char *to, size_t space, char **ret_end);

/* One of them. */
struct log_line lines_at(const struct log_lines *lines, size_t i);
