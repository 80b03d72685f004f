/* An interpreter of the few BPF instructions that filters of system calls have. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static uint32_t bpf_load(const struct seccomp_data *data, uint32_t at)
{
	uint32_t word;

	assert_true(at + sizeof word <= sizeof *data);
	memcpy(&word, (const char *)data + at, sizeof word);
	return word;
}

static uint32_t bpf_run(const struct sock_filter *code, size_t n, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t at = 0; at < n; at++) {
		const struct sock_filter *i = &code[at];
		bool holds;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = bpf_load(data, i->k);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			at += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			holds = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			holds = a >= i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			holds = a > i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			holds = (a & i->k) != 0;
			break;
		default:
			fail_msg("instruction %#x", i->code);
			return 0;
		}
		at += holds ? i->jt : i->jf;
	}
	fail_msg("the program has no end");
	return 0;
}
