/* What `hsup stack` has done by hsup-slug. */
#pragma once

#include "model/stack.h"

extern const struct stack_helper stack_helper;
/* Where hsup-slug is; not copied. */
void stack_order_set(int (*find)(char *ret_path));
