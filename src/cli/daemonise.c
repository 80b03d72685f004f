#include "cli/daemonise.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/private.h"
#include "cli/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE    30 /* seconds, unless told otherwise */
#define TAIL_BYTES  2000
#define TAIL_LINES  5
#define PACKET_SIZE 2048

struct waiter {
	const struct options *o;
	int socket, log, pidfd;
	pid_t pid;
	off_t log_begin;
	bool ready;
	char status[500]; /* its last STATUS= */
	bool failed;	  /* that is why it fails */
};

/* ---- the daemon's side ---- */

HSUP_NORETURN static void cannot(const char *what)
{
	(void)command_error(&command_up, "%s: %s", what, err_name(errno));
	_exit(EXIT_REFUSED);
}

/* Forks again, so that the daemon is no session's leader and no terminal can become its own. Only
 * the grandchild returns. */
static void go_back(int tell)
{
	if (setsid() < 0)
		cannot("a session of its own");
	pid_t pid = fork();
	if (pid < 0)
		cannot("fork");
	if (pid > 0) {
		bool told = write(tell, &pid, sizeof pid) == (ssize_t)sizeof pid;
		_exit(told ? EXIT_OK : EXIT_REFUSED);
	}
	if (chdir("/") < 0)
		cannot("/");
	(void)umask(022);
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

/* ---- the side of who waits ---- */

/* An address without a name on disk: nothing is left behind, and nobody can be in the way. */
static int open_socket(char ret_address[64])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof address;
	int on = 1;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof address.sun_family) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	(void)snprintf(ret_address, 64, "@%.*s",
		(int)(len - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
	return TAKE_FD(fd);
}

/* Anybody may write to it: only the daemon and its supervisor are heard. */
static bool is_ours(const struct waiter *w, struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct ucred sender;
	struct proc p;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return false;
	memcpy(&sender, CMSG_DATA(c), sizeof sender);
	return sender.pid == w->pid || (proc_look(sender.pid, &p) == 0 && p.parent == w->pid);
}

static void take_message(struct waiter *w, char *text)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strcmp(line, "READY=1") == 0)
			w->ready = true;
		else if (strncmp(line, "STATUS=", 7) == 0)
			(void)str_printable(
				line + 7, strlen(line + 7), w->status, sizeof w->status);
		else if (strncmp(line, "ERRNO=", 6) == 0)
			w->failed = true;
	}
}

static void hear(struct waiter *w)
{
	char text[PACKET_SIZE];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];

	for (;;) {
		struct iovec data = {.iov_base = text, .iov_len = sizeof text - 1};
		struct msghdr m = {.msg_iov = &data,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		ssize_t n = recvmsg(w->socket, &m, MSG_CMSG_CLOEXEC);

		if (n < 0)
			return;
		text[n] = '\0';
		if (is_ours(w, &m))
			take_message(w, text);
	}
}

/* The last lines that it wrote to its log. */
static void show_tail(const struct waiter *w)
{
	char text[TAIL_BYTES + 1], shown[TAIL_BYTES];
	struct stat st;
	const char *at = text;
	unsigned lines = 0;

	if (fstat(w->log, &st) < 0 || st.st_size <= w->log_begin)
		return;
	off_t from =
		st.st_size - TAIL_BYTES > w->log_begin ? st.st_size - TAIL_BYTES : w->log_begin;
	_cleanup_close_ int log = open(w->o->log_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = log < 0 ? -1 : pread(log, text, TAIL_BYTES, from);
	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *p = text + n - 1; p > text; p--)
		if (p[-1] == '\n' && ++lines == TAIL_LINES) {
			at = p;
			break;
		}
	for (const char *end; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		(void)fprintf(stderr, "  %s\n",
			str_printable(at, (size_t)(end - at), shown, sizeof shown));
	}
}

static int say_failure(struct waiter *w, const char *what)
{
	if (w->failed)
		return command_error(
			&command_up, "%s: %s; its log is %s", what, w->status, w->o->log_file);
	(void)command_error(&command_up, "%s; its log is %s", what, w->o->log_file);
	show_tail(w);
	return EXIT_REFUSED;
}

static int wait_ready(struct waiter *w)
{
	unsigned seconds = w->o->timeout == OPTIONS_NO_TIMEOUT ? PATIENCE : w->o->timeout;
	uint64_t end = seconds ? clock_now() + seconds * NSEC_PER_SEC : UINT64_MAX;
	char text[120];

	for (uint64_t now; (now = clock_now()) < end;) {
		struct pollfd fds[2] = {
			{.fd = w->socket, .events = POLLIN}, {.fd = w->pidfd, .events = POLLIN}};
		uint64_t left = (end - now) / NSEC_PER_MSEC + 1;

		(void)poll(fds, 2, left > 60000 ? 60000 : (int)left);
		hear(w);
		if (w->ready) {
			(void)printf("the daemon runs: pid %d, %s in %s, log %s\n", (int)w->pid,
				w->status[0] ? w->status : "no apps", w->o->apps_dir,
				w->o->log ? w->o->log : w->o->log_file);
			return EXIT_OK;
		}
		if (fds[1].revents)
			return say_failure(w, "the daemon did not start");
	}
	(void)snprintf(text, sizeof text,
		"the daemon (pid %d) is not ready after %u s; it goes on, 'hsup down' stops it",
		(int)w->pid, seconds);
	return say_failure(w, text);
}

static int wait_child(struct waiter *w, pid_t child, int tell)
{
	int status = 0;

	/* The grandchild becomes ours when the child is gone: its pid stays its own until we have
	 * waited for it, which we never do before we end. */
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (fd_read_full(tell, &w->pid, sizeof w->pid) != (ssize_t)sizeof w->pid)
		return EXIT_REFUSED; /* it has said why */
	w->pidfd = pidfd_open(w->pid, 0);
	if (w->pidfd < 0)
		return command_error(&command_up, "pid %d: %s", (int)w->pid, err_name(errno));
	int code = wait_ready(w);
	fd_close(w->pidfd);
	return code;
}

bool daemonise(const struct options *o, int log, int *ret_code)
{
	char address[64];
	_cleanup_close_ int socket = open_socket(address);
	struct stat st = {0};
	int pair[2];

	*ret_code = EXIT_REFUSED;
	if (socket < 0 || fstat(log, &st) < 0 || pipe2(pair, O_CLOEXEC) < 0 ||
		setenv("NOTIFY_SOCKET", address, 1) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		(void)command_error(
			&command_up, "cannot go to the background: %s", err_name(errno));
		return false;
	}
	_cleanup_close_ int hear_pid = pair[0], tell_pid = pair[1];
	(void)fflush(NULL);
	pid_t child = fork();
	if (child < 0) {
		(void)command_error(&command_up, "fork: %s", err_name(errno));
		return false;
	}
	if (child == 0) {
		go_back(tell_pid);
		return true;
	}
	fd_close(TAKE_FD(tell_pid));
	struct waiter w = {
		.o = o, .socket = socket, .log = log, .pidfd = -1, .log_begin = st.st_size};
	*ret_code = wait_child(&w, child, hear_pid);
	return false;
}
