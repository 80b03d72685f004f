/* What passes a network on for native dynos of who is not root. */
#pragma once

#include <stdbool.h>

/* Where it is installed, and works here (it is tried: a tenth of a second), HSUP_BOX_PASTA says
 * from now on where it is; that it does not work is warned of
 * if the caller says so. Nothing, where no network of a
 * dyno's own is asked for, or the environment has said what it is. */
void pasta_settle(bool warns);
