/* What a dyno finds in its environment (DESIGN 4). */
#pragma once

#include "drivers/driver.h"

/* Where the variables go. config: it is one of the operator's. */
struct environment_sink {
	void (*add)(void *userdata, const char *name, const char *value, bool config);
	void *userdata;
};

/* What the driver says of the place where a dyno is. NULL = that variable is not given. */
struct environment_place {
	unsigned port; /* 0: the operator's own PORT stands */
	const char *path, *home, *directory, *user, *prompt;
};

/* A variable as the operator set it, for this type or the release; NULL = not set. */
const char *environment_var(const struct driver_start *start, const char *name);

/* Adds the variables that a dyno and the commands beside it have in common, each name once. */
void environment_compose(const struct environment_sink *sink, const struct driver_start *start,
	const struct environment_place *place);

/* And those of this one life of the dyno. */
int environment_of_life(const struct environment_sink *sink, const struct driver_start *start,
	struct err *err) HSUP_MUST_CHECK;
