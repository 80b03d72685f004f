#include "model/exit.h"

#include "base/err.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

static char *stage_failed(
	const struct dyno_exit *e, const char *(*stage_text)(unsigned), char *ret_text, size_t size)
{
	char number[32];
	const char *stage = stage_text ? stage_text((unsigned)e->value) : NULL;

	(void)snprintf(number, sizeof number, "stage %d", e->value);
	(void)snprintf(ret_text, size, "could not start: %s: %s", stage ? stage : number,
		err_name(e->error));
	return ret_text;
}

static char *killed(const struct dyno_exit *e, const char *why, char *ret_text, size_t size)
{
	if (strcmp(signal_name(e->value), "?") == 0)
		(void)snprintf(ret_text, size, "was killed by signal %d%s", e->value, why);
	else
		(void)snprintf(ret_text, size, "was killed by SIG%s%s", signal_name(e->value), why);
	return ret_text;
}

char *dyno_exit_text(
	const struct dyno_exit *e, const char *(*stage_text)(unsigned), char *ret_text, size_t size)
{
	const char *why = e->oom ? ": R15, memory quota vastly exceeded" : "";

	switch (e->kind) {
	case EXIT_CODE:
		(void)snprintf(ret_text, size, "exited with status %d%s", e->value, why);
		return ret_text;
	case EXIT_SIGNAL:
		return killed(e, why, ret_text, size);
	case EXIT_STAGE:
		return stage_failed(e, stage_text, ret_text, size);
	case EXIT_UNKNOWN:
		(void)snprintf(ret_text, size, "ended, nobody knows how");
		return ret_text;
	case EXIT_NONE:
		break;
	}
	(void)snprintf(ret_text, size, "has not ended");
	return ret_text;
}

int dyno_exit_code(const struct dyno_exit *e)
{
	switch (e->kind) {
	case EXIT_CODE:
		return e->value;
	case EXIT_SIGNAL:
		return 128 + e->value;
	case EXIT_STAGE:
		return e->value == EXIT_STAGE_EXEC && e->error == ENOENT ? 127 : 126;
	case EXIT_UNKNOWN:
		return 255;
	case EXIT_NONE:
		break;
	}
	return 0;
}
