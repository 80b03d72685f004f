/* Scope guards and ownership transfer.
 *
 * A variable marked with one of these is released when its scope ends; TAKE_PTR() and TAKE_FD()
 * move the value out, so that the guard finds nothing. Destructors accept NULL and half-built
 * objects. */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HSUP_CLEANUP(fn)     __attribute__((cleanup(fn)))
#define HSUP_MUST_CHECK	     __attribute__((warn_unused_result))
#define HSUP_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define HSUP_NORETURN	     __attribute__((noreturn))
#define HSUP_UNUSED	     __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void mem_freep(void *p)
{
	void *held;

	memcpy(&held, p, sizeof held);
	free(held);
}

#define _cleanup_free_ HSUP_CLEANUP(mem_freep)

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})

/* Grows *array (elements of `size` bytes, *cap allocated) to hold at least `need` elements, at
 * most `limit`. New elements are zeroed. Returns 0, -ENOMEM, or -E2BIG above the limit; on
 * failure the array is as it was. */
int mem_grow(void *array, size_t *cap, size_t need, size_t limit, size_t size) HSUP_MUST_CHECK;
