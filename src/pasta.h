/* What passes a network on for native dynos of who is not root. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* Where it is installed, and works here (it is tried: a tenth of a second, 15 s at most),
 * HSUP_BOX_PASTA says from now on where it is. When it does not, that is warned of, and 0: dynos
 * have the machine's network; but negative errno when LIBCONTAINER_DYNO_NETWORK is `own`, and not
 * only by default. That the machine has no device for it is warned of if the caller says so.
 * Nothing, where no network of a dyno's own is asked for, or the environment has said what it is.
 */
int pasta_settle(bool warns, struct err *err) HSUP_MUST_CHECK;
