/* A driver that runs nothing: a dyno is "started" at once and ends when it is signalled. For tests
 * and dry runs of what hsup would do. */
#include "drivers/driver.h"

#include "base/limits.h"

#include <errno.h>
#include <signal.h>

struct null_dyno {
	uint64_t id;
	uint32_t generation;
	enum null_news { NEWS_NONE, NEWS_STARTED, NEWS_EXITED } news;
	int signo;
};

struct null {
	struct driver_context *context;
	sd_event_source *telling; /* enabled while there is news */
	struct null_dyno *dynos;
	size_t n, cap;
};

static struct null_dyno *find(struct null *null, uint64_t id, uint32_t generation)
{
	for (size_t i = 0; i < null->n; i++)
		if (null->dynos[i].id == id && null->dynos[i].generation == generation)
			return &null->dynos[i];
	return NULL;
}

static int tell(sd_event_source *source, void *userdata)
{
	struct null *null = userdata;
	const struct driver_events *events = null->context->events;

	(void)source;
	/* A callback may start or signal dynos: the array can move and grow under us. */
	for (size_t i = 0; i < null->n;) {
		struct null_dyno d = null->dynos[i];

		null->dynos[i].news = NEWS_NONE;
		if (d.news == NEWS_EXITED) {
			struct driver_exit exit = {.exit = {.kind = EXIT_SIGNAL, .value = d.signo}};

			null->dynos[i] = null->dynos[--null->n];
			events->exited(null->context->userdata, d.id, d.generation, &exit);
			continue;
		}
		if (d.news == NEWS_STARTED)
			events->started(null->context->userdata, d.id, d.generation, 0, -1, -1);
		i++;
	}
	return 0;
}

static int null_open(struct driver_context *context, void **ret_state, struct err *err)
{
	_cleanup_free_ struct null *null = calloc(1, sizeof *null);

	if (!null)
		return err_errno(err, -ENOMEM, "null driver");
	null->context = context;
	int r = sd_event_add_defer(context->loop, &null->telling, tell, null);
	if (r >= 0)
		r = sd_event_source_set_enabled(null->telling, SD_EVENT_OFF);
	if (r < 0) {
		sd_event_source_disable_unref(null->telling);
		return err_errno(err, r, "null driver");
	}
	*ret_state = TAKE_PTR(null);
	return 0;
}

static int null_start(void *state, const struct driver_start *start, struct err *err)
{
	struct null *null = state;

	int r = mem_grow(&null->dynos, &null->cap, null->n + 1, LIMIT_DYNOS, sizeof *null->dynos);
	if (r < 0)
		return err_errno(err, r, "null driver: %s", start->name);
	null->dynos[null->n++] = (struct null_dyno){
		.id = start->id, .generation = start->generation, .news = NEWS_STARTED};
	return sd_event_source_set_enabled(null->telling, SD_EVENT_ONESHOT);
}

static int null_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct null *null = state;
	struct null_dyno *d = find(null, id, generation);

	if (!d)
		return 0;
	d->news = NEWS_EXITED;
	d->signo = signo;
	return sd_event_source_set_enabled(null->telling, SD_EVENT_ONESHOT);
}

static void null_close(void *state)
{
	struct null *null = state;

	sd_event_source_disable_unref(null->telling);
	free(null->dynos);
	free(null);
}

const struct driver driver_null = {
	.name = "null",
	.summary = "runs nothing: shows what hsup would do",
	.caps = DRIVER_DRY,
	.open = null_open,
	.start = null_start,
	.signal = null_signal,
	.close = null_close,
};
