/* What dead supervisors of any app left with the engine of the environment. */
#pragma once

#include "base/err.h"
#include "model/gc.h"

int docker_gc(const struct gc_order *order, struct err *err) HSUP_MUST_CHECK;
