/* Start-up: the part of the launcher that may fail, and then ends it with a message. */
#include "base/fd.h"
#include "base/log.h"
#include "launcher/found.h"
#include "launcher/procs.h"
#include "launcher/upgrade.h"
#include "launcher/versions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors we need for ourselves and for one birth; the rest may be the children's, two each,
 * and three where init tells its end by one. */
#define OWN_DESCRIPTORS 64

#define KERNEL_SIGSET_SIZE                                                                         \
	8 /* bytes of the kernel's set of signals, on every architecture but MIPS */

/* Nothing inherited but 0, 1 and 2, and those are open: else the first pipe would become one. What
 * an earlier launcher hands over stays, and goes no further. */
static int tidy_descriptors(bool resumed)
{
	int fd;

	fd_from(3, resumed);
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < 3 && fd_cloexec(fd, false) == 0);
	return fd;
}

/* Blocks every signal and makes every disposition the default one, for us and whom we start. Every
 * one is read from the signalfd (returned; -1 and errno), those that mean nothing to us too: what
 * stays pending counts against the user's RLIMIT_SIGPENDING. */
static int take_signals(struct launcher *l)
{
	struct sigaction hup;
	sigset_t all;

	/* Not sigfillset() and sigprocmask(), which leave out two that the C library would have for
	 * itself, and which would end us. */
	memset(&all, 0xff, sizeof all);
	(void)sigprocmask(SIG_SETMASK, NULL, &l->mask);
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, KERNEL_SIGSET_SIZE);
	/* As by nohup. */
	(void)sigaction(SIGHUP, NULL, &hup);
	l->hup_ignored = hup.sa_handler == SIG_IGN;
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	return signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
}

const struct policy *launcher_seal(const struct policy *policy)
{
	struct policy *p =
		mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	*p = *policy;
	return mprotect(p, sizeof *p, PROT_READ) == 0 ? p : NULL;
}

static const struct policy *seal_policy(const struct options *o)
{
	gid_t groups[LIMIT_GROUPS];
	int n = getgroups(LIMIT_GROUPS, groups);
	struct policy p;

	policy_init(
		&p, geteuid(), getegid(), groups, n > 0 ? (unsigned)n : 0, &o->grant, o->terminal);
	p.box = o->box != NULL;
	return launcher_seal(&p);
}

/* Our own soft limit becomes the hard one; the supervisor, which gets a copy of every read end,
 * keeps that, dynos get back what we had. */
static void raise_limit(struct rlimit *ret_old)
{
	(void)getrlimit(RLIMIT_NOFILE, ret_old);
	struct rlimit raised = {.rlim_cur = ret_old->rlim_max, .rlim_max = ret_old->rlim_max};
	(void)setrlimit(RLIMIT_NOFILE, &raised);
}

unsigned launcher_limit(const struct launcher *l)
{
	rlim_t each = l->options.box ? 3 : 2;
	struct rlimit own;

	(void)getrlimit(RLIMIT_NOFILE, &own);
	rlim_t room = own.rlim_cur > OWN_DESCRIPTORS ? (own.rlim_cur - OWN_DESCRIPTORS) / each : 1;
	return room < LIMIT_DYNOS ? (unsigned)room : LIMIT_DYNOS;
}

static int map_failures(struct launcher *l)
{
	size_t size = sizeof *l->failures * (LIMIT_DYNOS + 1);

	l->failures = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->failures_fd, 0);
	return l->failures == MAP_FAILED ? -errno : 0;
}

/* *ret_old: the table is of a launcher that was killed. */
static int begin_anew(struct launcher *l, bool *ret_old, struct err *err)
{
	struct table_file table;

	raise_limit(&l->nofile);
	int r = table_open(l->options.table, &table, ret_old, err);
	if (r < 0)
		return r;
	l->children = children_new(&table, launcher_limit(l));
	l->policy = seal_policy(&l->options);
	/* A file, so that a child that is being born sees the same memory as whom we become. */
	l->failures_fd = memfd_create("hsup-failures", MFD_CLOEXEC);
	if (!l->children || !l->policy || l->failures_fd < 0 ||
		ftruncate(l->failures_fd, (off_t)(sizeof *l->failures * (LIMIT_DYNOS + 1))) < 0)
		return err_errno(err, -ENOMEM, "cannot make the table of children");
	l->has_terminal = tcgetattr(STDIN_FILENO, &l->terminal) == 0;
	return carry_open(l->options.table, &l->carry, err);
}

