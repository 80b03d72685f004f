/* The system calls of unpacking, as a BPF program made here: a list this short needs no library. */
#include "slug/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "which AUDIT_ARCH_ is this?"
#endif

/* Numbers that another calling convention (i386, x32) gives to other calls are no way in: the
 * first is refused by ARCH, the second has a high bit that no number here has. */
static const int allowed[] = {
	/* The slug comes in. */
	SYS_read,
	SYS_pread64,
	SYS_lseek,
	/* Files and directories go out; Landlock says where. */
	SYS_openat,
	SYS_openat2,
	SYS_mkdirat,
	SYS_symlinkat,
	SYS_linkat,
	SYS_unlinkat,
	SYS_renameat2,
	SYS_write,
	SYS_writev,
	SYS_pwrite64,
	SYS_ftruncate,
	SYS_fchmod,
	SYS_utimensat,
	SYS_getdents64,
	SYS_newfstatat,
	SYS_fstat,
	SYS_fcntl,
	SYS_close,
	/* Progress and the answer, on descriptors that are open. */
	SYS_sendmsg,
	/* Memory. */
	SYS_brk,
	SYS_mmap,
	SYS_mremap,
	SYS_munmap,
	SYS_mprotect,
	SYS_madvise,
	/* Two threads, and their ends. */
	SYS_futex,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_yield,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_restart_syscall,
	SYS_exit,
	SYS_exit_group,
	/* abort() says why; it can reach only ourselves. */
	SYS_getpid,
	SYS_gettid,
	SYS_tgkill,
	SYS_rt_sigaction,
	/* Time where the vDSO has none; seeds of hash tables and the allocator. */
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_getrandom,
};

#define N_ALLOWED (sizeof allowed / sizeof allowed[0])

static const struct sock_filter load_arch =
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
static const struct sock_filter load_number =
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));

int sandbox_seal(struct err *err)
{
	struct sock_filter program[N_ALLOWED + 6];
	unsigned short n = 0;

	_Static_assert(N_ALLOWED < 250, "a jump of BPF is 8 bits");
	if (SANDBOX_OPEN)
		return 0;
	program[n++] = load_arch;
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program[n++] = load_number;
	for (size_t i = 0; i < N_ALLOWED; i++)
		program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(unsigned)allowed[i], (unsigned char)(N_ALLOWED - i), 0);
	/* Not a kill: a C library of tomorrow may try a new call first and take EPERM for an
	 * answer. */
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	struct sock_fprog prog = {.len = n, .filter = program};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	if (r < 0)
		return err_errno(err, -errno, "cannot close the system call filter");
	return r > 0 ? err_set(err, -EIO, "a thread escapes the system call filter") : 0;
}
