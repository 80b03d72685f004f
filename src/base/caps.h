/* Giving up capabilities. */
#pragma once

#include "base/mem.h"

/* All of this process's: effective, permitted, inheritable and ambient. The bounding set stays: to
 * drop from it needs a capability. Async-signal-safe. 0 or negative errno. */
int caps_drop(void) HSUP_MUST_CHECK;
