/* Into the background, and back when the daemon is ready. */
#pragma once

#include "cli/cli.h"

/* Forks the daemon. True in it: its own session, in /, umask 022; NOTIFY_SOCKET leads to the
 * process that called, which waits for READY=1. False there, with the exit code: ready, or a line
 * on standard error says why not. log: where the daemon will write. */
bool daemonise(const struct options *o, int log, int *ret_code);
