/* The system calls that a process may make, as a BPF program for seccomp.
 *
 * An allow-list. What is not on it gives EPERM, not a kill: a C library of tomorrow may try a new
 * call first and take that for an answer. Other calling conventions, whose numbers mean other
 * calls, are killed. The program is a plain chain: since Linux 5.11 the kernel knows from it in
 * advance which calls are always allowed, and does not run it for them. */
#pragma once

#include "base/mem.h"

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define FILTER_MAX 1024 /* instructions */

enum filter_check {
	FILTER_ALWAYS,
	FILTER_EQUAL,	/* the low half of argument `arg` is `value` */
	FILTER_WITHOUT, /* it has none of the bits of `value` */
	FILTER_MISSING, /* never, and ENOSYS: the C library then goes another way */
};

/* Allows one call. Several for one call: any of them is enough. Only the low halves of arguments
 * are looked at: those of the calls listed are ints to the kernel. */
struct filter_rule {
	int call;
	enum filter_check check;
	unsigned arg;
	uint32_t value;
};

/* Fills ret_program. How many instructions it has, or -E2BIG. */
int filter_make(const struct filter_rule *rules, size_t n,
	struct sock_filter ret_program[FILTER_MAX]) HSUP_MUST_CHECK;

/* Makes and installs it, on all threads of this process. Needs no_new_privs. Async-signal-safe.
 * 0 or negative errno. */
int filter_install(const struct filter_rule *rules, size_t n) HSUP_MUST_CHECK;
