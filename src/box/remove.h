/* Removing a tree that a dyno has written: nothing in it is followed, or trusted to be small. */
#pragma once

#include "base/mem.h"

/* Empties the folder `dir`, which only we can write (not what is in it), and whose processes are
 * dead. However deep, with two descriptors and no heap: what is nested is moved up into `dir`,
 * under a name of ours, and emptied there. 0, or the errno of the first that could not go; all
 * others are gone then. -EXDEV: something is mounted there; it is not crossed. */
int remove_content(int dir) HSUP_MUST_CHECK;
