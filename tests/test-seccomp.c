/* The filters of both machines, as they are built, run in an interpreter: beside the table they are
 * made of, and beside the filters that libseccomp makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "box/sandbox.h"
#include "bpf.h"
#include "calls.h"

#include <linux/audit.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_CALL 600
#define EPERM_	  (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_	  (SECCOMP_RET_ERRNO | ENOSYS)
#define NOFAMILY_ (SECCOMP_RET_ERRNO | EAFNOSUPPORT)

static struct machine {
	const char *name;
	uint32_t audit, scmp;
	const struct sock_filter *code;
	const unsigned short *n;
	/* libseccomp's: what may be done, and what of it may not: it has no "unless". */
	struct sock_filter may[8192], may_not[512];
	size_t n_may, n_may_not;
} machines[] = {
	{"x86_64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, sandbox_filter_x86_64,
		&sandbox_filter_x86_64_n},
	{"aarch64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, sandbox_filter_aarch64,
		&sandbox_filter_aarch64_n},
};

static uint32_t ask(unsigned m, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
	for (unsigned i = 0; i < n_calls; i++)
		if (strcmp(calls[i].name, name) == 0)
			return bpf_run(machines[m].code, *machines[m].n,
				&(struct seccomp_data){.nr = calls[i].number[m],
					.arch = machines[m].audit,
					.args = {a, b, c}});
	fail_msg("%s is not in the table", name);
	return 0;
}

/* ---- libseccomp's ---- */

static scmp_filter_ctx oracle_begin(uint32_t otherwise, uint32_t arch)
{
	scmp_filter_ctx ctx = seccomp_init(otherwise);

	assert_non_null(ctx);
	assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	if (arch != seccomp_arch_native()) {
		assert_int_equal(seccomp_arch_add(ctx, arch), 0);
		assert_int_equal(seccomp_arch_remove(ctx, seccomp_arch_native()), 0);
	}
	return ctx;
}

static size_t oracle_end(scmp_filter_ctx ctx, struct sock_filter *ret, size_t room)
{
	_cleanup_close_ int fd = memfd_create("bpf", MFD_CLOEXEC);

	assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
	seccomp_release(ctx);
	ssize_t size = pread(fd, ret, room, 0);
	assert_true(size > 0 && (size_t)size < room);
	return (size_t)size / sizeof *ret;
}

static void oracle_conditions(
	scmp_filter_ctx ctx, uint32_t action, int call, const struct calls_condition *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct scmp_arg_cmp terms[3];

		for (unsigned t = 0; t < c[i].n; t++)
			terms[t] = SCMP_CMP(c[i].terms[t].arg, SCMP_CMP_MASKED_EQ,
				c[i].terms[t].mask, c[i].terms[t].value);
		assert_int_equal(seccomp_rule_add_array(ctx, action, call, c[i].n, terms), 0);
	}
}

static void oracle_make(unsigned m)
{
	scmp_filter_ctx may = oracle_begin(SCMP_ACT_ERRNO(ENOSYS), machines[m].scmp);
	scmp_filter_ctx may_not = oracle_begin(SCMP_ACT_ALLOW, machines[m].scmp);

	for (unsigned i = 0; i < n_calls; i++) {
		const struct calls_row *r = &calls[i];
		/* As this machine numbers it: libseccomp translates. */
		int call = seccomp_syscall_resolve_name(r->name);

		if (call == __NR_SCMP_ERROR || r->number[m] < 0 || r->verdict == 'm')
			continue;
		if (r->verdict == 'r')
			assert_int_equal(seccomp_rule_add(may, SCMP_ACT_ERRNO(EPERM), call, 0), 0);
		else if (r->n_when == 0)
			assert_int_equal(seccomp_rule_add(may, SCMP_ACT_ALLOW, call, 0), 0);
		else
			oracle_conditions(may, SCMP_ACT_ALLOW, call, r->when, r->n_when);
		oracle_conditions(may_not, SCMP_ACT_ERRNO(EPERM), call, r->except, r->n_except);
	}
	machines[m].n_may = oracle_end(may, machines[m].may, sizeof machines[m].may);
	machines[m].n_may_not =
		oracle_end(may_not, machines[m].may_not, sizeof machines[m].may_not);
}

/* What it says of a call with conditions is only whether: EPERM for the rest of the same call would
 * be a rule that it takes for a contradiction. */
static void check_oracle(
	unsigned m, const struct calls_row *r, const struct seccomp_data *data, uint32_t verdict)
{
	const struct machine *of = &machines[m];
	bool may = bpf_run(of->may, of->n_may, data) == SECCOMP_RET_ALLOW &&
		   bpf_run(of->may_not, of->n_may_not, data) == SECCOMP_RET_ALLOW;

	if (r && seccomp_syscall_resolve_name(r->name) == __NR_SCMP_ERROR)
		return; /* newer than it is */
	if (may != (verdict == SECCOMP_RET_ALLOW))
		fail_msg("%s: call %d, args %#llx %#llx %#llx: %#x, but libseccomp says %s",
			of->name, data->nr, (unsigned long long)data->args[0],
			(unsigned long long)data->args[1], (unsigned long long)data->args[2],
			verdict, may ? "yes" : "no");
	if (!r || (r->n_when == 0 && r->n_except == 0))
		assert_int_equal(verdict, bpf_run(of->may, of->n_may, data));
}

