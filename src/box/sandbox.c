#include "box/sandbox.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FILTER	 sandbox_filter_x86_64
#define FILTER_N sandbox_filter_x86_64_n
#elif defined(__aarch64__)
#define FILTER	 sandbox_filter_aarch64
#define FILTER_N sandbox_filter_aarch64_n
#else
#error "calls.txt has no numbers of this machine"
#endif

int sandbox_seccomp(void)
{
	/* The kernel copies it; its type has no const. */
	const struct sock_fprog prog = {FILTER_N, (struct sock_filter *)(uintptr_t)FILTER};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}
