#include "box/box_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct birth_failure *slot;

void box_report_to(struct birth_failure *where)
{
	slot = where;
}

void box_fail(enum wire_stage stage, int error)
{
	if (slot) {
		slot->error = error;
		slot->stage = stage;
	}
	_exit(BOX_TOLD);
}

int box_must(int r, enum wire_stage stage)
{
	if (r < 0)
		box_fail(stage, -r);
	return r;
}

void box_must_call(long r, enum wire_stage stage)
{
	if (r < 0)
		box_fail(stage, errno);
}

void box_report_end(int status)
{
	if (slot && slot->stage == 0) {
		slot->error = status;
		slot->stage = BOX_ENDED;
	}
}

#ifdef HSUP_DEVELOPER

void box_step(const struct box *b)
{
	static unsigned taken;

	/* Nobody may clean up: as the machine's memory killer would have it. */
	if (++taken == b->settings->die_after)
		(void)kill(getpid(), SIGKILL), _exit(127);
}

bool box_skips(const struct box *b, const char *step)
{
	return strcmp(b->settings->skip, step) == 0;
}

#else

void box_step(const struct box *b)
{
	(void)b;
}

bool box_skips(const struct box *b, const char *step)
{
	(void)b;
	(void)step;
	return false;
}

#endif
