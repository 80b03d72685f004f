/* The flight recorder is read out: when somebody asks by USR1, and when we die of a fault. */
#include "base/fd.h"
#include "base/file.h"
#include "supervisor/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct recorder *of_fault; /* one supervisor is in a process */

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* Into standard error, which is the log or near it: the log itself may be what is broken. */
static void on_fault(int signo)
{
	static const char head[] = "hsup: the supervisor dies of a fault; what it did lately:\n";
	ssize_t n = write(STDERR_FILENO, head, sizeof head - 1);

	(void)n;
	recorder_dump(of_fault, STDERR_FILENO);
	(void)signal(signo, SIG_DFL);
	(void)raise(signo);
}

/* On a stack of its own: the other may be what has run out. */
static void watch_faults(const struct recorder *r)
{
	static char stack[16384];
	stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_RESETHAND};

	of_fault = r;
	if (sigaltstack(&own, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct sigaction before;

		/* A sanitizer's own is worth more. */
		if (sigaction(faults[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			(void)sigaction(faults[i], &action, NULL);
	}
}

void diag_end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults) && of_fault; i++) {
		struct sigaction now;

		if (sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == on_fault)
			(void)signal(faults[i], SIG_DFL);
	}
	of_fault = NULL;
}

int operate_diag(struct supervisor *s, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int fd = memfd_create("diag", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	recorder_dump(s->recorder, fd);
	return file_read_fd(fd, (size_t)4 << 20, ret_text, ret_len);
}

static int on_usr1(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct supervisor *s = userdata;
	_cleanup_free_ char *text = NULL;
	char *rest = NULL;
	size_t len;

	(void)source;
	(void)si;
	if (operate_diag(s, &text, &len) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		router_note(s->router, NULL, "diag: %s", line);
	return 0;
}

int diag_begin(struct supervisor *s)
{
	sigset_t usr1;

	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &usr1, NULL) < 0)
		return -errno;
	watch_faults(s->recorder);
	int r = sd_event_add_signal(s->loop, NULL, SIGUSR1, on_usr1, s);
	return r < 0 ? r : 0;
}
