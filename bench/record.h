/* What a child writes when it begins to run. processes.py reads the same layout. */
#pragma once

#include <stdint.h>

struct record {
	uint64_t ns; /* CLOCK_MONOTONIC */
	uint64_t pid;
};