static void check(unsigned m, const struct calls_row *r, const struct seccomp_data *data)
{
	uint32_t verdict = bpf_run(machines[m].code, *machines[m].n, data);
	uint32_t expected = calls_verdict(r, data->args);

	if (verdict != expected)
		fail_msg("%s: call %d, args %#llx %#llx %#llx: %#x, but the table says %#x",
			machines[m].name, data->nr, (unsigned long long)data->args[0],
			(unsigned long long)data->args[1], (unsigned long long)data->args[2],
			verdict, expected);
	check_oracle(m, r, data, verdict);
}

/* Every argument that a condition names, each of its bits flipped, high ones too; and then mixed.
 */
static void with_arguments(unsigned m, const struct calls_row *r, struct seccomp_data data)
{
	uint64_t pool[64] = {0, 1, UINT32_MAX, UINT64_MAX}, chance = 1;
	unsigned n = 4;

	for (int list = 0; list < 2; list++)
		for (unsigned i = 0; i < (list ? r->n_except : r->n_when); i++)
			for (unsigned t = 0; t < (list ? r->except : r->when)[i].n; t++) {
				const struct calls_term *term =
					&(list ? r->except : r->when)[i].terms[t];

				pool[n++] = term->value;
				pool[n++] = term->value | 1ULL << 32;
				pool[n++] = ~term->mask | term->value;
				pool[n++] = term->mask;
				for (unsigned bit = 0; bit < 64; bit++) {
					data.args[term->arg] = term->value ^ 1ULL << bit;
					check(m, r, &data);
				}
			}
	for (int round = 0; round < 3000; round++) {
		for (int a = 0; a < 6; a++) {
			chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
			data.args[a] = pool[(chance >> 33) % n];
		}
		check(m, r, &data);
	}
}

static void test_every_call_is_what_the_table_and_libseccomp_say(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 2; m++)
		for (int call = 0; call <= LAST_CALL; call++) {
			const struct calls_row *r = calls_find(m, call);
			struct seccomp_data data = {.nr = call, .arch = machines[m].audit};

			check(m, r, &data);
			if (r)
				with_arguments(m, r, data);
		}
}

static void test_numbers_are_the_kernels(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned i = 0; i < n_calls; i++)
		for (unsigned m = 0; m < 2; m++) {
			int theirs =
				seccomp_syscall_resolve_name_arch(machines[m].scmp, calls[i].name);

			if (theirs == __NR_SCMP_ERROR)
				continue;
			known++;
			/* Below zero: of other machines only. */
			if (calls[i].number[m] != (theirs < 0 ? -1 : theirs))
				fail_msg("%s: %s is %d", machines[m].name, calls[i].name, theirs);
		}
	assert_true(known > 650);
}

/* It is short because loading it is a part of every start. */
static void test_the_filters_are_short(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 2; m++)
		assert_in_range(*machines[m].n, 50, 160);
}

static void test_other_calling_conventions(void **state)
{
	static const uint32_t foreign[] = {
		AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_S390X, 0, UINT32_MAX};

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		for (int call = 0; call <= LAST_CALL; call++) {
			struct seccomp_data data = {
				.nr = call | 0x40000000, .arch = machines[m].audit};

			assert_int_equal(bpf_run(machines[m].code, *machines[m].n, &data), ENOSYS_);
			data.nr = call;
			data.arch = machines[!m].audit;
			assert_int_equal(bpf_run(machines[m].code, *machines[m].n, &data),
				SECCOMP_RET_KILL_PROCESS);
			for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
				data.arch = foreign[i];
				assert_int_equal(bpf_run(machines[m].code, *machines[m].n, &data),
					SECCOMP_RET_KILL_PROCESS);
			}
		}
		/* A tracer's "do not", and the last there is. */
		assert_int_equal(bpf_run(machines[m].code, *machines[m].n,
					 &(struct seccomp_data){-1, machines[m].audit, 0, {0}}),
			ENOSYS_);
		assert_int_equal(
			bpf_run(machines[m].code, *machines[m].n,
				&(struct seccomp_data){INT32_MAX, machines[m].audit, 0, {0}}),
			ENOSYS_);
	}
}

