/* What the launcher's forked child and hsup-box have in common: a spec is read, and becomes a
 * program. Async-signal-safe calls only, nothing is allocated. */
#pragma once

#include "wire/spec.h"

/* Maps a spec's memfd and parses it into *ret_spec, whose pointers point into the mapping:
 * *ret_text, *ret_size bytes, which stay until the program is executed or somebody unmaps them.
 * 0 or negative errno: -EPERM when it is not sealed. */
int program_read(int fd, struct spec *ret_spec, void **ret_text, size_t *ret_size) HSUP_MUST_CHECK;

/* Executes it; a bare name is searched in the PATH of its environment. Returns a positive errno. */
int program_execute(const struct spec *spec);
