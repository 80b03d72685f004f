#include "drivers/docker/engine_private.h"

#include <errno.h>
#include <stdio.h>

int engine_pipe(struct engine *e, const char *path, const struct web_pipe_events *events,
	void *userdata, struct web_pipe **ret_pipe, struct err *err)
{
	_cleanup_free_ char *whole = NULL;

	if (e->state == ENGINE_ASKED)
		return err_set(err, -EAGAIN, "%s has not answered yet", e->name);
	if (e->state == ENGINE_GONE) {
		*err = e->why;
		return e->why.code;
	}
	if (asprintf(&whole, "/v%u.%u%s", e->api / 100, e->api % 100, path) < 0)
		return err_errno(err, -ENOMEM, "%s", e->name);
	return web_pipe_open(e->web, "POST", whole, ENGINE_USUAL, events, userdata, ret_pipe, err);
}

int engine_pipe_result(const struct engine *e, const struct web_result *result, struct err *err)
{
	if (result->error)
		return err_set(err, engine_code(result->error), "%s: %s", e->name, result->text);
	if (result->status == 101 || result->status == 200)
		return 0;
	return engine_refused(e, result->status, result->text, strlen(result->text), err);
}
