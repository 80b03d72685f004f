/* What passes a network on for native dynos of who is not root. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* Where pasta, else slirp4netns, is installed, and works here (it is tried: a tenth of a second, 15
 * s at most for each), HSUP_BOX_PASTA or HSUP_BOX_SLIRP4NETNS says from now on where it is. When
 * none does, that is warned of, and 0: dynos have the machine's network; but negative errno when
 * LIBCONTAINER_DYNO_NETWORK is `own`, and not only by default. That the machine has no device for
 * them is warned of if the caller says so. Nothing, where no network of a dyno's own is asked for,
 * or the environment has said what it is. */
int passer_settle(bool warns, struct err *err) HSUP_MUST_CHECK;

/* ---- passer_try.c ---- */

/* 0; -ETIMEDOUT: that says nothing of whether it works; or negative errno: it does not. */
int passer_try_pasta(const char *path, int patience_ms) HSUP_MUST_CHECK;
int passer_try_slirp4netns(const char *path, int patience_ms) HSUP_MUST_CHECK;
