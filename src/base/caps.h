/* Giving up capabilities, or passing them on. */
#pragma once

#include "base/mem.h"

/* All of this process's: effective, permitted, inheritable and ambient. The bounding set stays: to
 * drop from it needs a capability. Async-signal-safe. 0 or negative errno. */
int caps_drop(void) HSUP_MUST_CHECK;

/* All that this process has, to the program it executes: in a new user namespace it is nobody until
 * a map is written, and would lose them. Async-signal-safe. 0 or negative errno. */
int caps_pass_on(void) HSUP_MUST_CHECK;
