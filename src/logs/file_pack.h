/* One file, packed beside itself. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* FILE to FILE.zst, with the same owner and mode; FILE is then removed. Until it is whole it is
 * FILE.zst.tmp. -ECANCELED once *stop is set, or negative errno: FILE is then still there. */
int file_pack(int dir, const char *name, const atomic_bool *stop);
