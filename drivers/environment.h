/* What a dyno finds in its environment (DESIGN 4). */
#pragma once

#include "drivers/account.h"
#include "drivers/driver.h"
#include "wire/spec.h"

/* A variable as the operator set it, for this type or the release; NULL = not set. */
const char *environment_var(const struct driver_start *start, const char *name);

/* Adds the variables that a dyno and the commands beside it have in common. port 0: the operator's
 * own PORT stands. directory and account may be NULL. */
void environment_compose(struct spec_builder *spec, const struct driver_start *start, unsigned port,
	const char *directory, const struct account *account);

/* And those of this one life of the dyno. */
int environment_of_life(struct spec_builder *spec, const struct driver_start *start,
	struct err *err) HSUP_MUST_CHECK;
