/* Which system calls a dyno has left: made of calls.txt when hsup is built. */
#pragma once

#include "base/mem.h"

#include <linux/filter.h>

/* Of every machine that hsup runs on; a program is linked with that of its own. */
extern const struct sock_filter sandbox_filter_x86_64[], sandbox_filter_aarch64[];
extern const unsigned short sandbox_filter_x86_64_n, sandbox_filter_aarch64_n;

/* From here on, for this thread and whatever it becomes; cannot be undone. What is refused: see
 * calls.txt; among it unshare, setns, mount, so that all of those come before. Needs no_new_privs.
 * Async-signal-safe. 0 or negative errno. */
int sandbox_seccomp(void) HSUP_MUST_CHECK;
