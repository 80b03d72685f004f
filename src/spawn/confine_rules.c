/* What the supervisor and the slug helper call, found with strace over the functional tests and
 * with what their libraries do on other machines added. To find what a new library needs: see
 * docs/security.md.
 *
 * Of the calls that are left out many need a capability that is gone anyway: they are the second
 * lock of that door (a hole in the kernel behind mount, bpf, keyctl, io_uring or a user namespace
 * is out of reach), ptrace and process_vm_* keep it from processes of its own user, and TIOCSTI
 * from typing into the terminal of the root that has started it. */
#include "base/quota.h"
#include "spawn/confine.h"

#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/dqblk_xfs.h>
#include <linux/ioprio.h>
#include <linux/quota.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ALLOW(name)                                                                                \
	{                                                                                          \
		.call = SYS_##name                                                                 \
	}
#define WHEN(name, n, what)                                                                        \
	{                                                                                          \
		SYS_##name, FILTER_EQUAL, n, (uint32_t)(what)                                      \
	}
#define WITHOUT(name, n, bits)                                                                     \
	{                                                                                          \
		SYS_##name, FILTER_WITHOUT, n, (uint32_t)(bits)                                    \
	}
#define MISSING(name)                                                                              \
	{                                                                                          \
		.call = SYS_##name, .check = FILTER_MISSING                                        \
	}

#define LAST 19 /* the nicest */

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE)

