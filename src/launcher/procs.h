/* What /proc says of processes that are not our children: who a pid is, by more than its number. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct proc {
	int32_t pid, group;
	char state;	/* 'R', 'S', 'Z', ... */
	uint64_t ticks; /* when it started: clock ticks after boot (field 22 of /proc/PID/stat) */
};

/* False when there is no such process. */
bool proc_read(int32_t pid, struct proc *ret_proc);

/* Did it start within `took` ns from `begun` (CLOCK_BOOTTIME, ns)? */
bool proc_started(const struct proc *p, uint64_t begun, uint32_t took);

/* Is `mark` ("NAME=value") a variable that it was started with? False also when we may not know. */
bool proc_marked(int32_t pid, const char *mark);

/* Is it the first of a pid namespace that is not ours? */
bool proc_is_init(int32_t pid);

/* Every process of the machine, until `each` says false. */
void procs_each(bool (*each)(const struct proc *p, void *userdata), void *userdata);

/* A pidfd of the process that `begun` and `took` describe, so that nobody else can be meant from
 * now on; -1 when it is gone, and the pid may be another's. */
int proc_open(int32_t pid, uint64_t begun, uint32_t took);

/* CLOCK_BOOTTIME, ns. */
uint64_t clock_boot(void);