/* What must stay closed whatever somebody writes into the table. */
static void test_a_dyno_may_not(void **state)
{
	static const char *const never[] = {"mount", "umount2", "pivot_root", "chroot", "fsopen",
		"fsconfig", "fsmount", "fspick", "open_tree", "open_tree_attr", "move_mount",
		"mount_setattr", "unshare", "setns", "bpf", "perf_event_open", "userfaultfd",
		"io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key",
		"keyctl", "open_by_handle_at", "name_to_handle_at", "process_vm_readv",
		"process_vm_writev", "pidfd_getfd", "kcmp", "init_module", "finit_module",
		"delete_module", "kexec_load", "reboot", "swapon", "swapoff", "settimeofday",
		"clock_settime", "syslog", "acct", "quotactl", "quotactl_fd", "fanotify_init",
		"mbind", "move_pages", "sethostname", "setdomainname", "vhangup"};

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		for (size_t i = 0; i < ARRAY_SIZE(never); i++)
			assert_int_equal(ask(m, never[i], 0, 0, 0), EPERM_);
		for (unsigned bit = 0; bit < 32; bit++) {
			bool space = 1u << bit & 0x7e020000;

			assert_int_equal(ask(m, "clone", SIGCHLD | 1u << bit, 0, 0),
				space ? EPERM_ : SECCOMP_RET_ALLOW);
		}
		assert_int_equal(ask(m, "clone3", 0, 0, 0), ENOSYS_);
		assert_int_equal(ask(m, "ioctl", 0, 0x5412, 0), EPERM_);
		assert_int_equal(ask(m, "ioctl", 0, 0x100005412, 0), EPERM_);
		assert_int_equal(ask(m, "ioctl", 0, 0x70000000541c, 0), EPERM_);
		assert_int_equal(ask(m, "ioctl", 0, FS_IOC_FSSETXATTR, 0), EPERM_);
		assert_int_equal(ask(m, "ioctl", 0, FS_IOC_SETFLAGS, 0), EPERM_);
		assert_int_equal(ask(m, "ioctl", 0, FS_IOC_FSGETXATTR, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(ask(m, "ioctl", 0, TIOCGWINSZ, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(ask(m, "personality", 0x0400000, 0, 0), EPERM_);
		assert_int_equal(ask(m, "mknodat", 0, 0, S_IFCHR | 0666), EPERM_);
		assert_int_equal(ask(m, "mknodat", 0, 0, S_IFBLK | 0666), EPERM_);
		assert_int_equal(ask(m, "mknodat", 0, 0, S_IFIFO | 0666), SECCOMP_RET_ALLOW);
	}
}

static void test_families_of_sockets(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 2; m++)
		for (uint64_t family = 0; family < 64; family++) {
			bool may = family == AF_UNIX || family == AF_INET || family == AF_INET6;
			uint64_t stream = SOCK_STREAM | SOCK_CLOEXEC, raw = SOCK_RAW | SOCK_CLOEXEC;

			assert_int_equal(ask(m, "socket", family, stream, 1),
				may ? SECCOMP_RET_ALLOW : NOFAMILY_);
			assert_int_equal(ask(m, "socket", family | 1ULL << 32, stream, 1),
				may ? SECCOMP_RET_ALLOW : NOFAMILY_);
			assert_int_equal(ask(m, "socket", family, raw, 0),
				may || family == AF_NETLINK ? SECCOMP_RET_ALLOW : NOFAMILY_);
			assert_int_equal(ask(m, "socket", family, SOCK_PACKET, 0), NOFAMILY_);
			assert_int_equal(ask(m, "socketpair", family, stream, 0),
				family == AF_UNIX ? SECCOMP_RET_ALLOW : NOFAMILY_);
		}
}

/* The kernel takes it, and means by it what the interpreter says. */
static void test_the_kernel_agrees(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		long code = 0;

		if (sandbox_seccomp() != (geteuid() == 0 ? 0 : -EACCES))
			code = 1;
		else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_seccomp() < 0)
			code = 2;
		else if (syscall(SYS_getppid) <= 0)
			code = 3;
		else if (syscall(SYS_unshare, 0) != -1 || errno != EPERM)
			code = 4;
		else if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
			code = 5;
		else if (syscall(600) != -1 || errno != ENOSYS)
			code = 6;
		else if (syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 15) != -1 ||
			 errno != EAFNOSUPPORT)
			code = 7;
		else if (prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER)
			code = 8;
		(void)syscall(SYS_exit_group, code);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int before(void **state)
{
	char path[4096];

	(void)state;
	snprintf(path, sizeof path, "%s/src/box/calls.txt", getenv("HSUP_SOURCE_DIR"));
	calls_read(path);
	oracle_make(0);
	oracle_make(1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_is_what_the_table_and_libseccomp_say),
		cmocka_unit_test(test_numbers_are_the_kernels),
		cmocka_unit_test(test_the_filters_are_short),
		cmocka_unit_test(test_other_calling_conventions),
		cmocka_unit_test(test_a_dyno_may_not),
		cmocka_unit_test(test_families_of_sockets),
		cmocka_unit_test(test_the_kernel_agrees),
	};

	return cmocka_run_group_tests(tests, before, NULL);
}
