/* The BPF programs are run here, in an interpreter of the few instructions they have, beside those
 * that libseccomp makes of the same rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "bpf.h"
#include "spawn/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_CALL 1100

/* ---- libseccomp's ---- */

static void oracle_rule(scmp_filter_ctx ctx, const struct filter_rule *r)
{
	int e = -1;

	switch (r->check) {
	case FILTER_ALWAYS:
		e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->call, 0);
		break;
	case FILTER_MISSING:
		e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), r->call, 0);
		break;
	case FILTER_EQUAL:
		e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->call, 1,
			SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, r->value));
		break;
	case FILTER_WITHOUT:
		e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->call, 1,
			SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->value, 0));
		break;
	}
	assert_int_equal(e, 0);
}

static size_t oracle(
	const struct filter_rule *rules, size_t n, struct sock_filter *ret, size_t room)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	_cleanup_close_ int fd = memfd_create("bpf", MFD_CLOEXEC);

	assert_non_null(ctx);
	assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	for (size_t i = 0; i < n; i++)
		oracle_rule(ctx, &rules[i]);
	assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
	seccomp_release(ctx);
	ssize_t size = pread(fd, ret, room * sizeof *ret, 0);
	assert_true(size > 0 && (size_t)size < room * sizeof *ret);
	return (size_t)size / sizeof *ret;
}

static struct sock_filter ours[FILTER_MAX], theirs[8 * FILTER_MAX];
static size_t n_ours, n_theirs;

static void compile(const struct filter_rule *rules, size_t n)
{
	int length = filter_make(rules, n, ours);

	assert_true(length > 0);
	n_ours = (size_t)length;
	n_theirs = oracle(rules, n, theirs, ARRAY_SIZE(theirs));
}

static uint32_t both(const struct seccomp_data *data)
{
	uint32_t verdict = bpf_run(ours, n_ours, data), expected = bpf_run(theirs, n_theirs, data);

	if (verdict != expected)
		fail_msg("call %d of %#x, args %#llx %#llx: %#x, but libseccomp says %#x", data->nr,
			data->arch, (unsigned long long)data->args[0],
			(unsigned long long)data->args[1], verdict, expected);
	return verdict;
}

static uint32_t own_arch(void)
{
	return seccomp_arch_native();
}

/* Every argument that a rule names, and its neighbours, and with a high half that does not count.
 */
static void with_arguments(const struct filter_rule *rules, size_t n, int call)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; rules[i].call == call && bit < 64; bit++) {
			struct seccomp_data data = {.nr = call, .arch = own_arch()};
			uint64_t flipped = rules[i].value ^ (UINT64_C(1) << bit);

			data.args[rules[i].arg] = rules[i].value;
			(void)both(&data);
			data.args[rules[i].arg] = flipped;
			(void)both(&data);
			data.args[rules[i].arg] = UINT64_C(1) << bit;
			(void)both(&data);
			data.args[rules[i].arg ^ 1] = flipped;
			(void)both(&data);
		}
}

static void every_call(const struct filter_rule *rules, size_t n)
{
	compile(rules, n);
	for (int call = 0; call <= LAST_CALL; call++) {
		(void)both(&(struct seccomp_data){.nr = call, .arch = own_arch()});
		with_arguments(rules, n, call);
	}
	(void)both(&(struct seccomp_data){.nr = -1, .arch = own_arch()});
	(void)both(&(struct seccomp_data){.nr = INT32_MAX, .arch = own_arch()});
}

static void test_the_supervisor_has_the_calls_libseccomp_would_give(void **state)
{
	(void)state;
	every_call(confine_rules, confine_n_rules);
}

