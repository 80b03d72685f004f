/* A library that not every run needs: opened when it is, and kept to the end. */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct library_symbol {
	const char *name;
	void *slot; /* of a pointer to it */
};

/* Fills all slots, or none that may be used: -EOPNOTSUPP and err. */
int library_open(const char *file, const struct library_symbol *symbols, size_t n,
	struct err *err) HSUP_MUST_CHECK;
