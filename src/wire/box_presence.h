/* Whether anybody on this machine still has to do with native dynos: each driver holds RUN/present
 * shared for as long as it is there. Who finds it free, and no dyno left, may take away what
 * `hsup-box --setup` has made. It holds nothing else: any user of the machine may open the file. */
#pragma once

#include "base/mem.h"

#define BOX_PRESENT "present"

/* In the folder `run`; waits for who is just taking all away. Root makes what is no longer there:
 * the rest of a setup comes with the next box. -ENOENT for anybody else: setup is due again. The
 * descriptor, which is to be kept open, or negative errno. */
int box_presence_hold(const char *run) HSUP_MUST_CHECK;
/* -EBUSY: somebody is there. Else the descriptor: as long as it is open nobody can come. */
int box_presence_alone(const char *run) HSUP_MUST_CHECK;
