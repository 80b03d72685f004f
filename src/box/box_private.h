/* Where box_fail() tells; set once, by main.c. */
#pragma once

#include "box/box.h"

void box_report_to(struct birth_failure *where);
/* The dyno's own process has ended with this status. */
void box_report_end(int status);
