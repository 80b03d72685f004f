/* The operands of `hsup scale`. */
#pragma once

#include "cli/reach.h"

/* TYPE=N, TYPE+N or TYPE-N, of the daemon APP/TYPE=N: chooses its app, and adds it to what that one
 * is told (app->body). Changes the operand. An exit code. */
int scale_operand(struct reach *r, char *operand);
