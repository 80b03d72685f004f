/* Giving up capabilities, or passing them on. */
#pragma once

#include "base/mem.h"

#include <stdint.h>

/* All of this process's: effective, permitted, inheritable and ambient. The bounding set stays: to
 * drop from it needs a capability. Async-signal-safe. 0 or negative errno. */
int caps_drop(void) HSUP_MUST_CHECK;

/* Those of these that this process has, to the program it executes: in a new user namespace it is
 * nobody until a map is written, and would lose them. The others are gone. Async-signal-safe. 0 or
 * negative errno. */
#define CAPS_ALL UINT64_MAX /* else bits: UINT64_C(1) << CAP_... */
int caps_pass_on(uint64_t which) HSUP_MUST_CHECK;
