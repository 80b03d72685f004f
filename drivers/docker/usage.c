/* Memory, processor time and processes, as the engine reads them from the container's cgroup. */
#include "drivers/docker/private.h"

#include <stdio.h>

/* What could be given back at once does not count, as `docker stats` has it. */
static uint64_t memory_of(const json_t *answer)
{
	const json_t *memory = json_object_get(answer, "memory_stats");
	const json_t *parts = json_object_get(memory, "stats");
	int64_t usage = json_number_of(memory, "usage", -1);
	int64_t idle = json_number_of(
		parts, "total_inactive_file", json_number_of(parts, "inactive_file", 0));

	if (usage < 0)
		return UINT64_MAX;
	return (uint64_t)(idle < usage ? usage - idle : 0);
}

static void on_stats(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;
	struct docker *d = c->owner;
	const json_t *cpu = json_object_get(json_object_get(answer, "cpu_stats"), "cpu_usage");

	(void)status;
	(void)err;
	c->stats = NULL;
	d->measuring--;
	docker_work(d);
	if (r < 0 || c->phase != PHASE_RUNNING || !d->context->events->used)
		return;
	struct dyno_usage usage = DYNO_USAGE_UNKNOWN;
	int64_t time = json_number_of(cpu, "total_usage", -1);
	int64_t tasks = json_number_of(json_object_get(answer, "pids_stats"), "current", -1);
	usage.memory = memory_of(answer);
	usage.cpu = time < 0 ? USAGE_UNKNOWN : (uint64_t)time;
	usage.processes = tasks < 0 ? USAGE_UNKNOWN : (uint64_t)tasks;
	d->context->events->used(d->context->userdata, c->id, c->generation, &usage);
}

static void measure(struct container *c)
{
	struct docker *d = c->owner;
	char path[512];
	struct err err;

	c->wants_usage = false;
	container_path(c, "/stats?stream=false&one-shot=true", path);
	const struct engine_request request = {.method = "GET", .path = path};
	/* Else it is asked for again soon enough. */
	if (engine_ask(d->engine, &request, on_stats, c, &c->stats, &err) == 0)
		d->measuring++;
}

void docker_measure(struct docker *d)
{
	if (!engine_is_up(d->engine))
		return;
	for (struct container *c = d->first; c && d->measuring < d->settings.parallel; c = c->next)
		if (c->wants_usage && !c->stats && c->phase == PHASE_RUNNING)
			measure(c);
}

void docker_usage(void *state, uint64_t id, uint32_t generation)
{
	struct container *c = container_find(state, id, generation);

	if (!c || c->phase != PHASE_RUNNING)
		return;
	c->wants_usage = true;
	docker_work(state);
}
