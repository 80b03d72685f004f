/* Packs and removes rotated log files, in a thread of the lowest priority.
 *
 * A thread and not a program: zstd is not installed everywhere, and a child of ours would outlive a
 * kill of us with nobody who knows it. It holds up nothing: it shares a queue with the loop, no
 * more, and whatever is half done at a kill is found by the next start. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct file_keeper;

/* NULL = out of memory. */
struct file_keeper *file_keeper_new(void);

/* Stops at once; what is half done is left for the next start. NULL allowed. */
struct file_keeper *file_keeper_free(struct file_keeper *k);

/* All rotated files of path: removes what is half packed, packs (when told to) what is not, removes
 * all but the newest `keep`. */
void file_keeper_order(struct file_keeper *k, const char *path, unsigned keep, bool compress);

/* A text about something that went wrong since the last call, for the caller to free; NULL = none.
 */
char *file_keeper_trouble(struct file_keeper *k);

/* "20261121T080000.123456Z": of a file's name behind its path and a dot. */
#define FILE_STAMP_LEN 23
void file_stamp(unsigned long long micros, char ret_stamp[FILE_STAMP_LEN + 1]);
bool file_is_stamp(const char *text); /* FILE_STAMP_LEN bytes of it */
