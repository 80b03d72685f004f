#include "drivers/driver.h"

#include <errno.h>
#include <stdio.h>

static const struct driver *const table[] = {
	&driver_simple,
	&driver_docker,
	&driver_native,
	&driver_abspath,
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

int driver_refuses(const struct driver *driver, const struct release *release, struct err *err)
{
	for (size_t i = 0; i < release->n_binds; i++)
		if (release->binds[i].read_only && !(driver->caps & (DRIVER_OWN_ROOT | DRIVER_DRY)))
			return err_set(err, -EOPNOTSUPP,
				"Binds: %s read-only: dynos of the driver %s see the machine as it "
				"is",
				release->binds[i].host, driver->name);
	return 0;
}

bool driver_lacks(
	const struct driver *driver, const struct release *release, char *ret_text, size_t size)
{
	for (size_t i = 0; i < release->n_processes; i++) {
		const struct process *p = &release->processes[i];

		if (p->cpu > 0 && !(driver->caps & (DRIVER_LIMITS_CPU | DRIVER_DRY))) {
			(void)snprintf(ret_text, size,
				"Limits.CPU of %s has no effect: the driver %s cannot limit that",
				p->type, driver->name);
			return true;
		}
		if (p->disk && !(driver->caps & (DRIVER_LIMITS_DISK | DRIVER_DRY))) {
			(void)snprintf(ret_text, size,
				"Limits.Disk of %s has no effect: the driver %s cannot limit that",
				p->type, driver->name);
			return true;
		}
	}
	return false;
}
