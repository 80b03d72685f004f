/* Who answers for a container: the launcher above us, by a name that no other process has. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define KEEPER_LABEL "hsup.keeper"
#define KEEPER_SIZE  120

/* "<boot id> <pid namespace> <pid> <start time>" of the parent of this process; "" = not known. */
void keeper_name(char ret_name[KEEPER_SIZE]);

/* False: it was a process of this boot or an earlier one of this machine, and is no more. One of
 * another pid namespace, of which nothing is seen from here, counts as alive. */
bool keeper_alive(const char *name);
