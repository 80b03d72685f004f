#include "base/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH	AUDIT_ARCH_X86_64
#define FOREIGN 0x40000000U /* x32: the same ARCH, other calls, numbers from here on */
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "which AUDIT_ARCH_ is this?"
#endif

#define LONGEST_RULE 5 /* instructions */

struct program {
	struct sock_filter *code;
	unsigned n;
};

static void load(struct program *p, size_t offset)
{
	p->code[p->n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static void give(struct program *p, uint32_t verdict)
{
	p->code[p->n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict);
}

/* Skips `then` instructions when the comparison holds, else `otherwise`. */
static void jump(struct program *p, unsigned how, uint32_t value, unsigned char then,
	unsigned char otherwise)
{
	p->code[p->n++] = (struct sock_filter){
		(unsigned short)(BPF_JMP | how | BPF_K), then, otherwise, value};
}

static void begin(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	jump(p, BPF_JEQ, ARCH, 1, 0);
	give(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef FOREIGN
	/* -1 is what a tracer makes of a call that is not to happen. */
	jump(p, BPF_JGE, FOREIGN, 0, 2);
	jump(p, BPF_JEQ, UINT32_MAX, 1, 0);
	give(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* Every rule begins and ends with the number loaded. */
static void add(struct program *p, const struct filter_rule *r)
{
	/* All the machines above have the low half first. */
	size_t arg = offsetof(struct seccomp_data, args) + r->arg * sizeof(uint64_t);

	switch (r->check) {
	case FILTER_ALWAYS:
	case FILTER_MISSING:
		jump(p, BPF_JEQ, (uint32_t)r->call, 0, 1);
		give(p, r->check == FILTER_ALWAYS ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS);
		return;
	case FILTER_EQUAL:
	case FILTER_WITHOUT:
		jump(p, BPF_JEQ, (uint32_t)r->call, 0, 4);
		load(p, arg);
		if (r->check == FILTER_EQUAL)
			jump(p, BPF_JEQ, r->value, 0, 1);
		else
			jump(p, BPF_JSET, r->value, 1, 0);
		give(p, SECCOMP_RET_ALLOW);
		load(p, offsetof(struct seccomp_data, nr));
		return;
	}
}

int filter_make(
	const struct filter_rule *rules, size_t n, struct sock_filter ret_program[FILTER_MAX])
{
	struct program p = {.code = ret_program};

	begin(&p);
	for (size_t i = 0; i < n; i++) {
		if (p.n + LONGEST_RULE + 1 > FILTER_MAX)
			return -E2BIG;
		add(&p, &rules[i]);
	}
	give(&p, SECCOMP_RET_ERRNO | EPERM);
	return (int)p.n;
}

int filter_install(const struct filter_rule *rules, size_t n)
{
	struct sock_filter program[FILTER_MAX];

	int length = filter_make(rules, n, program);
	if (length < 0)
		return length;
	struct sock_fprog prog = {.len = (unsigned short)length, .filter = program};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	/* Positive: a thread that could not be brought along. */
	return r < 0 ? -errno : r > 0 ? -EBUSY : 0;
}
