/* What there is at the engine: read by its labels, removed by its id. */
#include "base/clock.h"
#include "base/parse.h"
#include "drivers/docker/image_private.h"
#include "drivers/docker/labels.h"

#include <errno.h>
#include <stdio.h>

#define REMOVE_AGAIN	(60 * NSEC_PER_SEC)
#define REMOVE_TRIES	30
#define REMOVE_PATIENCE (120 * NSEC_PER_SEC) /* a large one takes its time */

void image_filter(struct strbuf *b, const char *name, const char *value)
{
	struct strbuf _cleanup_strbuf_ text = {0};

	(void)strbuf_printf(&text, "{\"label\":[\"%s=%s\"]}", name, value);
	(void)strbuf_puts(b, "filters=");
	strbuf_escape(b, text.data ? text.data : "");
}

void images_list_path(const struct images *i, struct strbuf *ret_path)
{
	(void)strbuf_puts(ret_path, "/images/json?");
	image_filter(ret_path, IMAGE_LABEL_OWNER, i->setup.context->owner);
}

void image_done(struct image *image)
{
	free(image->id);
	free(image->tag);
	free(image->shell);
	*image = (struct image){0};
}

static bool read_user(const char *text, uint32_t *ret_uid, uint32_t *ret_gid)
{
	char copy[32];
	unsigned uid, gid;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return false;
	char *colon = strchr(copy, ':');
	if (!colon)
		return false;
	*colon = '\0';
	if (parse_uint(copy, UINT32_MAX - 1, &uid) < 0 ||
		parse_uint(colon + 1, UINT32_MAX - 1, &gid) < 0)
		return false;
	*ret_uid = uid;
	*ret_gid = gid;
	return true;
}

bool images_read(const struct images *i, const json_t *entry, struct image *ret_image)
{
	const json_t *labels = json_object_get(entry, "Labels");
	const char *tag = json_string_value(json_array_get(json_object_get(entry, "RepoTags"), 0));
	const char *id = json_text_of(entry, "Id"),
		   *shell = json_text_of(labels, IMAGE_LABEL_SHELL);
	struct image image = {0};

	if (!image_is_id(id) || shell[0] != '/' ||
		strcmp(json_text_of(labels, IMAGE_LABEL_OWNER), i->setup.context->owner) != 0 ||
		!read_user(json_text_of(labels, IMAGE_LABEL_USER), &image.uid, &image.gid))
		return false;
	image.id = strdup(id);
	image.tag = strdup(tag ? tag : id);
	image.shell = strdup(shell);
	if (!image.id || !image.tag || !image.shell) {
		image_done(&image);
		return false;
	}
	*ret_image = image;
	return true;
}

int images_remember(
	struct images *i, const char *reference, const char *digest, struct image *image)
{
	struct known_image *k;

	TAILQ_FOREACH(k, &i->known, link)
	if (strcmp(k->reference, reference) == 0 && strcmp(k->digest, digest) == 0)
		break;
	if (!k) {
		k = calloc(1, sizeof *k);
		char *copy = strdup(reference);
		if (!k || !copy) {
			free(k);
			free(copy);
			return -ENOMEM;
		}
		k->reference = copy;
		(void)snprintf(k->digest, sizeof k->digest, "%s", digest);
	} else {
		TAILQ_REMOVE(&i->known, k, link);
		image_done(&k->image);
	}
	k->image = *image;
	*image = (struct image){0};
	TAILQ_INSERT_HEAD(&i->known, k, link);
	return 0;
}

/* ---- removing ---- */

void chore_free(struct chore *c)
{
	LIST_REMOVE(c, link);
	engine_cancel(c->call);
	sd_event_source_disable_unref(c->timer);
	free(c->path);
	free(c->id);
	free(c);
}

static void chore_go(struct chore *c);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct chore *c = userdata;

	(void)source;
	(void)usec;
	c->timer = sd_event_source_disable_unref(c->timer);
	chore_go(c);
	return 0;
}

static void chore_later(struct chore *c)
{
	if (++c->tries == REMOVE_TRIES ||
		sd_event_add_time_relative(c->owner->setup.context->loop, &c->timer,
			CLOCK_MONOTONIC, REMOVE_AGAIN / NSEC_PER_USEC, 0, on_again, c) < 0)
		chore_free(c);
}

static void on_removed(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct chore *c = userdata;

	(void)status;
	(void)answer;
	(void)err;
	c->call = NULL;
	/* In use, or nobody to be asked: both pass. */
	if (r < 0 && r != -ENOENT)
		chore_later(c);
	else
		chore_free(c);
}

static void chore_go(struct chore *c)
{
	const struct engine_request request = {
		.method = "DELETE", .path = c->path, .timeout = REMOVE_PATIENCE};

	if (engine_ask(c->owner->setup.engine, &request, on_removed, c, &c->call, NULL) < 0)
		chore_later(c);
}

static void remove_path(struct images *i, char *path, const char *id)
{
	struct chore *c = calloc(1, sizeof *c);

	if (c && path && (!id || (c->id = strdup(id)))) {
		c->owner = i;
		c->path = path;
		LIST_INSERT_HEAD(&i->chores, c, link);
		chore_go(c);
		return;
	}
	free(c);
	free(path);
}

void images_remove_container(struct images *i, const char *name)
{
	char *path;

	if (asprintf(&path, "/containers/%s?force=1&v=1", name) < 0)
		path = NULL;
	remove_path(i, path, NULL);
}

void images_remove_image(struct images *i, const char *id)
{
	struct chore *c;
	char *path;

	LIST_FOREACH (c, &i->chores, link)
		if (c->id && strcmp(c->id, id) == 0)
			return;
	if (asprintf(&path, "/images/%s", id) < 0)
		path = NULL;
	remove_path(i, path, id);
}

bool images_rescue(struct images *i, const char *id)
{
	struct chore *c;

	LIST_FOREACH (c, &i->chores, link) {
		if (!c->id || strcmp(c->id, id) != 0)
			continue;
		if (c->call)
			return false;
		chore_free(c);
		return true;
	}
	return true;
}
