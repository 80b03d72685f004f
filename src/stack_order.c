#include "stack_order.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/str.h"
#include "wire/job.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOB_FD 3

static int (*find_helper)(char *ret_path);
static volatile sig_atomic_t helper;

void stack_order_set(int (*find)(char *ret_path))
{
	find_helper = find;
}

/* The helper answers that it was interrupted; then what it has begun is removed. */
static void on_signal(int signo)
{
	(void)signo;
	if (helper > 0)
		(void)kill((pid_t)helper, SIGTERM);
}

static void catch_signals(struct sigaction old[3], bool on)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction catch = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaction(signals[i], on ? &catch : &old[i], on ? &old[i] : NULL);
}

static HSUP_NORETURN void become_helper(const char *path, int socket)
{
	char name[] = "hsup-slug", job[] = "--job", progress[] = "--progress";
	char *argv[] = {name, job, progress, NULL};

	/* Ctrl-C reaches both of us, and is ours to pass on. */
	if ((socket == JOB_FD ? fd_cloexec(socket, false) : dup2(socket, JOB_FD)) < 0 ||
		setpgid(0, 0) < 0)
		_exit(127);
	fd_from(JOB_FD + 1, true);
	(void)execv(path, argv);
	_exit(127);
}

static int start_helper(int *ret_socket, struct err *err)
{
	char path[PATH_MAX];
	int pair[2];

	if (find_helper(path) < 0)
		return err_set(err, -ENOENT, "hsup-slug is not there to do it");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, -errno, "cannot make a socket");
	pid_t pid = fork();
	if (pid == 0)
		become_helper(path, pair[1]);
	int r = pid < 0 ? err_errno(err, -errno, "cannot start hsup-slug") : 0;
	(void)fd_close(pair[1]);
	if (r < 0) {
		(void)fd_close(pair[0]);
		return r;
	}
	helper = (sig_atomic_t)pid;
	*ret_socket = pair[0];
	return 0;
}

static int take_answer(int socket, struct job_stack_done *ret_done, struct err *err)
{
	for (;;) {
		static struct packet p;
		struct job_progress progress;
		struct job_failed failed;
		const char *text;
		char shown[400];
		int r = job_receive(socket, true, &p);

		if (r == 0 || r == -ECONNRESET)
			return err_set(err, -EIO, "hsup-slug ended without an answer");
		if (r < 0)
			return err_errno(err, r, "hsup-slug said something malformed");
		packet_done(&p);
		if (job_parse_progress(&p, &progress) == 0)
			continue;
		if (job_parse_failed(&p, &failed, &text) == 0)
			return err_set(err, -failed.error, "%s",
				str_printable(text, failed.text_length, shown, sizeof shown));
		if (job_parse_stack_done(&p, ret_done) == 0)
			return 0;
		return err_set(err, -EBADMSG, "hsup-slug said something malformed");
	}
}

static int order(enum job_type type, const void *job, size_t size, const int fds[2],
	struct stack_result *ret, struct err *err)
{
	static const char *const from[JOB_FROM_MAX] = {
		"", "tar", "folder", "image", "oci", "docker"};
	struct packet_part part = {job, size};
	struct job_stack_done done;
	struct sigaction old[3];
	int socket = -1, status;

	catch_signals(old, true);
	int r = start_helper(&socket, err);
	if (r == 0) {
		r = packet_send(socket, type, 0, &part, 1, fds, 2);
		if (r < 0)
			(void)err_errno(err, r, "cannot order it of hsup-slug");
		else
			r = take_answer(socket, &done, err);
		(void)fd_close(socket);
		while (waitpid((pid_t)helper, &status, 0) < 0 && errno == EINTR)
			;
		helper = 0;
	}
	catch_signals(old, false);
	if (r < 0)
		return r;
	*ret = (struct stack_result){
		.bytes = done.bytes,
		.entries = done.entries,
		.dropped = done.dropped,
		.stripped = done.stripped,
		.differences = done.differences,
		.image = done.kind == JOB_STACK_IMAGE,
		.from = from[done.from],
	};
	memcpy(ret->source, done.source, sizeof done.source);
	memcpy(ret->tree, done.tree, sizeof done.tree);
	return 0;
}

static int add(int source, int folder, struct stack_result *ret, struct err *err)
{
	const struct job_stack job = {
		.max_bytes = LIMIT_STACK_BYTES,
		.max_entries = LIMIT_STACK_ENTRIES,
		.flags = geteuid() == 0 ? JOB_STACK_OWNERS : 0,
	};
	const int fds[] = {source, folder};

	return order(JOB_STACK, &job, sizeof job, fds, ret, err);
}

static int verify(int folder, const char *tree, bool image, int out, struct stack_result *ret,
	struct err *err)
{
	struct job_verify job = {.kind = image ? JOB_STACK_IMAGE : JOB_STACK_ROOTFS};
	const int fds[] = {folder, out};

	if (strlen(tree) != sizeof job.tree)
		return err_set(err, -EBADMSG, "the manifest has no digest of the tree");
	memcpy(job.tree, tree, sizeof job.tree);
	return order(JOB_VERIFY, &job, sizeof job, fds, ret, err);
}

const struct stack_helper stack_helper = {add, verify};
