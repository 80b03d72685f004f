/* What this process may still do, less and less. Nothing here can be undone.
 *
 * Order: open what needs the caller's rights; sandbox_become(); then, to fetch, sandbox_fetch() in
 * a child; then sandbox_unpack(), threads, sandbox_seal(), and only now a byte of the archive is
 * parsed. Landlock is used as far as the kernel has it (below ABI 2, not at all: a rename between
 * directories would be impossible); a line for debugging says when it is missing. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

#define SANDBOX_STAY UINT32_MAX

/* A build with the address sanitizer goes without Landlock, seccomp and the memory limit: its
 * runtime reads /proc when a thread starts, and traces us when it looks for leaks at the end. */
#ifdef __SANITIZE_ADDRESS__
#define SANDBOX_OPEN 1
#else
#define SANDBOX_OPEN 0
#endif

/* Becomes uid and gid (SANDBOX_STAY: stays who it is), with no other groups, no capabilities, no
 * way to new privileges, no core dumps, at most 512 descriptors and 1 GiB of own memory. */
int sandbox_become(uint32_t uid, uint32_t gid, struct err *err) HSUP_MUST_CHECK;

/* Stays who it is, with no other groups, no capabilities but these (bits 1 << CAP_...) as far as it
 * has them, and all the rest as above. */
int sandbox_keep(uint64_t capabilities, struct err *err) HSUP_MUST_CHECK;

/* No file larger than this can be written (EFBIG). */
int sandbox_file_size(uint64_t bytes, struct err *err) HSUP_MUST_CHECK;

/* For the fetching child: reads the system's configuration, libraries and certificates (and
 * `certificates`, NULL allowed), writes nothing but descriptors that are open, executes nothing. */
int sandbox_fetch(const char *certificates, struct err *err) HSUP_MUST_CHECK;

/* And then: its system calls, on threads that are still to come, too. No signal to another process,
 * no new process. */
int sandbox_seal_fetch(struct err *err) HSUP_MUST_CHECK;

/* For unpacking: everything below `work`; in `target` directories can be made, moved and removed,
 * which the rename into place needs. Nothing else can be opened. */
int sandbox_unpack(int target, int work, struct err *err) HSUP_MUST_CHECK;

/* For removing: reads and removes below `target`. */
int sandbox_remove(int target, struct err *err) HSUP_MUST_CHECK;

/* For packing: reads below `folder`, and nothing else; no file can be written. */
int sandbox_pack(int folder, struct err *err) HSUP_MUST_CHECK;
int sandbox_seal_pack(struct err *err) HSUP_MUST_CHECK;

/* For a stack: reads below `source` (a folder, or -1), does anything to files and folders below
 * `work` (or -1), nothing elsewhere. */
int sandbox_stack(int source, int work, struct err *err) HSUP_MUST_CHECK;
/* The calls of sandbox_seal(), to set owners, to read links, and to start a thread: a stack has as
 * many archives as it has layers. */
int sandbox_seal_stack(struct err *err) HSUP_MUST_CHECK;

/* The seccomp allow-list, on all threads; everything else gives EPERM. */
int sandbox_seal(struct err *err) HSUP_MUST_CHECK;
