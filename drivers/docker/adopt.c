/* What is there already: the launcher's entries joined with the engine's containers. */
#include "drivers/docker/private.h"

#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define LOOKS 25 /* at one of which the engine cannot say anything just now */

static void tell_done(struct docker *d)
{
	d->adopting = ADOPT_DONE;
	d->context->events->adopt_done(d->context->userdata, 0);
	if (engine_is_up(d->engine) && d->context->lasts)
		images_sweep(d->images);
	docker_work(d);
}

static void maybe_done(struct docker *d)
{
	if (d->adopting == ADOPT_LOOKING && d->looking == 0)
		tell_done(d);
}

/* ---- the launcher's entries ---- */

static int copy_tag(struct container *c, const void *tag, size_t len)
{
	c->tag = malloc(len + 1);
	if (!c->tag)
		return -ENOMEM;
	memcpy(c->tag, tag, len);
	c->tag_len = len;
	return 0;
}

static void on_entry(void *userdata, struct launch_entry *entry)
{
	struct docker *d = userdata;
	char name[LIMIT_NAME + 1];

	(void)snprintf(name, sizeof name, "%.*s", (int)entry->name_len, entry->name);
	struct container *c =
		d->adopting == ADOPT_ENTRIES && entry->state == WIRE_ENTRY_KEPT
			? container_new(d, name, entry->child.id, entry->child.generation)
			: NULL;
	if (!c || copy_tag(c, entry->tag, entry->tag_len) < 0) {
		container_free(c);
		(void)fd_close(entry->out);
		(void)fd_close(entry->err);
		return;
	}
	c->phase = PHASE_FOUND;
	c->kept = true;
	c->out = entry->out;
	c->err = entry->err;
}

static void on_list_end(void *userdata)
{
	struct docker *d = userdata;

	if (d->adopting != ADOPT_ENTRIES)
		return;
	d->adopting = ADOPT_ENGINE;
	/* A `run` has nothing with the engine that the launcher does not know of. */
	if (d->n == 0 && !d->context->lasts)
		tell_done(d);
	else
		docker_list(d);
}

const struct launch_child_events adopt_child_events = {
	.entry = on_entry,
	.list_end = on_list_end,
};

int docker_adopt(void *state)
{
	struct docker *d = state;

	d->adopting = ADOPT_ENTRIES;
	return launch_list(d->context->launch);
}

/* ---- one of them ---- */

static void follow_again(struct container *c, bool ended)
{
	struct docker *d = c->owner;
	struct err err;
	int r;

	if (c->attached) {
		if (!ended) {
			container_note(
				c, "its terminal was lost with the supervisor: it is killed");
			(void)docker_signal(d, c->id, c->generation, SIGKILL);
		}
		return;
	}
	c->recovers = true;
	c->place = places_take(d->places, c->id, c->generation);
	r = c->place ? container_follow(c, &err)
		     : err_set(&err, -ENOBUFS, "no room to write down how far it has come");
	if (r == 0 && !ended)
		r = follow_go(c->follow, &err);
	if (r < 0)
		container_note(c, "its output cannot be followed: %s", err.text);
	if (!c->stdin_open || ended)
		return;
	if (feed_new(d->engine, d->context->loop, d->context->stdin_dir, c->id, c->generation,
		    c->ref, &c->feed, &err) < 0)
		container_note(c, "its standard input is lost: %s", err.text);
	else
		feed_go(c->feed);
}

static void tell_adopted(struct container *c, const json_t *answer, bool ended)
{
	struct docker *d = c->owner;
	const json_t *state = json_object_get(answer, "State");
	int out = TAKE_FD(c->out), error = TAKE_FD(c->err);
	struct driver_entry entry = {
		.id = c->id,
		.generation = c->generation,
		.tag = c->tag,
		.tag_len = c->tag_len,
		.pid = engine_is_local(d->engine) ? (int)json_number_of(state, "Pid", 0) : 0,
		.ended = ended,
		.started = time_read(json_text_of(state, "StartedAt")),
		.out = out,
		.err = error,
	};

	if (c->attached) {
		entry.out = fd_close(entry.out);
		entry.err = fd_close(entry.err);
	}
	c->phase = PHASE_RUNNING;
	d->context->events->adopted(d->context->userdata, &entry);
}

static void take_over(struct container *c, const json_t *answer)
{
	const json_t *config = json_object_get(answer, "Config");
	const json_t *shell = json_array_get(json_object_get(config, "Cmd"), 0);
	bool ended = container_state(json_text_of(json_object_get(answer, "State"), "Status")) !=
		     CONTAINER_RUNS;

	(void)snprintf(c->shell, sizeof c->shell, "%s",
		json_is_string(shell) ? json_string_value(shell) : "/bin/sh");
	int r = c->attached ? 0 : container_reopen(c);
	if (r < 0)
		container_note(c, "its pipes cannot be opened: %s", err_name(r));
	tell_adopted(c, answer, ended);
	follow_again(c, ended);
	/* Of an earlier supervisor's checks: nobody waits for them. */
	if (!ended && json_array_size(json_object_get(answer, "ExecIDs")) > 0)
		execs_kill_strays(c);
	container_look(c, 0, answer);
}

