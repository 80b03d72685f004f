/* Start-up: the part of the launcher that may fail, and then ends it with a message. */
#include "base/fd.h"
#include "base/log.h"
#include "launcher/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors we need for ourselves and for one birth; the rest may be the children's, two each. */
#define OWN_DESCRIPTORS 64

/* Nothing inherited but 0, 1 and 2, and those are open: else the first pipe would become one. */
static int tidy_descriptors(void)
{
	int fd;

	(void)close_range(3, ~0U, 0);
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < 3 && fd_cloexec(fd, false) == 0);
	return fd;
}

/* Blocks every signal and makes every disposition the default one, for us and whom we start.
 * Returns a signalfd for those we act on (a HUP that was ignored, as by nohup, stays ignored), or
 * -1 and errno. */
static int take_signals(sigset_t *ret_old_mask)
{
	sigset_t all, ours;
	struct sigaction hup;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, ret_old_mask);
	(void)sigaction(SIGHUP, NULL, &hup);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);

	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGCHLD);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGQUIT);
	if (hup.sa_handler != SIG_IGN)
		(void)sigaddset(&ours, SIGHUP);
	return signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
}

static const struct policy *seal_policy(void)
{
	gid_t groups[LIMIT_GROUPS];
	int n = getgroups(LIMIT_GROUPS, groups);
	struct policy *p =
		mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	policy_init(p, geteuid(), getegid(), groups, n > 0 ? (unsigned)n : 0);
	return mprotect(p, sizeof *p, PROT_READ) == 0 ? p : NULL;
}

/* Our own soft limit becomes the hard one; the supervisor, which gets a copy of every read end,
 * keeps that, dynos get back what we had. */
static unsigned raise_limit(struct rlimit *ret_old)
{
	(void)getrlimit(RLIMIT_NOFILE, ret_old);
	struct rlimit raised = {.rlim_cur = ret_old->rlim_max, .rlim_max = ret_old->rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
		raised = *ret_old;
	rlim_t room =
		raised.rlim_cur > OWN_DESCRIPTORS ? (raised.rlim_cur - OWN_DESCRIPTORS) / 2 : 1;
	return room < LIMIT_DYNOS ? (unsigned)room : LIMIT_DYNOS;
}

int start_up(struct launcher *l, char *const *command, int *ret_signals, struct err *err)
{
	l->null = tidy_descriptors();
	if (l->null < 0)
		return err_errno(err, -errno, "/dev/null");
	*ret_signals = take_signals(&l->mask);
	if (*ret_signals < 0)
		return err_errno(err, -errno, "cannot take signals");
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(err, -errno, "cannot become the reaper of orphans");

	l->has_terminal = tcgetattr(STDIN_FILENO, &l->terminal) == 0;

	unsigned limit = raise_limit(&l->nofile);
	l->children = children_new(limit);
	l->policy = seal_policy();
	l->failures = mmap(NULL, sizeof *l->failures * (LIMIT_DYNOS + 1), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!l->children || !l->policy || l->failures == MAP_FAILED)
		return err_errno(err, -ENOMEM, "cannot make the table of children");
	if (setenv(WIRE_FD_ENV, KEEPER_SOCKET_TEXT, 1) < 0)
		return err_errno(err, -errno, "cannot set the environment");
	int r = store_open(&l->store, err);
	if (r < 0)
		return r;
	store_refill(&l->store);
	l->keeper.command = command;
	r = start_supervisor(l);
	if (r < 0) {
		store_close(&l->store);
		return err_errno(err, r, "cannot start %s", command[0]);
	}
	return 0;
}

int start_supervisor(struct launcher *l)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int r = keeper_start(&l->keeper, pair[1], &l->mask, &l->failures[LIMIT_DYNOS], clock_now());
	(void)fd_close(pair[1]);
	if (r < 0) {
		(void)fd_close(pair[0]);
		return r;
	}
	tell_connect(l, pair[0]);
	log_debug("the supervisor is pid %d", (int)l->keeper.pid);
	return 0;
}