static void test_every_kind_of_rule(void **state)
{
	static const struct filter_rule rules[] = {
		{.call = SYS_read},
		{.call = SYS_clone3, .check = FILTER_MISSING},
		{SYS_socket, FILTER_EQUAL, 0, 1},
		{SYS_socket, FILTER_EQUAL, 0, UINT32_MAX},
		{SYS_clone, FILTER_WITHOUT, 0, 0x80000100},
		{SYS_ioctl, FILTER_EQUAL, 1, 0x5401},
	};
	uint32_t native = own_arch();

	(void)state;
	every_call(rules, ARRAY_SIZE(rules));
	assert_int_equal(both(&(struct seccomp_data){SYS_read, native, 0, {0}}), SECCOMP_RET_ALLOW);
	assert_int_equal(both(&(struct seccomp_data){SYS_clone3, native, 0, {0}}),
		SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(
		both(&(struct seccomp_data){SYS_write, native, 0, {0}}), SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(
		both(&(struct seccomp_data){SYS_socket, native, 0, {1}}), SECCOMP_RET_ALLOW);
	assert_int_equal(both(&(struct seccomp_data){SYS_socket, native, 0, {2}}),
		SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(
		both(&(struct seccomp_data){SYS_clone, native, 0, {0x11}}), SECCOMP_RET_ALLOW);
	assert_int_equal(both(&(struct seccomp_data){SYS_clone, native, 0, {0x80000011}}),
		SECCOMP_RET_ERRNO | EPERM);
}

static void test_other_calling_conventions_are_killed(void **state)
{
	static const uint32_t foreign[] = {
		AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_S390X, 0, UINT32_MAX};

	(void)state;
	compile(confine_rules, confine_n_rules);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		for (int call = 0; call <= LAST_CALL; call++)
			assert_int_equal(
				both(&(struct seccomp_data){.nr = call, .arch = foreign[i]}),
				SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
	for (int call = 0; call <= LAST_CALL; call++)
		assert_int_equal(both(&(struct seccomp_data){
					 .nr = call | 0x40000000, .arch = AUDIT_ARCH_X86_64}),
			SECCOMP_RET_KILL_PROCESS);
#endif
}

/* What must never come onto the list, whatever a library would like. */
static void test_the_supervisor_may_not(void **state)
{
	static const int never[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
		SYS_process_madvise, SYS_pidfd_getfd, SYS_kcmp, SYS_mount, SYS_umount2,
		SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig,
		SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_setns, SYS_unshare, SYS_bpf,
		SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
		SYS_io_uring_register, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_kexec_load,
		SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon,
		SYS_swapoff, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
		SYS_quotactl, SYS_mknodat, SYS_personality, SYS_acct, SYS_syslog, SYS_vhangup,
		SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init, SYS_sethostname,
		SYS_setdomainname, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid,
		SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_setfsuid, SYS_fchown, SYS_fchownat,
		SYS_mbind, SYS_migrate_pages, SYS_move_pages, SYS_memfd_secret, SYS_rt_sigqueueinfo,
		SYS_rt_tgsigqueueinfo, SYS_tkill, SYS_setpriority, SYS_sched_setscheduler,
		SYS_execveat, SYS_shmget, SYS_setxattr,
#ifdef __x86_64__
		SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_mknod, SYS_chown, SYS_fork, SYS_vfork
#endif
	};

	(void)state;
	compile(confine_rules, confine_n_rules);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		assert_int_equal(both(&(struct seccomp_data){.nr = never[i], .arch = own_arch()}),
			SECCOMP_RET_ERRNO | EPERM);
	}
	/* A FIFO of its own, and nothing else that has a name. */
	for (unsigned kind = 0; kind < 16; kind++) {
		bool fifo = kind << 12 == S_IFIFO;

		for (int k = 0; k < 3; k++) {
			const unsigned modes[] = {0600, 0666, 04600};
			struct seccomp_data make = {.nr = SYS_mknodat,
				.arch = own_arch(),
				.args = {0, 0, kind << 12 | modes[k]}};

			assert_int_equal(both(&make),
				fifo && k == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
		}
	}
	/* TIOCSTI types into a terminal, TIOCLINUX into a console. */
	assert_int_equal(both(&(struct seccomp_data){SYS_ioctl, own_arch(), 0, {0, 0x5412}}),
		SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(both(&(struct seccomp_data){SYS_ioctl, own_arch(), 0, {0, 0x10000541c}}),
		SECCOMP_RET_ERRNO | EPERM);
	/* To come last may be asked for, and nothing better. */
	for (uint64_t nice = 0; nice < 40; nice++) {
		struct seccomp_data ask = {
			.nr = SYS_setpriority, .arch = own_arch(), .args = {0, 0, nice - 20}};

		assert_int_equal(both(&ask),
			nice - 20 == 19 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
		ask.nr = SYS_ioprio_set;
		ask.args[2] = nice << 13;
		assert_int_equal(
			both(&ask), nice == 3 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
		ask.nr = SYS_sched_setscheduler;
		ask.args[1] = nice;
		assert_int_equal(
			both(&ask), nice == 5 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
	}
	/* Another process's limits. */
	assert_int_equal(both(&(struct seccomp_data){SYS_prlimit64, own_arch(), 0, {1, 7}}),
		SECCOMP_RET_ERRNO | EPERM);
}

static void test_too_many_rules(void **state)
{
	static struct filter_rule many[FILTER_MAX];

	(void)state;
	assert_int_equal(filter_make(many, FILTER_MAX, ours), -E2BIG);
	int length = filter_make(many, FILTER_MAX / 2 - 10, ours);
	assert_true(length > 0 && length <= FILTER_MAX);
}

/* The kernel takes it, and means by it what the interpreter says. */
static void test_the_kernel_agrees(void **state)
{
	static const struct filter_rule rules[] = {{.call = SYS_exit_group}, {.call = SYS_getppid},
		{.call = SYS_getpgid, .check = FILTER_MISSING}};
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		long code = 0;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			filter_install(rules, ARRAY_SIZE(rules)) < 0)
			code = 1;
		else if (syscall(SYS_getppid) <= 0)
			code = 2;
		else if (syscall(SYS_getpgid, 0) != -1 || errno != ENOSYS)
			code = 3;
		else if (syscall(SYS_getsid, 0) != -1 || errno != EPERM)
			code = 4;
		/* In front of _exit() a sanitizer has calls of its own. */
		(void)syscall(SYS_exit_group, code);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_who_it_becomes_is_read_strictly(void **state)
{
	static const char *const bad[] = {"", ":", "1", "1:", ":1", "0:1", "1:0", "1:2:3", "a:1",
		"1:4294967295", "-1:1", "1 :1", "99999999999999999999:1"};
	struct confinement c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(confine_parse(bad[i], &c), -EINVAL);
	assert_int_equal(confine_parse("1000:4294967294", &c), 0);
	assert_true(c.on && c.uid == 1000 && c.gid == UINT32_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_of_rule),
		cmocka_unit_test(test_the_supervisor_has_the_calls_libseccomp_would_give),
		cmocka_unit_test(test_other_calling_conventions_are_killed),
		cmocka_unit_test(test_the_supervisor_may_not),
		cmocka_unit_test(test_too_many_rules),
		cmocka_unit_test(test_the_kernel_agrees),
		cmocka_unit_test(test_who_it_becomes_is_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
