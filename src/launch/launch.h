/* What launch.c (the front) and client.c (the real one) share. */
#pragma once

#include "launch/client.h"

struct launch {
	const struct launch_ops *ops;
	void *state;
};
