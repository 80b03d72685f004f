/* What a hostile program inside a dyno would try, one thing at a time.
 *
 * probe [NAME...] prints a line for each: NAME OPEN|closed|n/a DETAIL. Each is tried in a process
 * of its own, which may be killed, hang or lose its rights: that is an answer, too. Whatever is
 * tried is harmless where it succeeds: on the machine itself, as root, all of it is.
 *
 * Facts of the machine come by environment: PROBE_NS_MNT=4026531840, PROBE_PID=1234,
 * PROBE_PORT=...; a probe whose fact is not there is n/a. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct probe {
	const char *name;
	void (*run)(const void *what);
	const void *what; /* of many that are tried in the same way */
};

extern const struct probe probes_identity[], probes_spaces[], probes_births[], probes_files[],
	probes_mounts[], probes_proc[], probes_calls[], probes_sockets[];

/* The verdict; the last one counts. */
void open_because(const char *format, ...) __attribute__((format(printf, 1, 2)));
void closed_because(const char *format, ...) __attribute__((format(printf, 1, 2)));
void na_because(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of a system call: closed if it failed as one does that is refused, or is not there. Any other
 * error says that it looked at its arguments: OPEN. */
void verdict_of(long result);
/* Of something that is there or not. */
void verdict_if(bool open, const char *detail);

/* Of the folder `what`: something is in it. */
void probe_folder(const void *what);

/* NULL, and n/a, if the fact is not there. */
const char *fact(const char *name);
/* Of a file, as much as fits; -1 with errno. */
ssize_t slurp(const char *path, char *ret, size_t size);
