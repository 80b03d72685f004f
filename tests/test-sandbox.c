/* Each test closes a filter of the slug helper in a child and tries what it must not be able to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "slug/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number of the first thing that went otherwise than it should; 0 = none did. As root, or of
 * one user, all of it would work without the filter. */
static int try_to_reach(pid_t parent, int pidfd, int fd)
{
	struct rlimit limit;
	const long calls[][5] = {
		{SYS_kill, parent, 0},
		{SYS_kill, -1, 0},
		{SYS_tkill, parent, 0},
		{SYS_tgkill, parent, parent, 0},
		{SYS_rt_sigqueueinfo, parent, SIGTERM, 0},
		{SYS_rt_tgsigqueueinfo, parent, parent, SIGTERM, 0},
		{SYS_pidfd_send_signal, pidfd, 0, 0, 0},
		{SYS_pidfd_open, parent, 0},
		{SYS_pidfd_getfd, pidfd, 0, 0},
		{SYS_ptrace, 16 /* PTRACE_ATTACH */, parent, 0, 0},
		{SYS_process_vm_readv, parent, 0, 0, 0},
		{SYS_process_vm_writev, parent, 0, 0, 0},
		{SYS_prlimit64, parent, RLIMIT_CORE, 0, (long)&limit},
		{SYS_setpriority, PRIO_PROCESS, parent, 0},
		{SYS_fcntl, fd, F_SETOWN, parent},
		{SYS_fcntl, fd, F_SETSIG, SIGKILL},
		{SYS_execve, (long)"/bin/true", 0, 0},
		{SYS_clone, SIGCHLD, 0, 0, 0},
		{SYS_unshare, CLONE_NEWUSER},
		{SYS_socket, AF_PACKET, SOCK_RAW, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const long *c = calls[i];

		errno = 0;
		if (syscall(c[0], c[1], c[2], c[3], c[4]) != -1 || errno != EPERM)
			return (int)i + 1;
	}
	/* But abort() can say why. */
	return syscall(SYS_tgkill, getpid(), gettid(), 0) == 0 ? 0 : 100;
}

static void in_a_child(int (*seal)(struct err *err))
{
	pid_t parent = getpid();
	int status, pidfd = (int)syscall(SYS_pidfd_open, parent, 0);

	if (SANDBOX_OPEN)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		struct err err;
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seal(&err) < 0)
			_exit(101);
		_exit(try_to_reach(parent, pidfd, 0));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)close(pidfd);
}

static void test_who_fetches_reaches_nobody(void **state)
{
	(void)state;
	in_a_child(sandbox_seal_fetch);
}

static void test_who_unpacks_reaches_nobody(void **state)
{
	(void)state;
	in_a_child(sandbox_seal);
}

static void test_who_packs_reaches_nobody(void **state)
{
	(void)state;
	in_a_child(sandbox_seal_pack);
}

static void test_who_makes_a_stack_reaches_nobody(void **state)
{
	(void)state;
	in_a_child(sandbox_seal_stack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_fetches_reaches_nobody),
		cmocka_unit_test(test_who_unpacks_reaches_nobody),
		cmocka_unit_test(test_who_packs_reaches_nobody),
		cmocka_unit_test(test_who_makes_a_stack_reaches_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
