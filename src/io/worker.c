#include "io/worker.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER_FD     3
#define SILENCE_SLACK (10 * NSEC_PER_MSEC / NSEC_PER_USEC) /* 0 would mean 250 ms to sd-event */

struct worker {
	struct worker_events events;
	void *userdata;
	int socket, pidfd;
	uint64_t silence_ns;
	bool timed_out;
	/* A callback may free the worker: it stays in memory until the callback has returned. */
	bool in_callback, freed;
	sd_event_source *readable, *exit, *silence;
};

/* Between fork and exec: only calls that are safe there. */
static HSUP_NORETURN void become_helper(
	const char *path, char *const argv[], int socket, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	/* It may have died before it was asked for. */
	if (getppid() != parent)
		_exit(127);
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* dup2 onto itself would leave it close-on-exec. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		(socket == WORKER_FD ? fd_cloexec(socket, false) : dup2(socket, WORKER_FD)) < 0)
		_exit(127);
	(void)syscall(SYS_close_range, WORKER_FD + 1, ~0U, 0);
	(void)execv(path, argv);
	_exit(127);
}

static void destroy(struct worker *w)
{
	(void)fd_close(w->socket);
	(void)fd_close(w->pidfd);
	free(w);
}

static void drop_sources(struct worker *w)
{
	w->readable = sd_event_source_disable_unref(w->readable);
	w->exit = sd_event_source_disable_unref(w->exit);
	w->silence = sd_event_source_disable_unref(w->silence);
}

/* False when the callback has freed w. */
static bool offer_readable(struct worker *w)
{
	w->in_callback = true;
	w->events.readable(w->userdata, w, w->socket);
	w->in_callback = false;
	if (!w->freed)
		return true;
	destroy(w);
	return false;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *w = userdata;

	(void)fd;
	/* A closed socket stays readable: its end is told by the process's. */
	if (revents & EPOLLHUP)
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	(void)offer_readable(w);
	return 0;
}

static int reap(struct worker *w, int options, int *ret_status)
{
	siginfo_t info = {0};

	while (waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | options) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret_status = info.si_code == CLD_EXITED
			      ? W_EXITCODE(info.si_status, 0)
			      : W_EXITCODE(0, info.si_status) |
					(info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
	return 0;
}

static int on_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct worker *w = userdata;
	int status = -ECHILD;

	(void)source;
	(void)fd;
	(void)revents;
	/* What it sent before it ended may still be in the socket. */
	if (!offer_readable(w))
		return 0;
	int r = reap(w, WNOHANG, &status);
	if (r == -EAGAIN)
		return 0;
	drop_sources(w);
	w->pidfd = fd_close(w->pidfd);
	w->in_callback = true;
	w->events.ended(w->userdata, w, w->timed_out ? -ETIMEDOUT : status);
	w->in_callback = false;
	if (w->freed)
		destroy(w);
	return 0;
}

void worker_kill(struct worker *w)
{
	if (w->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

static int on_silence(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct worker *w = userdata;

	(void)source;
	(void)usec;
	w->timed_out = true;
	worker_kill(w);
	return 0;
}

static int add_sources(struct worker *w, sd_event *loop)
{
	int r = sd_event_add_io(loop, &w->readable, w->socket, EPOLLIN, on_readable, w);

	/* An io source on the pidfd, and no child source: the loop's own reaping ends the loop when
	 * the status was taken by somebody else. */
	if (r >= 0)
		r = sd_event_add_io(loop, &w->exit, w->pidfd, EPOLLIN, on_ended, w);
	if (r >= 0 && w->silence_ns > 0)
		r = sd_event_add_time_relative(loop, &w->silence, CLOCK_MONOTONIC,
			w->silence_ns / NSEC_PER_USEC, SILENCE_SLACK, on_silence, w);
	return r < 0 ? r : 0;
}

static int spawn(struct worker *w, const char *path, char *const argv[], struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, -errno, "cannot make a socket pair");
	w->socket = ends[0];
	_cleanup_close_ int theirs = ends[1];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		become_helper(path, argv, theirs, parent);
	if (pid < 0)
		return err_errno(err, -errno, "cannot fork");
	/* Nobody but us reaps it, so the number cannot be another process yet. */
	w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (w->pidfd < 0) {
		int r = -errno;

		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return err_errno(err, r, "cannot open a pidfd");
	}
	return 0;
}

int worker_start(sd_event *loop, const char *path, char *const argv[], uint64_t silence_ns,
	const struct worker_events *events, void *userdata, struct worker **ret_worker,
	struct err *err)
{
	struct worker *w = calloc(1, sizeof *w);

	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->socket = w->pidfd = -1;
	w->events = *events;
	w->userdata = userdata;
	w->silence_ns = silence_ns;
	int r = access(path, X_OK) < 0 ? err_errno(err, -errno, "%s", path)
				       : spawn(w, path, argv, err);
	if (r == 0) {
		r = add_sources(w, loop);
		if (r < 0)
			(void)err_errno(err, r, "cannot watch the helper");
	}
	if (r < 0) {
		(void)worker_free(w);
		return r;
	}
	*ret_worker = w;
	return 0;
}

int worker_socket(const struct worker *w)
{
	return w->socket;
}

void worker_touch(struct worker *w)
{
	if (w->silence)
		(void)sd_event_source_set_time_relative(w->silence, w->silence_ns / NSEC_PER_USEC);
}

struct worker *worker_free(struct worker *w)
{
	int status;

	if (!w || w->freed)
		return NULL;
	drop_sources(w);
	worker_kill(w);
	if (w->pidfd >= 0)
		(void)reap(w, 0, &status);
	w->freed = true;
	if (!w->in_callback)
		destroy(w);
	return NULL;
}
