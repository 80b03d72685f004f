/* Whether a supervisor holds a control directory. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <sys/types.h>

#define CONTROL_SOCKET "control.sock" /* below options_path_of() */

/* *ret_pid: the supervisor, 0 when the lock does not say. */
bool control_dir_holder(const char *control_dir, pid_t *ret_pid);
