#include "box/box_private.h"

void join_run(struct box *b)
{
	(void)b;
	box_fail(WIRE_STAGE_BOX, 38);
}
