/* The system calls of unpacking, of packing, and of fetching. None of them can reach another
 * process: below a supervisor that is not root all of hsup may be of one user, and dynos too. */
#include "slug/sandbox.h"

#include "base/filter.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The flags of pthread_create(). */
#define THREAD                                                                                     \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |        \
		CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

#define ALLOW(name)                                                                                \
	{                                                                                          \
		.call = SYS_##name                                                                 \
	}
#define WHEN(name, n, what)                                                                        \
	{                                                                                          \
		SYS_##name, FILTER_EQUAL, n, what                                                  \
	}
#define MISSING(name)                                                                              \
	{                                                                                          \
		.call = SYS_##name, .check = FILTER_MISSING                                        \
	}

/* Not F_SETOWN and F_SETSIG, which make the kernel send signals. */
#define FCNTL                                                                                      \
	WHEN(fcntl, 1, F_GETFD), WHEN(fcntl, 1, F_SETFD), WHEN(fcntl, 1, F_GETFL),                 \
		WHEN(fcntl, 1, F_SETFL), WHEN(fcntl, 1, F_DUPFD_CLOEXEC)

/* abort() says why. Our own number is filled in when the filter is made. */
#define OWN_SIGNALS ALLOW(getpid), ALLOW(gettid), WHEN(tgkill, 0, 0), ALLOW(rt_sigaction)

/* The slug comes in, files and directories go out (Landlock says where), progress and the answer
 * go over descriptors that are open; then memory, two threads and their ends, time where the vDSO
 * has none, seeds of hash tables and the allocator. */
#define UNPACK                                                                                     \
	ALLOW(read), ALLOW(pread64), ALLOW(lseek), ALLOW(openat), ALLOW(openat2), ALLOW(mkdirat),  \
		ALLOW(symlinkat), ALLOW(linkat), ALLOW(unlinkat), ALLOW(renameat2), ALLOW(write),  \
		ALLOW(writev), ALLOW(pwrite64), ALLOW(ftruncate), ALLOW(fchmod), ALLOW(utimensat), \
		ALLOW(getdents64), ALLOW(newfstatat), ALLOW(fstat), FCNTL, ALLOW(close),           \
		ALLOW(sendmsg), ALLOW(brk), ALLOW(mmap), ALLOW(mremap), ALLOW(munmap),             \
		ALLOW(mprotect), ALLOW(madvise), ALLOW(futex), ALLOW(set_robust_list),             \
		ALLOW(rseq), ALLOW(sched_yield), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),       \
		ALLOW(restart_syscall), ALLOW(exit), ALLOW(exit_group), OWN_SIGNALS,               \
		ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(getrandom)

static struct filter_rule unpack_rules[] = {UNPACK};

static struct filter_rule stack_rules[] = {
	UNPACK,
	ALLOW(readlinkat),
	ALLOW(fchown),
	ALLOW(fchownat),
	/* Threads, and no processes: what clone3 wants a filter cannot see. */
	{SYS_clone, FILTER_EQUAL, 0, THREAD},
	MISSING(clone3),
};

static struct filter_rule pack_rules[] = {
	/* Files are read; Landlock says which. */
	ALLOW(openat),
	ALLOW(read),
	ALLOW(readlinkat),
	ALLOW(getdents64),
	ALLOW(newfstatat),
	ALLOW(fstat),
	ALLOW(lseek),
	FCNTL,
	ALLOW(close),
	/* The tar and the answer, on descriptors that are open. */
	ALLOW(write),
	ALLOW(writev),
	ALLOW(sendmsg),
	ALLOW(brk),
	ALLOW(mmap),
	ALLOW(mremap),
	ALLOW(munmap),
	ALLOW(mprotect),
	ALLOW(madvise),
	ALLOW(futex),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(restart_syscall),
	ALLOW(exit_group),
	OWN_SIGNALS,
	ALLOW(clock_gettime),
	ALLOW(gettimeofday),
	ALLOW(getrandom),
};

/* With names from wherever the system has them (files, DNS, a daemon behind a Unix socket), TLS,
 * and a thread that resolves. Files are Landlock's. */
