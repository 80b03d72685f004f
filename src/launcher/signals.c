/* To the children: none to a number that may be another's. */
#include "launcher/launcher.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ours is, until we reap it. One that was found may have ended just now, but as long as its pidfd
 * says that it runs, its number and its group's are its own. */
static bool leader_is_there(const struct child *c)
{
	return !c->found || syscall(SYS_pidfd_send_signal, c->watched, 0, NULL, 0) == 0;
}

/* Init passes on what it gets, to all of its pid namespace. A stop it could not: neither can it
 * catch one, nor go on then. */
static void signal_init(const struct child *c, int signo)
{
	if (signo == SIGSTOP)
		(void)sigqueue(c->pid, SIGRTMAX, (union sigval){.sival_int = SIGSTOP});
	else
		(void)kill(c->pid, signo);
}

void signals_send(struct launcher *l, struct child *c, int signo)
{
	if (c->state == CHILD_RUNNING) {
		/* The leader was not reaped, so its number, and with it the group's, is its own. A
		 * child that was forked just now may not have made its group yet: then it is alone
		 * and gets the signal itself, when it unblocks signals. */
		if (!leader_is_there(c))
			return;
		if (c->boxed)
			signal_init(c, signo);
		else if (kill(-c->pid, signo) < 0 && errno == ESRCH)
			(void)kill(c->pid, signo);
	} else if (c->state == CHILD_LEFT) {
		/* As long as a member hangs on us nobody else can get the group's number. One that
		 * moved to another group without dying has told us nothing. */
		if (reap_left(l, c))
			(void)kill(-c->pid, signo);
	}
}

void signals_send_all(struct launcher *l, int signo)
{
	for (struct child *c = NULL; (c = children_next(l->children, c));)
		signals_send(l, c, signo);
}
