/* `hsup gc -d docker`: goes over all that bears our labels, whosoever's it is. */
#include "drivers/docker/gc.h"

#include "base/clock.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/image.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"
#include "drivers/docker/settings.h"

#include <errno.h>
#include <stdio.h>
#include <sys/queue.h>

#define PATIENCE	(30 * NSEC_PER_SEC)  /* until the engine has answered at all */
#define REMOVE_PATIENCE (120 * NSEC_PER_SEC) /* a large one takes its time */
#define REMOVED_AT_ONCE 8

struct gc {
	const struct gc_order *order;
	sd_event *loop;
	struct engine *engine;
	bool up;
	unsigned step; /* of lists */
	TAILQ_HEAD(, removal) to_go;
	unsigned asked;	 /* of them: their answers are to come */
	unsigned failed; /* things that could not be removed */
	unsigned gone;
	struct err err; /* why it was given up */
};

/* One thing that is to be removed. */
struct removal {
	TAILQ_ENTRY(removal) link;
	struct gc *gc;
	bool asked;
	char name[200], path[200];
};

static void next_step(struct gc *g);
static void remove_some(struct gc *g);

static void end(struct gc *g, int r)
{
	if (r < 0)
		g->err.code = r;
	(void)sd_event_exit(g->loop, 0);
}

static void say(const struct gc *g, const char *what, const char *name, const char *why)
{
	char line[500];

	(void)snprintf(line, sizeof line, "%s %.200s%s%.250s", what, name, *why ? ": " : "", why);
	g->order->say(line);
}

/* ---- removing ---- */

static void removal_free(struct removal *x)
{
	struct gc *g = x->gc;

	g->asked -= x->asked;
	TAILQ_REMOVE(&g->to_go, x, link);
	free(x);
}

static void cannot_remove(struct gc *g, const char *name, const char *why)
{
	say(g, "cannot remove", name, why);
	g->failed++;
}

static void on_removed(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct removal *x = userdata;
	struct gc *g = x->gc;

	(void)status;
	(void)answer;
	if (r < 0 && r != -ENOENT) {
		cannot_remove(g, x->name, err->text);
	} else {
		say(g, "removed", x->name, "");
		g->gone++;
	}
	removal_free(x);
	remove_some(g);
}

static void ask_removal(struct removal *x)
{
	const struct engine_request request = {
		.method = "DELETE", .path = x->path, .timeout = REMOVE_PATIENCE};
	struct engine_call *call;
	struct err err;

	x->asked = true;
	x->gc->asked++;
	if (engine_ask(x->gc->engine, &request, on_removed, x, &call, &err) < 0) {
		cannot_remove(x->gc, x->name, err.text);
		removal_free(x);
	}
}

/* Not all at once: each has a connection, and its time-out begins to run. */
static void remove_some(struct gc *g)
{
	struct removal *x, *next;

	for (x = TAILQ_FIRST(&g->to_go); x && g->asked < REMOVED_AT_ONCE; x = next) {
		next = TAILQ_NEXT(x, link);
		if (!x->asked)
			ask_removal(x);
	}
	if (TAILQ_EMPTY(&g->to_go))
		next_step(g);
}

static void remove_it(struct gc *g, const char *kind, const char *id, const char *name)
{
	bool container = strcmp(kind, "containers") == 0;

	if (g->order->dry) {
		say(g, "would remove", name, "");
		g->gone++;
		return;
	}
	struct removal *x = calloc(1, sizeof *x);
	if (!x) {
		cannot_remove(g, name, "out of memory");
		return;
	}
	x->gc = g;
	(void)snprintf(x->name, sizeof x->name, "%s", name);
	(void)snprintf(
		x->path, sizeof x->path, "/%s/%.128s%s", kind, id, container ? "?force=1&v=1" : "");
	TAILQ_INSERT_TAIL(&g->to_go, x, link);
}

/* ---- deciding ---- */

/* Nobody takes it over. */
static bool is_of_a_run(const json_t *labels)
{
	return strcmp(json_text_of(labels, LABEL_KIND), KIND_RUN) == 0;
}

/* Whether somebody answers for it, or may. *ret_why: for what stays though nobody holds it now. */
static bool is_owned(const struct gc *g, const json_t *labels, const char **ret_why)
{
	const char *control = json_text_of(labels, LABEL_CONTROL);
	bool local = engine_is_local(g->engine);

	*ret_why = "";
	if (is_of_a_run(labels)) {
		if (!local)
			*ret_why = "of a run, perhaps on another machine";
		return !local || keeper_alive(json_text_of(labels, KEEPER_LABEL));
	}
	switch (g->order->owner(control)) {
	case GC_HELD:
		return true;
	case GC_HIDDEN:
		*ret_why = "whether its control directory is held cannot be seen: ask as its user";
		return true;
	case GC_FREE:
		return false;
	case GC_GONE:
		break;
	}
	if (!local)
		*ret_why = "its control directory is not on this machine";
	return !local;
}

