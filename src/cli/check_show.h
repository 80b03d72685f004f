/* What `hsup check` shows of a process type. */
#pragma once

#include "model/release.h"

#define CHECK_SHOWN 400

/* As somebody would type it, printable and cut. Returns ret_text. */
const char *check_command(char *const *args, size_t n_args, char ret_text[CHECK_SHOWN]);

/* Lines, indented so far, on what is not as it is by default. */
void check_show(int indent, const struct process *p);
