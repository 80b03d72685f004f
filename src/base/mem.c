#include "base/mem.h"

#include <errno.h>
#include <stdint.h>

int mem_grow(void *array, size_t *cap, size_t need, size_t limit, size_t size)
{
	void *old;

	if (need <= *cap)
		return 0;
	if (need > limit)
		return -E2BIG;

	size_t want = *cap ? *cap : 8;
	while (want < need)
		want *= 2;
	if (want > limit)
		want = limit;

	memcpy(&old, array, sizeof old);
	char *grown = reallocarray(old, want, size);
	if (!grown)
		return -ENOMEM;
	memset(grown + *cap * size, 0, (want - *cap) * size);
	memcpy(array, &grown, sizeof grown);
	*cap = want;
	return 0;
}
