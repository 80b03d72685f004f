/* The daemon as others see it: the file that it holds a lock on for life, and the socket on which
 * it answers.
 *
 * The lock is the daemon's standard input. So it is held by the launcher and its supervisor alike,
 * as long as one of them lives and not a moment longer, whatever becomes of the other; and whose
 * standard input it is, is of the daemon. The file is never deleted. */
#pragma once

#include "cli/cli.h"

#include <limits.h>
#include <sys/types.h>

#define DAEMON_LOCK   "hsup.lock"
#define DAEMON_SOCKET "hsup.sock"

struct daemon {
	pid_t pid;	/* the launcher; 0 = the file does not say */
	uint64_t start; /* as in struct proc */
	char since[40], version[20];
	char apps_dir[PATH_MAX], log[PATH_MAX]; /* "" = not said */
};

/* Takes the lock: 1 with *ret_lock, the caller's; 0 and *d when a daemon holds it; or negative
 * errno. The runtime directory must exist. */
int daemon_lock(
	const struct options *o, int *ret_lock, struct daemon *d, struct err *err) HSUP_MUST_CHECK;

/* Whether one runs: 1 and *d, 0, or negative errno. */
int daemon_find(const struct options *o, struct daemon *d, struct err *err) HSUP_MUST_CHECK;

/* Says in the file that this process is the daemon. */
int daemon_sign(const struct options *o, int lock, struct err *err) HSUP_MUST_CHECK;

/* Asks it for a sign of life: 0 with what it says ("3 apps", "stopping, 2 apps"), or -ETIMEDOUT
 * with why it is taken for dead. Waits at most timeout_ms. */
int daemon_ask(const struct options *o, const struct daemon *d, int timeout_ms, char *ret_text,
	size_t size) HSUP_MUST_CHECK;

/* Kills whoever holds the lock, and takes it: 1, or negative errno. */
int daemon_take_over(const struct options *o, int *ret_lock, struct err *err) HSUP_MUST_CHECK;
