/* Children that were found: their launcher was killed, and this one goes on with its table. They
 * are not our children: their death is told by a pidfd, their exit status by nobody, and what is
 * left of a group is looked for in /proc. Of those that were kept nothing is found: their pipes
 * went with the launcher. */
#pragma once

#include "launcher/launcher.h"

/* The environment variable that every child is started with, "HSUP_CHILD=<key>.<id>.<generation>":
 * of those whose pid was not written down, and of groups whose leader is gone, it is what tells
 * them from strangers. */
void found_mark(const struct launcher *l, const struct child *c, char ret_mark[BIRTH_MARK_SIZE]);

/* At the start: who of the table's children lives, and where their output is. Waits for the end of
 * the old supervisor, which has lost its launcher; not for long. */
void found_take(struct launcher *l);

/* The leader of one that was found has ended: nobody knows how. */
void found_gone(struct launcher *l, struct child *c);

/* Is anything of its group there? */
bool found_group_lives(const struct launcher *l, const struct child *c);
