/* Standard inputs that stay open: a FIFO per life in a folder of the supervisor's and its
 * successors', by which it is found again after a restart. Who reads it has it open for writing,
 * too, so that it sees no end of file when a writer goes, and a writer finds a reader as long as it
 * lives. dir may be NULL: there are none, -ENXIO. */
#pragma once

#include "base/mem.h"

#include <stdint.h>

/* For the reader. Makes dir and the FIFO; -EEXIST when it is there. */
int stdin_fifo_make(const char *dir, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
/* The same of one that is there; -ENXIO: there is none. */
int stdin_fifo_find(const char *dir, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
/* For a writer, without waiting; -ENXIO: it has none, or has ended. */
int stdin_fifo_open(const char *dir, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
void stdin_fifo_remove(const char *dir, uint64_t id, uint32_t generation);
