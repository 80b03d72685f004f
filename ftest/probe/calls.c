/* System calls that a program has no business with. */
#include "probe.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>

#define CALL(name, ...)                                                                            \
	static void name(const void *what)                                                         \
	{                                                                                          \
		(void)what;                                                                        \
		verdict_of(__VA_ARGS__);                                                           \
	}

static char scratch[4096] __attribute__((aligned(4096)));

CALL(map, syscall(SYS_bpf, 0, (uint32_t[32]){2, 4, 4, 1}, 128))
CALL(perf, syscall(SYS_perf_event_open,
		   &(struct perf_event_attr){.type = PERF_TYPE_SOFTWARE,
			   .size = sizeof(struct perf_event_attr),
			   .config = PERF_COUNT_SW_CPU_CLOCK,
			   .exclude_kernel = 1},
		   0, -1, -1, 0))
CALL(perf_machine, syscall(SYS_perf_event_open,
			   &(struct perf_event_attr){.type = PERF_TYPE_SOFTWARE,
				   .size = sizeof(struct perf_event_attr),
				   .config = PERF_COUNT_SW_CPU_CLOCK},
			   -1, 0, -1, 0))
CALL(userfault, syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */))
CALL(uring, syscall(SYS_io_uring_setup, 1, scratch))
CALL(uring_enter,
	syscall(SYS_io_uring_enter, 0, 0, 0, 0, NULL, 0) == -1 && errno == EOPNOTSUPP ? 0 : -1)
CALL(keyring, syscall(SYS_keyctl, 0, -3, 1))
CALL(new_key, syscall(SYS_add_key, "user", "probe", "x", 1, -3))
CALL(kexec, syscall(SYS_kexec_load, 0, 0, NULL, ~0UL))
CALL(kexec_file, syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL))
CALL(module, syscall(SYS_init_module, scratch, 64, ""))
CALL(module_file, syscall(SYS_finit_module, -1, "", 0))
CALL(unmodule, syscall(SYS_delete_module, scratch, O_NONBLOCK) == -1 && errno == ENOENT ? 0 : -1)
CALL(bad_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
CALL(swap, swapon("/proc/self/nothing", 0) == -1 && errno == ENOENT ? 0 : -1)
CALL(unswap, swapoff("/proc/self/nothing") == -1 && errno == ENOENT ? 0 : -1)
CALL(set_time, syscall(SYS_settimeofday, NULL, NULL))
CALL(shift_clock, adjtimex(&(struct timex){.modes = ADJ_SETOFFSET}))
CALL(kernel_log, syscall(SYS_syslog, 3, scratch, sizeof scratch))
CALL(account, syscall(SYS_acct, "/proc/self/nothing") == -1 && errno == ENOENT ? 0 : -1)
CALL(quota, syscall(SYS_quotactl, 0x80000100 /* Q_SYNC */, NULL, 0, NULL))
CALL(watch_all, fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY))
CALL(watch_permission, fanotify_init(FAN_CLASS_CONTENT, O_RDONLY))
CALL(no_randomize, personality(ADDR_NO_RANDOMIZE))
CALL(real_time, sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}))
CALL(nicer, setpriority(PRIO_PROCESS, 0, -1))
CALL(io_real_time, syscall(SYS_ioprio_set, 1, 0, 1 << 13))
CALL(host_name, sethostname("probe", 5))
CALL(domain_name, setdomainname("probe", 5))
CALL(lock_memory, syscall(SYS_mbind, scratch, sizeof scratch, 0, NULL, 0, 0))
CALL(move, syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0))
CALL(compare, syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0))
CALL(own_memory, process_vm_readv(getpid(), &(struct iovec){scratch, 1}, 1,
			 &(struct iovec){scratch + 1, 1}, 1, 0))
CALL(steal_descriptor, syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), 0, 0))
CALL(list_mounts, syscall(458, (uint64_t[4]){32, UINT64_MAX}, scratch, 8, 0))
CALL(cache_of_file, syscall(451, open("/usr/bin/env", O_RDONLY), (uint64_t[2]){0}, scratch, 0))

/* On a process with no terminal to lose. */
static void hang_up(const void *what)
{
	(void)what;
	setsid();
	verdict_of(vhangup());
}

/* An unknown number is none that is refused: a C library takes ENOSYS for "go another way". */
static void unknown(const void *what)
{
	(void)what;
	long r = syscall(600);
	(r == -1 && errno == ENOSYS ? closed_because : open_because)("%s", strerrorname_np(errno));
}

#ifdef __x86_64__
CALL(ports, syscall(SYS_iopl, 3))
CALL(port, syscall(SYS_ioperm, 0x80, 1, 1))
CALL(segments, syscall(SYS_modify_ldt, 0, scratch, 16))

/* getpid() as i386 calls it. Where the kernel has no such calls, a fault. */
static void other_machine(const void *what)
{
	long r = 20;

	(void)what;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	verdict_of(r < 0 ? (errno = (int)-r, -1) : r);
}

static void x32(const void *what)
{
	(void)what;
	verdict_of(syscall(0x40000000L + SYS_getpid));
}
#endif

const struct probe probes_calls[] = {
	{"call-bpf", map, NULL},
	{"call-perf", perf, NULL},
	{"call-perf-machine", perf_machine, NULL},
	{"call-userfaultfd", userfault, NULL},
	{"call-io-uring-setup", uring, NULL},
	{"call-io-uring-enter", uring_enter, NULL},
	{"call-keyctl", keyring, NULL},
	{"call-add-key", new_key, NULL},
	{"call-kexec-load", kexec, NULL},
	{"call-kexec-file-load", kexec_file, NULL},
	{"call-init-module", module, NULL},
	{"call-finit-module", module_file, NULL},
	{"call-delete-module", unmodule, NULL},
	{"call-reboot", bad_reboot, NULL},
	{"call-swapon", swap, NULL},
	{"call-swapoff", unswap, NULL},
	{"call-settimeofday", set_time, NULL},
	{"call-adjtimex", shift_clock, NULL},
	{"call-syslog", kernel_log, NULL},
	{"call-acct", account, NULL},
	{"call-quotactl", quota, NULL},
	{"call-fanotify", watch_all, NULL},
	{"call-fanotify-content", watch_permission, NULL},
	{"call-personality", no_randomize, NULL},
	{"call-sched-rt", real_time, NULL},
	{"call-nice", nicer, NULL},
	{"call-ioprio-rt", io_real_time, NULL},
	{"call-sethostname", host_name, NULL},
	{"call-setdomainname", domain_name, NULL},
	{"call-mbind", lock_memory, NULL},
	{"call-move-pages", move, NULL},
	{"call-kcmp", compare, NULL},
	{"call-process-vm", own_memory, NULL},
	{"call-pidfd-getfd", steal_descriptor, NULL},
	{"call-listmount", list_mounts, NULL},
	{"call-cachestat", cache_of_file, NULL},
	{"call-vhangup", hang_up, NULL},
	{"call-unknown", unknown, NULL},
#ifdef __x86_64__
	{"call-iopl", ports, NULL},
	{"call-ioperm", port, NULL},
	{"call-modify-ldt", segments, NULL},
	{"call-int80", other_machine, NULL},
	{"call-x32", x32, NULL},
#endif
	{NULL, NULL, NULL},
};
