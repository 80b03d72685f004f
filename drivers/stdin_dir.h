/* Standard inputs that stay open (stdin_fifo.h), of the lives of one driver. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct stdin_dir {
	const char *path; /* of the context's stdin_dir; NULL = no dyno has one */
	bool used;	  /* it is there */
};

void stdin_dir_begin(struct stdin_dir *d, const char *path);
void stdin_dir_end(struct stdin_dir *d);
/* Makes the standard input of this life, and opens it for its process: the caller's. */
int stdin_dir_make(struct stdin_dir *d, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
/* The life has ended: nobody reads it any more. */
void stdin_dir_remove(struct stdin_dir *d, uint64_t id, uint32_t generation);
/* As open_stdin of drivers/driver.h. */
int stdin_dir_open(const struct stdin_dir *d, uint64_t id, uint32_t generation) HSUP_MUST_CHECK;
