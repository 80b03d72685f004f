/* The launcher replaces itself: execve of the new program in this process, which stays the parent
 * of its children, with the table, the pipes and the wire left open and the rest in a memfd.
 *
 * There is no way back from execve, so the new program is asked first: run beside us, with
 * --check-resume, it looks at what it would be handed. Only if it can use that, it gets it. */
#pragma once

#include "launcher/launcher.h"

/* USR2, or the supervisor's wish. */
void upgrade_begin(struct launcher *l);
/* The program that was asked has ended (l->upgrade.ended): goes on, which does not return, or says
 * why not. */
void upgrade_go(struct launcher *l);
/* l->upgrade.deadline is over: it has not answered. */
void upgrade_late(struct launcher *l);

/* As the new program. Everything of *l that was handed over is there: but the descriptors of the
 * process's own, which start.c makes. -EPROTO: of another version. */
int upgrade_resume(struct launcher *l, int fd, struct err *err) HSUP_MUST_CHECK;
int upgrade_check(int fd, struct err *err) HSUP_MUST_CHECK;
