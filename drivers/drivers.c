#include "drivers/driver.h"

static const struct driver *const table[] = {
	&driver_simple,
	&driver_null,
};

const struct driver *driver_at(size_t index)
{
	return index < ARRAY_SIZE(table) ? table[index] : NULL;
}

const struct driver *driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i]->name, name) == 0 ||
			(table[i]->alias && strcmp(table[i]->alias, name) == 0))
			return table[i];
	return NULL;
}
