/* Saying how we are, to who started us and to who asks. */
#include "supervisor/private.h"

#include "supervisor/notify.h"

#include <stdio.h>

static void say(void *userdata, char *ret_line, size_t size)
{
	const struct supervisor *s = userdata;
	const char *what = s->options->mode == MODE_UP ? "app" : "dyno";
	size_t n = s->engine ? engine_dynos(s->engine) : 0, up = 0;

	for (size_t i = 0; i < n; i++)
		up += dyno_ready(engine_dyno(s->engine, i));
	if (s->stopping)
		(void)snprintf(ret_line, size, "stopping, %zu %s%s", n, what, n == 1 ? "" : "s");
	else if (up == n)
		(void)snprintf(ret_line, size, "%zu %s%s", n, what, n == 1 ? "" : "s");
	else
		(void)snprintf(ret_line, size, "%zu of %zu %ss up", up, n, what);
}

static int on_tell(sd_event_source *source, void *userdata)
{
	struct supervisor *s = userdata;
	char now[sizeof s->told];

	(void)source;
	say(s, now, sizeof now);
	if (strcmp(now, s->told) != 0 && !s->stopping)
		notify_status(now);
	memcpy(s->told, now, sizeof now);
	return 0;
}

int tell_begin(struct supervisor *s)
{
	notify_begin(s->loop);
	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	int r = sd_event_add_defer(s->loop, &s->tell, on_tell, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->tell, SD_EVENT_OFF);
	/* Of many changes at once the last one counts. */
	if (r >= 0)
		r = sd_event_source_set_priority(s->tell, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? r : 0;
}

void tell_ready(struct supervisor *s)
{
	struct err err = {0};

	if (s->options->mode == MODE_UP &&
		answer_open(s->loop, s->options->runtime_dir, say, s, &s->answer, &err) < 0)
		router_note(s->router, NULL, "error: nobody can ask how we are: %s", err.text);
	say(s, s->told, sizeof s->told);
	notify_ready(s->told);
}

void tell_changed(struct supervisor *s)
{
	if (s->tell && s->told[0])
		(void)sd_event_source_set_enabled(s->tell, SD_EVENT_ONESHOT);
}
