/* Processes that are not our children, known by pid and start time, held by a pidfd. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
	char state; /* as in proc(5): 'T' = stopped, 'Z' = dead */
	pid_t parent;
	uint64_t start; /* clock ticks since boot: with the pid, an identity */
};

/* 0, or -ESRCH. */
int proc_look(pid_t pid, struct proc *ret) HSUP_MUST_CHECK;

/* Whether its program has this name (also one that was replaced on disk since). */
bool proc_is_program(pid_t pid, const char *name);

/* A pidfd of the process that has this pid and start time; -ESRCH when it is gone, whoever has the
 * pid now. */
int proc_hold(pid_t pid, uint64_t start) HSUP_MUST_CHECK;

/* SIGTERM and the like through a pidfd; 0 also when it has ended. */
int proc_signal(int pidfd, int signo);

/* Whether it has ended, after at most timeout_ms (-1: for ever). */
bool proc_wait(int pidfd, int timeout_ms);

/* Its children, at most max. */
size_t proc_children(pid_t pid, pid_t *ret_pids, size_t max);

/* The word of its command line behind `--name` or in `--name=word`; the caller frees it, NULL =
 * there is none. */
char *proc_option(pid_t pid, const char *name);

/* Kills it and all below it, top down, so that nothing is started again meanwhile. */
void proc_kill_tree(pid_t pid, unsigned depth);
