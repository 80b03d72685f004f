/* One stream of the engine's events for all containers of this owner. */
#include "drivers/docker/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define EVENT_BYTES ((size_t)1 << 20)

/* The engine puts a container's labels among the attributes of its events. */
static struct container *whose(struct docker *d, const json_t *actor)
{
	const json_t *attributes = json_object_get(actor, "Attributes");
	const char *id = json_text_of(actor, "ID");
	struct container *c =
		container_find(d, strtoull(json_text_of(attributes, LABEL_DYNO), NULL, 10),
			(uint32_t)strtoul(json_text_of(attributes, LABEL_GENERATION), NULL, 10));

	if (c || !*id)
		return c;
	for (c = d->first; c && strcmp(c->ref, id) != 0;)
		c = c->next;
	return c;
}

static void take_event(struct docker *d, const json_t *event)
{
	const json_t *actor = json_object_get(event, "Actor");
	const char *action = json_text_of(event, "Action");

	/* podman says "died" and "remove", dockerd "die" and "destroy". */
	if (strncmp(action, "exec_die", 8) == 0) {
		execs_look(d, json_text_of(json_object_get(actor, "Attributes"), "execID"));
	} else if (strncmp(action, "die", 3) == 0 || strcmp(action, "destroy") == 0 ||
		   strcmp(action, "remove") == 0) {
		struct container *c = whose(d, actor);

		if (c)
			container_inspect(c);
	}
}

static int on_data(void *userdata, const char *data, size_t len)
{
	struct docker *d = userdata;

	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) + 1 : len;

		if (strbuf_add(&d->event, data, n) < 0)
			return -EBADMSG;
		data += n;
		len -= n;
		if (!end)
			break;
		json_t *event = json_loadb(d->event.data, d->event.len, 0, NULL);
		strbuf_reset(&d->event);
		/* Of what cannot be read the ends of the logs tell, too. */
		if (event)
			take_event(d, event);
		json_decref(event);
	}
	return 0;
}

/* What has happened meanwhile, a list says. */
static void on_done(void *userdata, int r, unsigned status, const struct err *err)
{
	struct docker *d = userdata;

	(void)r;
	(void)status;
	(void)err;
	d->events = NULL;
	docker_later(d);
}

void docker_listen(struct docker *d)
{
	char filters[200];
	struct strbuf HSUP_CLEANUP(strbuf_done) path = {0};
	struct err err;

	if (d->events || !engine_is_up(d->engine))
		return;
	strbuf_done(&d->event);
	d->event = STRBUF(EVENT_BYTES);
	(void)snprintf(filters, sizeof filters,
		"{\"type\":[\"container\"],\"label\":[\"" LABEL_OWNER "=%s\"]}", d->context->owner);
	(void)strbuf_puts(&path, "/events?filters=");
	strbuf_escape(&path, filters);
	const struct engine_stream stream = {
		.method = "GET", .path = path.data, .data = on_data, .done = on_done};
	if (path.error || engine_stream(d->engine, &stream, d, &d->events, &err) < 0) {
		d->events = NULL;
		docker_later(d);
	}
}
