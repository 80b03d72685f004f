/* Points in time, as the API has them and as the operator writes them. */
#pragma once

#include "base/mem.h"

#include <stdint.h>

/* "2026-11-21T08:00:00.123456+00:00" (or with Z, or another offset), wall clock. -EINVAL. */
int stamp_parse(const char *text, uint64_t *ret_wall_ns) HSUP_MUST_CHECK;

/* The same, or how long ago: "90", "90s", "10m", "2h", "3d". */
int stamp_parse_since(const char *text, uint64_t now, uint64_t *ret_wall_ns) HSUP_MUST_CHECK;
