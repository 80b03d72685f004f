/* Waits for a process, and passes on what signals it gets meanwhile. */
#include "base/fd.h"
#include "box/box_private.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 16

/* How long who has joined, and was killed, may take to be reaped. */
#define JOINED_TRIES   50
#define JOINED_STEP_NS 200000

static int code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* All that have ended, as init has to. True: the leader is among them. */
static bool reap(pid_t leader, int *ret_status)
{
	bool ended = false;
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) != 0;) {
		if (pid < 0 && errno != EINTR)
			break;
		if (pid == leader) {
			*ret_status = status;
			ended = true;
		}
	}
	return ended;
}

/* With us the kernel would kill all others of the namespace, but first let go of our lock: the next
 * who gets the uid would meet them. Who has joined is another's to reap, so that only the kernel
 * can say that nobody is left (ESRCH); false: it has not. */
static bool end_all(void)
{
	static const struct timespec step = {.tv_nsec = JOINED_STEP_NS};

	for (unsigned tries = 0; kill(-1, SIGKILL) == 0 || errno != ESRCH; tries++) {
		while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
			;
		if (tries == JOINED_TRIES)
			return false;
		if (tries > 0)
			(void)nanosleep(&step, NULL);
	}
	return true;
}

static uint64_t usec(const struct timeval *a, const struct timeval *b)
{
	return (uint64_t)(a->tv_sec + b->tv_sec) * 1000000 + (uint64_t)(a->tv_usec + b->tv_usec);
}

/* All that others may need is let go of, but for our place in the table of processes: the kernel
 * takes a millisecond or two to unmake our namespaces before it gives that back. */
static void tell_end(struct box *b, int status)
{
	struct rusage own, others;

	b->uid_lock = fd_close(b->uid_lock);
	b->layer_lock = fd_close(b->layer_lock);
	b->claim = fd_close(b->claim);
	b->stack_lock = fd_close(b->stack_lock);
	(void)getrusage(RUSAGE_SELF, &own);
	(void)getrusage(RUSAGE_CHILDREN, &others);
	const struct box_end end = {
		.status = code_of(status) << 8,
		.user_usec = usec(&own.ru_utime, &others.ru_utime),
		.system_usec = usec(&own.ru_stime, &others.ru_stime),
		.max_rss_kb = (uint64_t)(own.ru_maxrss > others.ru_maxrss ? own.ru_maxrss
									  : others.ru_maxrss),
	};
	/* When it is not taken our own end tells the same. */
	(void)!write(b->end, &end, sizeof end);
}

HSUP_NORETURN static void finish(const struct watch *w, int signals, int status)
{
	bool alone = w->box && end_all();

	pty_end(w->pty, signals);
	box_report_end(status);
	if (alone && w->box->end >= 0)
		tell_end(w->box, status);
	_exit(code_of(status));
}

/* What its own processes send to init is not for all of them, and what we caused for nobody. */
static bool counts(const struct watch *w, const struct signalfd_siginfo *s)
{
	return s->ssi_signo != SIGCHLD && (int)s->ssi_pid != getpid() &&
	       (s->ssi_pid == 0 || !w->inside);
}

static void take(const struct watch *w, const struct signalfd_siginfo *s)
{
	int signo = (int)s->ssi_signo;

	if (!counts(w, s))
		return;
	if (signo == w->until) {
		(void)kill(w->to, SIGKILL);
		_exit(128 + SIGKILL);
	}
	if (signo == SIGWINCH && w->pty->master >= 0) {
		pty_resize(w->pty);
		return;
	}
	/* One that would stop us alone: so it is asked for by another name. */
	if (signo == SIGRTMAX && s->ssi_code == SI_QUEUE && s->ssi_int == SIGSTOP)
		signo = SIGSTOP;
	/* It has no group yet. */
	if (kill(w->to, signo) < 0 && w->to < -1)
		(void)kill(-w->to, signo);
}

void watch_run(const struct watch *w)
{
	struct signalfd_siginfo infos[AT_ONCE];
	sigset_t all;
	int status = 0;

	memset(&all, 0xff, sizeof all);
	int signals = signalfd(-1, &all, SFD_CLOEXEC);
	if (signals < 0)
		box_fail(WIRE_STAGE_BOX, errno);
	pty_begin(w->pty);
	/* Its end may have come before there was anybody to be told. */
	while (!reap(w->leader, &status)) {
		if (w->pty->master >= 0)
			pty_relay(w->pty, signals);
		ssize_t n = read(signals, infos, sizeof infos);
		for (ssize_t i = 0; i < n / (ssize_t)sizeof infos[0]; i++)
			take(w, &infos[i]);
	}
	finish(w, signals, status);
}