static void look_at_container(struct gc *g, const json_t *c)
{
	const json_t *labels = json_object_get(c, "Labels");
	const char *state = json_text_of(c, "State");
	const char *name = json_string_value(json_array_get(json_object_get(c, "Names"), 0));
	char shown[200];
	const char *why;

	(void)snprintf(shown, sizeof shown, "container %s (%s)",
		name ? name + (*name == '/') : json_text_of(c, "Id"), state);
	if (is_owned(g, labels, &why)) {
		if (*why)
			say(g, "left", shown, why);
	} else if (!g->order->kill && !is_of_a_run(labels) &&
		   (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0)) {
		say(g, "left", shown,
			"it runs, and 'hsup start' would take it over; --kill removes it");
	} else {
		remove_it(g, "containers", json_text_of(c, "Id"), shown);
	}
}

/* A dyno has this label too, from its image, and empty. */
static void look_at_build(struct gc *g, const json_t *c)
{
	if (*json_text_of(json_object_get(c, "Labels"), IMAGE_LABEL_BUILD))
		look_at_container(g, c);
}

/* What a control directory that is there may want again is kept by its own supervisors. */
static void look_at_image(struct gc *g, const json_t *i)
{
	const json_t *labels = json_object_get(i, "Labels");
	const char *tag = json_string_value(json_array_get(json_object_get(i, "RepoTags"), 0));
	char shown[200];

	if (!engine_is_local(g->engine) ||
		g->order->owner(json_text_of(labels, LABEL_CONTROL)) != GC_GONE)
		return;
	(void)snprintf(shown, sizeof shown, "image %s", tag ? tag : json_text_of(i, "Id"));
	remove_it(g, "images", json_text_of(i, "Id"), shown);
}

/* ---- the lists, one after the other ---- */

struct list {
	const char *path;
	void (*look)(struct gc *g, const json_t *member);
};

/* Filters: {"label":["hsup.owner"]} and {"label":["hsup.build"]}, escaped. */
#define FILTER(label) "filters=%7B%22label%22%3A%5B%22" label "%22%5D%7D"

static const struct list lists[] = {
	{"/containers/json?all=1&" FILTER(LABEL_OWNER), look_at_container},
	{"/containers/json?all=1&" FILTER(IMAGE_LABEL_BUILD), look_at_build},
	{"/images/json?" FILTER(LABEL_OWNER), look_at_image},
};

static void on_list(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct gc *g = userdata;
	json_t *member;
	size_t i;

	(void)status;
	if (r == 0 && !json_is_list(answer))
		r = err_set(
			&g->err, -EBADMSG, "%s answers what is no list", engine_name(g->engine));
	else if (r < 0)
		g->err = *err;
	if (r < 0) {
		end(g, r);
		return;
	}
	const struct list *list = &lists[g->step++];
	json_array_foreach(answer, i, member)
	{
		list->look(g, member);
	}
	remove_some(g);
}

static void next_step(struct gc *g)
{
	struct engine_call *call;

	if (g->step == ARRAY_SIZE(lists)) {
		end(g, 0);
		return;
	}
	const struct engine_request request = {.method = "GET", .path = lists[g->step].path};
	int r = engine_ask(g->engine, &request, on_list, g, &call, &g->err);
	if (r < 0)
		end(g, r);
}

static void on_changed(void *userdata, bool up, const struct err *why)
{
	struct gc *g = userdata;

	if (!up) {
		g->err = *why;
		end(g, why->code);
	} else if (!g->up) {
		g->up = true;
		next_step(g);
	}
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gc *g = userdata;

	(void)source;
	(void)usec;
	/* From then on each call has a time-out of its own. */
	if (g->up)
		return 0;
	(void)err_set(&g->err, -ETIMEDOUT, "%s: no answer within %llu s", engine_name(g->engine),
		(unsigned long long)(PATIENCE / NSEC_PER_SEC));
	end(g, -ETIMEDOUT);
	return 0;
}

static int collect(struct gc *g, struct err *err)
{
	struct docker_settings settings;

	int r = docker_settings_read(&settings, err);
	if (r < 0)
		return r;
	const struct engine_setup setup = {
		.loop = g->loop,
		.host = settings.host,
		.cert_path = settings.cert_path,
		.tls_verify = settings.tls_verify,
		.changed = on_changed,
		.userdata = g,
	};
	r = engine_open(&setup, &g->engine, err);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(
		g->loop, NULL, CLOCK_MONOTONIC, PATIENCE / NSEC_PER_USEC, 10000, on_patience, g);
	if (r >= 0)
		r = sd_event_loop(g->loop);
	if (r < 0)
		return err_errno(err, r, "event loop");
	if (g->err.code < 0) {
		*err = g->err;
		return g->err.code;
	}
	return g->failed ? err_set(err, -EIO, "%u could not be removed", g->failed) : 0;
}

int docker_gc(const struct gc_order *order, struct err *err)
{
	struct gc g = {.order = order};

	TAILQ_INIT(&g.to_go);
	int r = sd_event_new(&g.loop);
	if (r < 0)
		return err_errno(err, r, "event loop");
	r = collect(&g, err);
	engine_close(g.engine);
	for (struct removal *x = TAILQ_FIRST(&g.to_go), *next; x; x = next) {
		next = TAILQ_NEXT(x, link);
		free(x);
	}
	sd_event_unref(g.loop);
	if (r == 0 && g.gone == 0)
		order->say("nothing to remove");
	return r;
}