const struct filter_rule confine_rules[] = {
	/* Reading and writing: what is open may be used. */
	ALLOW(read),
	ALLOW(readv),
	ALLOW(pread64),
	ALLOW(preadv),
	ALLOW(write),
	ALLOW(writev),
	ALLOW(pwrite64),
	ALLOW(pwritev),
	ALLOW(lseek),
	ALLOW(tee),
	ALLOW(splice),
	ALLOW(sendfile),
	ALLOW(copy_file_range),
	ALLOW(close),
	ALLOW(close_range),
	ALLOW(dup),
	ALLOW(dup3),
	ALLOW(fcntl),
	ALLOW(flock),
	ALLOW(fsync),
	ALLOW(fdatasync),
	ALLOW(ftruncate),
	ALLOW(fallocate),
	ALLOW(pipe2),
	ALLOW(memfd_create),
	WHEN(ioctl, 1, TCGETS),
	WHEN(ioctl, 1, TIOCGWINSZ),
	WHEN(ioctl, 1, TIOCGPGRP),
	WHEN(ioctl, 1, FIONREAD),
	WHEN(ioctl, 1, FIONBIO),
	WHEN(ioctl, 1, FIOCLEX),
	/* Files: what its user may. */
	ALLOW(openat),
	ALLOW(openat2),
	ALLOW(newfstatat),
	ALLOW(fstat),
	ALLOW(statx),
	ALLOW(statfs),
	ALLOW(fstatfs),
	WHEN(quotactl_fd, 1, QCMD(Q_XGETQSTATV, PRJQUOTA)), /* whether Limits.Disk has an effect */
	ALLOW(faccessat),
	ALLOW(faccessat2),
	ALLOW(readlinkat),
	ALLOW(getdents64),
	ALLOW(getcwd),
	ALLOW(chdir),
	ALLOW(fchdir),
	ALLOW(mkdirat),
	WHEN(mknodat, 2, S_IFIFO | 0600), /* a dyno's standard input */
	ALLOW(unlinkat),
	ALLOW(renameat2),
	ALLOW(linkat),
	ALLOW(symlinkat),
	ALLOW(fchmod),
	ALLOW(fchmodat),
	ALLOW(utimensat),
	ALLOW(umask),
	ALLOW(fadvise64),
	ALLOW(inotify_init1),
	ALLOW(inotify_add_watch),
	ALLOW(inotify_rm_watch),
	/* Networks: the launcher, ports that are asked for, slugs from the web, names (netlink:
	 * which addresses this machine has). */
	WHEN(socket, 0, AF_UNIX),
	WHEN(socket, 0, AF_INET),
	WHEN(socket, 0, AF_INET6),
	WHEN(socket, 0, AF_NETLINK),
	WHEN(socketpair, 0, AF_UNIX),
	ALLOW(bind),
	ALLOW(listen),
	ALLOW(connect),
	ALLOW(accept4),
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
	/* Waiting and time. */
	ALLOW(ppoll),
	ALLOW(pselect6),
	ALLOW(epoll_create1),
	ALLOW(epoll_ctl),
	ALLOW(epoll_pwait),
	ALLOW(epoll_pwait2),
	ALLOW(eventfd2),
	ALLOW(signalfd4),
	ALLOW(timerfd_create),
	ALLOW(timerfd_settime),
	ALLOW(timerfd_gettime),
	ALLOW(clock_gettime),
	ALLOW(clock_getres),
	ALLOW(clock_nanosleep),
	ALLOW(nanosleep),
	ALLOW(gettimeofday),
	/* Memory. */
	ALLOW(brk),
	ALLOW(mmap),
	ALLOW(mremap),
	ALLOW(munmap),
	ALLOW(mprotect),
	ALLOW(madvise),
	ALLOW(getrandom),
	ALLOW(membarrier),
	/* Threads, helpers, signals: helpers are of its user, and there is no other namespace.
	 * clone3 says what it wants where a filter cannot look. */
	WITHOUT(clone, 0, NAMESPACES),
	MISSING(clone3),
	ALLOW(execve),
	ALLOW(wait4),
	ALLOW(waitid),
	ALLOW(pidfd_open),
	ALLOW(pidfd_send_signal),
	ALLOW(kill),
	ALLOW(tgkill),
	ALLOW(futex),
	ALLOW(set_robust_list),
	ALLOW(get_robust_list),
	ALLOW(set_tid_address),
	ALLOW(rseq),
	ALLOW(sched_yield),
	ALLOW(sched_getaffinity),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(rt_sigtimedwait),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),
	ALLOW(exit),
	ALLOW(exit_group),
	/* What it is; what it may still give up. */
	ALLOW(getpid),
	ALLOW(gettid),
	ALLOW(getppid),
	ALLOW(getpgid),
	ALLOW(getsid),
	ALLOW(getuid),
	ALLOW(geteuid),
	ALLOW(getgid),
	ALLOW(getegid),
	ALLOW(getgroups),
	ALLOW(getresuid),
	ALLOW(getresgid),
	ALLOW(uname),
	ALLOW(sysinfo),
	ALLOW(getrusage),
	ALLOW(getcpu),
	WHEN(prlimit64, 0, 0),
	/* To be last in the queue for the processor and the disk: who packs old logs and removes
	 * old slugs. */
	WHEN(setpriority, 2, LAST),
	WHEN(sched_setscheduler, 1, SCHED_IDLE),
	WHEN(ioprio_set, 2, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)),
	ALLOW(capget),
	ALLOW(capset),
	WHEN(prctl, 0, PR_SET_NAME),
	WHEN(prctl, 0, PR_SET_PDEATHSIG),
	WHEN(prctl, 0, PR_SET_DUMPABLE),
	WHEN(prctl, 0, PR_GET_DUMPABLE),
	WHEN(prctl, 0, PR_CAPBSET_READ),
	WHEN(prctl, 0, PR_CAP_AMBIENT),
	WHEN(prctl, 0, PR_SET_NO_NEW_PRIVS),
	ALLOW(seccomp),
	ALLOW(landlock_create_ruleset),
	ALLOW(landlock_add_rule),
	ALLOW(landlock_restrict_self),
#ifdef SYS_fchmodat2
	MISSING(fchmodat2), /* newer C libraries try it first */
#endif
#ifdef __x86_64__
	/* The older names of what is above: what the C library calls where it can. */
	ALLOW(access),
	ALLOW(open),
	ALLOW(stat),
	ALLOW(lstat),
	ALLOW(readlink),
	ALLOW(getdents),
	ALLOW(mkdir),
	ALLOW(rmdir),
	ALLOW(unlink),
	ALLOW(rename),
	ALLOW(renameat),
	ALLOW(link),
	ALLOW(symlink),
	ALLOW(chmod),
	ALLOW(dup2),
	ALLOW(pipe),
	ALLOW(poll),
	ALLOW(select),
	ALLOW(accept),
	ALLOW(epoll_create),
	ALLOW(epoll_wait),
	ALLOW(getpgrp),
	ALLOW(time),
	ALLOW(arch_prctl),
#elif defined(__aarch64__)
	ALLOW(renameat),
#endif
};

const size_t confine_n_rules = sizeof confine_rules / sizeof confine_rules[0];
