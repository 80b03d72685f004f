#include "box/sandbox.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
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
	const struct sock_filter *filter = FILTER;
	struct sock_fprog prog = {.len = FILTER_N};

	/* The kernel copies it; its type has no const. */
	memcpy(&prog.filter, &filter, sizeof filter);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}
