/* src/box/calls.txt, read once more, and what it says of a call. After cmocka.h. */
#pragma once

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 600

struct calls_term {
	unsigned arg;
	uint32_t mask, value;
};

struct calls_condition {
	struct calls_term terms[3];
	unsigned n;
};

struct calls_row {
	char name[32];
	int number[2]; /* x86_64, aarch64; -1 = it has none */
	char verdict;  /* 'a'llow, 'r'efuse, 'm'issing */
	struct calls_condition when[8], except[8];
	unsigned n_when, n_except;
	uint32_t refused;
};

static struct calls_row calls[CALLS_MAX];
static unsigned n_calls;

static void calls_condition(const char *text, struct calls_condition *ret)
{
	char *end;

	for (;;) {
		struct calls_term *t = &ret->terms[ret->n++];

		assert_true(ret->n <= 3);
		t->arg = (unsigned)strtoul(text, &end, 0);
		t->mask = *end == '&' ? (uint32_t)strtoul(end + 1, &end, 0) : UINT32_MAX;
		assert_int_equal(*end, '=');
		t->value = (uint32_t)strtoul(end + 1, &end, 0);
		if (*end == '\0')
			return;
		assert_int_equal(*end, ',');
		text = end + 1;
	}
}

static void calls_row(char *line)
{
	struct calls_row *r = &calls[n_calls++];
	char x86_64[8], aarch64[8], verdict[16], *rest = NULL, list = 0;
	int at;

	assert_true(n_calls < CALLS_MAX);
	*r = (struct calls_row){.refused = SECCOMP_RET_ERRNO | EPERM};
	assert_int_equal(
		sscanf(line, "%31s %7s %7s %15s%n", r->name, x86_64, aarch64, verdict, &at), 4);
	r->number[0] = x86_64[0] == '-' ? -1 : atoi(x86_64);
	r->number[1] = aarch64[0] == '-' ? -1 : atoi(aarch64);
	r->verdict = verdict[0];
	for (char *w = strtok_r(line + at, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest)) {
		if (strcmp(w, "when") == 0 || strcmp(w, "except") == 0 || strcmp(w, "else") == 0)
			list = w[1];
		else if (list == 'l')
			r->refused = SECCOMP_RET_ERRNO |
				     (strcmp(w, "EAFNOSUPPORT") == 0 ? EAFNOSUPPORT : 0);
		else
			calls_condition(
				w, list == 'h' ? &r->when[r->n_when++] : &r->except[r->n_except++]);
	}
}

static void calls_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (line[0] != '#' && line[0] != '\n')
			calls_row(line);
	fclose(f);
	assert_true(n_calls > 300);
}

static const struct calls_row *calls_find(unsigned machine, int number)
{
	for (unsigned i = 0; i < n_calls; i++)
		if (calls[i].number[machine] == number)
			return &calls[i];
	return NULL;
}

static bool calls_any(const struct calls_condition *c, unsigned n, const __u64 args[6])
{
	for (unsigned i = 0; i < n; i++) {
		bool all = true;

		for (unsigned t = 0; t < c[i].n; t++)
			all &= (args[c[i].terms[t].arg] & c[i].terms[t].mask) ==
			       c[i].terms[t].value;
		if (all)
			return true;
	}
	return false;
}

/* Of a call of the right machine. */
static uint32_t calls_verdict(const struct calls_row *r, const __u64 args[6])
{
	if (!r || r->verdict == 'm')
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (r->verdict == 'r')
		return SECCOMP_RET_ERRNO | EPERM;
	if (calls_any(r->except, r->n_except, args) ||
		(r->n_when > 0 && !calls_any(r->when, r->n_when, args)))
		return r->refused;
	return SECCOMP_RET_ALLOW;
}
