/* What a dyno uses of its machine: plain data. */
#pragma once

#include <stdint.h>

#define USAGE_UNKNOWN UINT64_MAX

struct dyno_usage {
	uint64_t memory, cpu; /* bytes; ns of a processor */
	uint64_t processes;   /* and threads */
	/* Of the last ten seconds, the part in which some of it waited for memory, or for a
	 * processor: 10000 = all of them. */
	uint64_t memory_pressure, cpu_pressure;
};

#define DYNO_USAGE_UNKNOWN                                                                         \
	((struct dyno_usage){.memory = USAGE_UNKNOWN,                                              \
		.cpu = USAGE_UNKNOWN,                                                              \
		.processes = USAGE_UNKNOWN,                                                        \
		.memory_pressure = USAGE_UNKNOWN,                                                  \
		.cpu_pressure = USAGE_UNKNOWN})
