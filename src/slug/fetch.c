#include "slug/fetch.h"

#include "base/fd.h"
#include "slug/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_UP_MS 200 /* how late a signal that came just before poll() is noticed */

static HSUP_NORETURN void child(const struct fetch *f, pid_t parent, int answer)
{
	const char *certificates = getenv("SSL_CERT_FILE");
	struct err err = {0};

	/* An ordinary end by a signal: the file is the parent's to forget. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);

	int r = http_load(&err);
	if (r == 0)
		r = sandbox_file_size(f->max_bytes, &err);
	if (r == 0)
		r = sandbox_fetch(certificates, &err);
	if (r == 0)
		r = sandbox_seal_fetch(&err);
	if (r == 0)
		r = http_fetch(f, certificates, &err);
	err.code = r;
	(void)!fd_write_all(answer, &err, sizeof err);
	_exit(r < 0 ? 1 : 0);
}

/* Until the child has answered or is gone, or somebody wants us to stop. */
static int wait_answer(const struct fetch *f, pid_t pid, int answer, struct err *err)
{
	struct pollfd p = {.fd = answer, .events = POLLIN};
	struct err told = {0};
	int status;

	while (poll(&p, 1, LOOK_UP_MS) <= 0 && !*f->stop)
		;
	if (*f->stop)
		(void)kill(pid, SIGKILL);
	ssize_t n = fd_read_full(answer, &told, sizeof told);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (*f->stop)
		return err_set(err, -ECANCELED, "interrupted");
	if (n != (ssize_t)sizeof told || told.code > 0)
		return err_set(err, -EIO, "the fetching process ended without an answer");
	if (told.code < 0) {
		told.text[sizeof told.text - 1] = '\0';
		if (err)
			*err = told;
	}
	return told.code;
}

int fetch(const struct fetch *f, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "cannot make a pipe");
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		(void)fd_close(ends[0]);
		child(f, parent, ends[1]);
	}
	(void)fd_close(ends[1]);
	int r = pid < 0 ? err_errno(err, -errno, "cannot fork") : wait_answer(f, pid, ends[0], err);
	(void)fd_close(ends[0]);
	/* The bar is drawn by the child; what is drawn is not known here. */
	f->report->drawn = f->report->terminal;
	return r;
}
