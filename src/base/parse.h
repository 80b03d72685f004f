/* Strict number parsing: the whole string or nothing, no sign surprises, no locale. */
#pragma once

#include "base/mem.h"

#include <stdint.h>

/* 0, -EINVAL (not a number), or -ERANGE. Outputs are untouched on failure. */
int parse_u64(const char *text, uint64_t max, uint64_t *ret_value) HSUP_MUST_CHECK;
int parse_uint(const char *text, unsigned max, unsigned *ret_value) HSUP_MUST_CHECK;

/* A signal by name ("TERM", "SIGTERM") or number; 1..64, or -EINVAL. */
int parse_signal(const char *text) HSUP_MUST_CHECK;
const char *signal_name(int signo); /* "TERM", or "?" */
