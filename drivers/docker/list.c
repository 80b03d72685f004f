/* The engine is asked what is there: to adopt it, or because it, or its events, were away. */
#include "drivers/docker/private.h"

#include <stdio.h>

static void compare_one(struct docker *d, const json_t *member)
{
	const json_t *labels = json_object_get(member, "Labels");
	struct container *c = container_find(d, label_number(labels, LABEL_DYNO),
		(uint32_t)label_number(labels, LABEL_GENERATION));
	struct err err;

	if (!c || c->phase != PHASE_RUNNING)
		return;
	c->seen = true;
	if (container_state(json_text_of(member, "State")) != CONTAINER_RUNS) {
		container_inspect(c);
		return;
	}
	if (c->broke && c->follow) {
		c->broke = follow_go(c->follow, &err) < 0;
		c->again = c->broke;
	}
	if (!c->known)
		container_inspect(c);
	signals_send(c);
}

static void compare_list(struct docker *d, const json_t *list)
{
	const json_t *member;
	size_t i;

	json_array_foreach(list, i, member)
	{
		compare_one(d, member);
	}
	for (struct container *c = d->first; c; c = c->next)
		if (c->phase == PHASE_RUNNING && !c->seen)
			container_inspect(c);
	execs_look(d, NULL);
	docker_work(d);
}

static void on_list(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct docker *d = userdata;
	bool again = d->list_again;

	(void)status;
	(void)err;
	d->list = NULL;
	d->list_again = false;
	/* What says nothing of ours must not be taken for their end. */
	if (r < 0 || again || !json_is_list(answer)) {
		/* Of an engine that is gone we hear when it is back. */
		if (engine_is_up(d->engine))
			docker_later(d);
		d->wants_list = true;
		return;
	}
	if (d->adopting == ADOPT_DONE)
		compare_list(d, answer);
	else if (d->adopting == ADOPT_ENGINE)
		adopt_list(d, answer);
}

void docker_list(struct docker *d)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) path = {0};
	char filters[200];
	struct err err;

	if (!engine_is_up(d->engine) || (d->adopting != ADOPT_ENGINE && d->adopting != ADOPT_DONE))
		return;
	d->wants_list = false;
	/* Events first: what happens after the list is told by them. */
	docker_listen(d);
	d->list_again = d->list != NULL;
	if (d->list)
		return;
	for (struct container *c = d->first; c; c = c->next)
		c->seen = c->phase != PHASE_RUNNING && c->phase != PHASE_FOUND;
	(void)snprintf(
		filters, sizeof filters, "{\"label\":[\"" LABEL_OWNER "=%s\"]}", d->context->owner);
	(void)strbuf_puts(&path, "/containers/json?all=1&filters=");
	strbuf_escape(&path, filters);
	const struct engine_request request = {.method = "GET", .path = path.data};
	if (path.error || engine_ask(d->engine, &request, on_list, d, &d->list, &err) < 0) {
		d->wants_list = true;
		docker_later(d);
	}
}