static int open_all(struct launcher *l, int *ret_signals, bool *ret_old, struct err *err)
{
	bool resumed = l->options.resume_fd >= 0;

	*ret_old = false;
	if (l->options.confinement.on && geteuid() != 0)
		return err_set(
			err, -EPERM, "--user: only root can start its supervisor as another user");
	l->null = tidy_descriptors(resumed);
	if (l->null < 0)
		return err_errno(err, -errno, "/dev/null");
	*ret_signals = take_signals(l);
	l->watch = epoll_create1(EPOLL_CLOEXEC);
	if (*ret_signals < 0 || l->watch < 0)
		return err_errno(err, -errno, "cannot take signals");
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(err, -errno, "cannot become the reaper of orphans");
	int r = store_open(&l->store, err);
	if (r < 0)
		return r;
	r = resumed ? upgrade_resume(l, l->options.resume_fd, err) : begin_anew(l, ret_old, err);
	if (r < 0)
		return r;
	r = map_failures(l);
	if (r < 0)
		return err_errno(err, r, "cannot share memory with children");
	if (setenv(WIRE_FD_ENV, KEEPER_SOCKET_TEXT, 1) < 0 ||
		setenv(CARRY_FD_ENV, KEEPER_CARRY_TEXT, 1) < 0)
		return err_errno(err, -errno, "cannot set the environment");
	store_refill(&l->store);
	filter_open(l);
	l->keeper.command = l->options.command;
	l->keeper.confinement = l->options.confinement;
	l->keeper.patience = l->options.watchdog * NSEC_PER_SEC;
	return 0;
}

int start_up(struct launcher *l, int *ret_signals, struct err *err)
{
	bool old;

	int r = open_all(l, ret_signals, &old, err);
	if (r < 0)
		return r;
	if (l->options.resume_fd >= 0) {
		(void)fd_close(l->options.resume_fd);
		watch_resume(l);
		filter_resume(l);
		/* One upgrade, both programs. */
		l->channel.due |= DUE_RESTART;
		log_info("this is hsup-launcher %s now; %u processes run on", l->options.argv[0],
			children_alive(l->children));
		return 0;
	}
	if (old)
		found_take(l);
	filter_resume(l);
	/* With dynos running there is something to lose by leaving. */
	if (children_alive(l->children) > 0)
		l->keeper.ever_greeted = true;
	r = start_supervisor(l);
	if (r < 0 && !l->keeper.ever_greeted) {
		store_close(&l->store);
		return err_errno(err, r, "cannot start %s", l->keeper.command[0]);
	}
	if (r < 0)
		l->keeper.start_at = clock_now() + NSEC_PER_SEC;
	return 0;
}

static void choose_program(struct launcher *l)
{
	struct keeper *k = &l->keeper;
	const char *given = getenv("HSUP_SUP_BINARY");

	k->version[0] = '\0';
	if (given && *given)
		(void)snprintf(k->program, sizeof k->program, "%s", given);
	else if (!versions_newest(
			 l->options.versions, "hsup", k->passed_over, k->program, k->version))
		(void)snprintf(k->program, sizeof k->program, "%s", k->command[0]);
}

int start_supervisor(struct launcher *l)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	choose_program(l);
	struct table *table = children_table(l->children)->table;
	table->supervisor_forked = clock_boot();
	int r = keeper_start(
		&l->keeper, pair[1], &l->carry, &l->mask, &l->failures[LIMIT_DYNOS], clock_now());
	(void)fd_close(pair[1]);
	if (r < 0) {
		(void)fd_close(pair[0]);
		return r;
	}
	table->supervisor = l->keeper.pid;
	tell_connect(l, pair[0]);
	log_debug("the supervisor is %s, pid %d", l->keeper.program, (int)l->keeper.pid);
	return 0;
}