void adopt_looked(struct container *c, int r, const json_t *answer)
{
	struct docker *d = c->owner;

	if (r == -ENOENT) {
		container_discard(c);
	} else if (r == 0) {
		c->tries = 0;
		take_over(c, answer);
	} else if (!engine_is_up(d->engine)) {
		/* All of it once more when it is back. */
		d->looking--;
		d->adopting = ADOPT_ENGINE;
		return;
	} else if (++c->tries < LOOKS) {
		c->again = true;
		docker_later(d);
		return;
	} else {
		c->tries = 0;
		container_note(
			c, "the container %.60s cannot be looked at: it is removed", c->called);
		container_discard(c);
	}
	d->looking--;
	maybe_done(d);
}

/* ---- the engine's containers ---- */

static size_t read_hex(const char *hex, unsigned char *ret, size_t size)
{
	size_t n = 0;
	unsigned byte;

	while (n < size && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		ret[n++] = (unsigned char)byte;
	return n;
}

uint64_t label_number(const json_t *labels, const char *name)
{
	return strtoull(json_text_of(labels, name), NULL, 10);
}

/* Its launcher was killed, and its pipes are gone with that. */
static int make_entry(struct container *c, const json_t *labels)
{
	unsigned char tag[LIMIT_TAG];
	size_t len = read_hex(json_text_of(labels, LABEL_TAG), tag, sizeof tag);

	int r = copy_tag(c, tag, len);
	if (r == 0)
		r = container_pipes(c, c->merged);
	if (r == 0)
		r = launch_keep(c->owner->context->launch,
			(struct launch_child){c->id, c->generation}, c->name, c->tag, c->tag_len,
			c->out, c->err);
	c->kept = r == 0;
	return r;
}

static struct container *container_of_labels(struct docker *d, const json_t *labels)
{
	char name[LIMIT_NAME + 1];

	(void)snprintf(name, sizeof name, "%.60s.%.18s", json_text_of(labels, LABEL_TYPE),
		json_text_of(labels, LABEL_INSTANCE));
	struct container *c = container_new(d, name, label_number(labels, LABEL_DYNO),
		(uint32_t)label_number(labels, LABEL_GENERATION));
	if (c)
		c->phase = PHASE_FOUND;
	return c;
}

static void read_labels(struct container *c, const json_t *member, const json_t *labels)
{
	struct docker *d = c->owner;
	const char *name = json_string_value(json_array_get(json_object_get(member, "Names"), 0));

	(void)snprintf(c->ref, sizeof c->ref, "%s", json_text_of(member, "Id"));
	(void)snprintf(c->called, sizeof c->called, "%s", name ? name + (*name == '/') : c->ref);
	c->made = true;
	c->attached = strcmp(json_text_of(labels, LABEL_KIND), KIND_RUN) == 0;
	c->stdin_open = strcmp(json_text_of(labels, LABEL_STDIN), "1") == 0;
	c->merged = strcmp(json_text_of(labels, LABEL_MERGED), "1") == 0;
	c->port = (unsigned)label_number(labels, LABEL_PORT);
	codes_read(c->codes, json_text_of(labels, LABEL_EXIT_CODES));
	bool host = d->settings.network == DOCKER_NETWORK_HOST;
	bool ended = container_state(json_text_of(member, "State")) != CONTAINER_RUNS;
	int r = port_life_adopt(&d->lives, c->id, c->generation, host ? c->port : 0, ended);
	(void)r;
}

static void find_one(struct docker *d, const json_t *member)
{
	const json_t *labels = json_object_get(member, "Labels");
	struct container *c = container_find(d, label_number(labels, LABEL_DYNO),
		(uint32_t)label_number(labels, LABEL_GENERATION));
	const struct found f = {
		.entry = c != NULL,
		.container = true,
		.run = strcmp(json_text_of(labels, LABEL_KIND), KIND_RUN) == 0,
		.orphan = engine_is_local(d->engine) &&
			  !keeper_alive(json_text_of(labels, KEEPER_LABEL)),
		.place = places_find(d->places, label_number(labels, LABEL_DYNO),
				 (uint32_t)label_number(labels, LABEL_GENERATION)) != NULL,
		.state = container_state(json_text_of(member, "State")),
	};
	enum verdict verdict = found_judge(&f, d->context->lasts);

	/* Looked at already, in a list that was broken off. */
	if (verdict == VERDICT_LEAVE || (c && c->phase != PHASE_FOUND))
		return;
	if (!c)
		c = container_of_labels(d, labels);
	if (!c)
		return;
	c->seen = true;
	read_labels(c, member, labels);
	if (verdict == VERDICT_ADOPT && !c->kept && make_entry(c, labels) < 0)
		container_note(c, "what it writes is lost: the launcher cannot keep its pipes");
	if (verdict == VERDICT_REMOVE) {
		container_discard(c);
		return;
	}
	d->looking++;
	container_inspect(c);
}

void adopt_list(struct docker *d, const json_t *list)
{
	const json_t *member;
	size_t i;

	d->adopting = ADOPT_LOOKING;
	d->looking++; /* so that none of them is the last */
	json_array_foreach(list, i, member)
	{
		find_one(d, member);
	}
	/* What the launcher knows and the engine does not was never made. */
	for (struct container *c = d->first; c; c = c->next)
		if (c->phase == PHASE_FOUND && !c->seen)
			container_discard(c);
	d->looking--;
	maybe_done(d);
}