static struct filter_rule fetch_rules[] = {
	ALLOW(read),
	ALLOW(readv),
	ALLOW(pread64),
	ALLOW(write),
	ALLOW(writev),
	ALLOW(pwrite64),
	ALLOW(lseek),
	ALLOW(ftruncate),
	ALLOW(close),
	ALLOW(dup),
	FCNTL,
	ALLOW(pipe2),
	ALLOW(eventfd2),
	WHEN(ioctl, 1, FIONREAD),
	WHEN(ioctl, 1, FIONBIO),
	WHEN(ioctl, 1, TCGETS),
	ALLOW(openat),
	ALLOW(newfstatat),
	ALLOW(fstat),
	ALLOW(statx),
	ALLOW(statfs),
	ALLOW(fstatfs),
	ALLOW(faccessat),
	ALLOW(faccessat2),
	ALLOW(readlinkat),
	ALLOW(getdents64),
	ALLOW(getcwd),
	WHEN(socket, 0, AF_UNIX),
	WHEN(socket, 0, AF_INET),
	WHEN(socket, 0, AF_INET6),
	WHEN(socket, 0, AF_NETLINK),
	WHEN(socketpair, 0, AF_UNIX),
	ALLOW(bind),
	ALLOW(connect),
	ALLOW(shutdown),
	ALLOW(getsockname),
	ALLOW(getpeername),
	ALLOW(getsockopt),
	ALLOW(setsockopt),
	ALLOW(sendto),
	ALLOW(sendmsg),
	ALLOW(sendmmsg),
	ALLOW(recvfrom),
	ALLOW(recvmsg),
	ALLOW(recvmmsg),
	ALLOW(ppoll),
	ALLOW(pselect6),
	ALLOW(epoll_create1),
	ALLOW(epoll_ctl),
	ALLOW(epoll_pwait),
	ALLOW(timerfd_create),
	ALLOW(timerfd_settime),
	ALLOW(clock_gettime),
	ALLOW(clock_getres),
	ALLOW(clock_nanosleep),
	ALLOW(nanosleep),
	ALLOW(gettimeofday),
	ALLOW(brk),
	ALLOW(mmap),
	ALLOW(mremap),
	ALLOW(munmap),
	ALLOW(mprotect),
	ALLOW(madvise),
	ALLOW(getrandom),
	/* Threads, and no processes: what clone3 wants a filter cannot see. */
	{SYS_clone, FILTER_EQUAL, 0, THREAD},
	MISSING(clone3),
	ALLOW(futex),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW(sched_yield),
	ALLOW(sched_getaffinity),
	ALLOW(membarrier),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),
	ALLOW(exit),
	ALLOW(exit_group),
	OWN_SIGNALS,
	ALLOW(getppid),
	ALLOW(getuid),
	ALLOW(geteuid),
	ALLOW(getgid),
	ALLOW(getegid),
	ALLOW(uname),
	ALLOW(sysinfo),
	ALLOW(getrusage),
	WHEN(prlimit64, 0, 0),
	WHEN(prctl, 0, PR_SET_NAME),
#ifdef __x86_64__
	/* The older names of what is above. */
	ALLOW(access),
	ALLOW(open),
	ALLOW(stat),
	ALLOW(lstat),
	ALLOW(readlink),
	ALLOW(pipe),
	ALLOW(poll),
	ALLOW(select),
	ALLOW(epoll_wait),
	ALLOW(time),
#endif
};

static int close_filter(struct filter_rule *rules, size_t n, struct err *err)
{
	if (SANDBOX_OPEN)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (rules[i].call == SYS_tgkill)
			rules[i].value = (uint32_t)getpid();
	int r = filter_install(rules, n);
	return r < 0 ? err_errno(err, r, "cannot close the system call filter") : 0;
}

int sandbox_seal(struct err *err)
{
	return close_filter(unpack_rules, ARRAY_SIZE(unpack_rules), err);
}

int sandbox_seal_stack(struct err *err)
{
	return close_filter(stack_rules, ARRAY_SIZE(stack_rules), err);
}

int sandbox_seal_pack(struct err *err)
{
	return close_filter(pack_rules, ARRAY_SIZE(pack_rules), err);
}

int sandbox_seal_fetch(struct err *err)
{
	return close_filter(fetch_rules, ARRAY_SIZE(fetch_rules), err);
}
