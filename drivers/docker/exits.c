#include "drivers/docker/exits.h"

#include "base/clock.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/stream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

/* ---- how it has ended ---- */

void codes_set(uint64_t codes[4], int code)
{
	if (code >= 0 && code < 256)
		codes[code / 64] |= UINT64_C(1) << (code % 64);
}

bool codes_has(const uint64_t codes[4], int code)
{
	return code >= 0 && code < 256 && codes[code / 64] >> (code % 64) & 1;
}

void codes_read(uint64_t codes[4], const char *text)
{
	while (*text >= '0' && *text <= '9') {
		char *end;

		codes_set(codes, (int)strtol(text, &end, 10));
		text = end + (*end == ',');
	}
}

/* Those that end nobody are not what has ended it. */
static bool can_end(int signo)
{
	switch (signo) {
	case SIGCHLD:
	case SIGCONT:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGURG:
	case SIGWINCH:
		return false;
	default:
		return signo >= 1 && signo <= 64;
	}
}

uint64_t time_read(const char *text)
{
	char stamp[64];
	uint64_t wall, now_wall = clock_wall(), now = clock_now();

	int n = snprintf(stamp, sizeof stamp, "%.60s ", text);
	if (n < 1 || stream_stamp(stamp, (size_t)n, &wall) <= 0 || wall == 0)
		return 0;
	if (wall >= now_wall)
		return now;
	return now_wall - wall < now ? now - (now_wall - wall) : 1;
}

struct driver_exit exit_read(const json_t *state, const uint64_t codes[4])
{
	int code = (int)json_number_of(state, "ExitCode", -1);
	struct driver_exit e = {
		.exit = {.kind = EXIT_CODE, .value = code},
		.at = time_read(json_text_of(state, "FinishedAt")),
		.out_of_memory = json_true_of(state, "OOMKilled"),
	};

	if (code < 0 || code > 255)
		e.exit = (struct dyno_exit){.kind = EXIT_UNKNOWN};
	else if (can_end(code - 128) && !codes_has(codes, code))
		e.exit = (struct dyno_exit){.kind = EXIT_SIGNAL, .value = code - 128};
	return e;
}

struct driver_exit exit_refused(const struct err *err)
{
	struct driver_exit e = {.exit = {.kind = EXIT_STAGE,
					.value = WIRE_STAGE_REFUSED,
					.error = err->code < 0 ? -err->code : EIO}};
	bool runtime = strstr(err->text, "OCI") || strstr(err->text, "exec");

	if (runtime && (strcasestr(err->text, "no such file or directory") ||
			       strcasestr(err->text, "executable file not found")))
		e.exit.error = ENOENT;
	else if (runtime && strcasestr(err->text, "permission denied"))
		e.exit.error = EACCES;
	else
		return e;
	e.exit.value = WIRE_STAGE_EXEC;
	return e;
}

/* ---- what is found ---- */

enum container_state container_state(const char *text)
{
	if (strcmp(text, "created") == 0 || strcmp(text, "configured") == 0 ||
		strcmp(text, "initialized") == 0)
		return CONTAINER_CREATED;
	if (strcmp(text, "exited") == 0 || strcmp(text, "dead") == 0 ||
		strcmp(text, "stopped") == 0)
		return CONTAINER_ENDED;
	if (strcmp(text, "removing") == 0)
		return CONTAINER_GOING;
	return CONTAINER_RUNS; /* running, paused, restarting, stopping */
}

enum verdict found_judge(const struct found *f, bool lasts)
{
	bool alive = f->container && f->state == CONTAINER_RUNS;
	bool ended = f->container && f->state == CONTAINER_ENDED;

	if (f->entry)
		return alive || ended ? VERDICT_ADOPT : VERDICT_REMOVE;
	if (f->run)
		return f->orphan ? VERDICT_REMOVE : VERDICT_LEAVE;
	if (!lasts)
		return VERDICT_LEAVE;
	/* Its launcher was killed; or it is what an end that came to nothing has left. */
	return alive || (ended && f->place) ? VERDICT_ADOPT : VERDICT_REMOVE;
}
