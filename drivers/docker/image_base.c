/* The stack's image, pulled when it is not there, and whether ours is made of it already. */
#include "base/clock.h"
#include "drivers/docker/image_private.h"

#include <errno.h>

#define PULL_SILENCE (300 * NSEC_PER_SEC)

/* ---- is it there already? ---- */

static bool is_of(const struct make *m, const json_t *entry)
{
	const json_t *labels = json_object_get(entry, "Labels");

	/* A tag is only a name, which anybody may move: the labels are in the image itself. */
	return strcmp(json_text_of(labels, IMAGE_LABEL_LAYOUT), IMAGE_LAYOUT) == 0 &&
	       strcmp(json_text_of(labels, IMAGE_LABEL_STACK), m->stack_id) == 0 &&
	       json_object_get(labels, IMAGE_LABEL_SLUG) &&
	       strcmp(json_text_of(labels, IMAGE_LABEL_SLUG), m->digest) == 0;
}

static void on_list(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;
	int64_t newest = INT64_MIN;
	struct image image;
	json_t *entry;
	size_t n;

	m->call = NULL;
	/* podman cannot list them while one is being removed: then it is made once more. */
	if (r < 0 && status == 0) {
		make_failed(m, r, status, err);
		return;
	}
	json_array_foreach(answer, n, entry)
	{
		int64_t created = json_number_of(entry, "Created", 0);
		if (created <= newest || !is_of(m, entry) || !images_read(m->owner, entry, &image))
			continue;
		if (!images_rescue(m->owner, image.id)) {
			image_done(&image);
			continue;
		}
		image_done(&m->image);
		m->image = image;
		newest = created;
	}
	if (!m->image.id) {
		make_fill(m);
		return;
	}
	struct err failed = {0};
	if (images_remember(m->owner, m->reference, m->digest, &m->image) < 0)
		(void)err_set(&failed, -ENOMEM, "out of memory");
	make_end(m, failed.code, &failed);
}

static void look_for_it(struct make *m)
{
	struct strbuf _cleanup_strbuf_ path = {0};

	/* Before a release is in force it is one that was made ready before, by an earlier
	 * supervisor. */
	if (!m->owner->setup.cache && m->owner->kept) {
		make_fill(m);
		return;
	}
	images_list_path(m->owner, &path);
	const struct engine_request request = {.method = "GET", .path = path.data};
	(void)make_ask(m, "listing the images", &request, on_list);
}

/* ---- the stack's image ---- */

static bool has_volume_in_app(const json_t *image)
{
	json_t *volumes = json_object_get(json_object_get(image, "Config"), "Volumes");
	const char *path;
	json_t *value;

	json_object_foreach(volumes, path,
		value) if (strcmp(path, "/app") == 0 || strncmp(path, "/app/", 5) == 0) return true;
	return false;
}

static void pull_failed(struct make *m, const struct err *why)
{
	struct err err;

	(void)err_set(&err, -ENOENT,
		"it is not there, and cannot be had: pull it (docker pull) or load it (docker "
		"load) "
		"by hand: %.200s",
		why->text);
	m->doing = "pulling";
	make_end(m, -ENOENT, &err);
}

static int on_pull_data(void *userdata, const char *data, size_t len)
{
	struct make *m = userdata;

	pull_add(&m->pull, data, len);
	int percent = pull_percent(&m->pull);
	if (percent >= 0)
		make_say(m, false, "pulling %s: %d %%", m->reference, percent);
	return 0;
}

static void on_pull_done(void *userdata, int r, unsigned status, const struct err *err)
{
	struct make *m = userdata;

	m->call = NULL;
	pull_end(&m->pull);
	if (r < 0 && make_engine_went(r, status) && m->pull.failed.code == 0) {
		make_failed(m, r, status, err);
	} else if (r < 0 || m->pull.failed.code < 0) {
		/* A registry that cannot be reached is told of in a stream that began well. */
		const struct err why = m->pull.failed.code < 0 ? m->pull.failed : *err;
		pull_failed(m, &why);
	} else {
		make_inspect(m);
	}
}

static void pull(struct make *m)
{
	struct strbuf _cleanup_strbuf_ path = {0};

	if (m->pulled || image_is_id(m->reference)) {
		struct err err;
		(void)err_set(&err, -ENOENT, "%s",
			m->pulled ? "it was pulled, and is gone again"
				  : "the engine does not have it, and an id cannot be pulled");
		make_end(m, -ENOENT, &err);
		return;
	}
	m->pulled = true;
	pull_init(&m->pull);
	(void)strbuf_puts(&path, "/images/create?fromImage=");
	strbuf_escape(&path, m->reference);
	/* Without any the engine would pull them all. */
	if (image_wants_tag(m->reference))
		(void)strbuf_puts(&path, "&tag=latest");
	const struct engine_stream stream = {
		.method = "POST",
		.path = path.data,
		.silence = PULL_SILENCE,
		.data = on_pull_data,
		.done = on_pull_done,
	};
	make_say(m, true, "pulling %s", m->reference);
	(void)make_stream(m, "pulling", &stream);
}

static void on_inspect(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;
	struct err failed;

	m->call = NULL;
	/* podman takes an id that it does not have for a name, and a bad one. */
	if (r < 0 && (status == 404 || (status != 0 && image_is_id(m->reference)))) {
		pull(m);
		return;
	}
	if (r < 0) {
		make_failed(m, r, status, err);
		return;
	}
	free(m->stack_id);
	m->stack_id = strdup(json_text_of(answer, "Id"));
	if (!m->stack_id) {
		(void)err_set(&failed, -ENOMEM, "out of memory");
		make_end(m, -ENOMEM, &failed);
	} else if (!image_is_id(m->stack_id)) {
		(void)err_set(&failed, -EBADMSG, "the engine gave no id of it");
		make_end(m, -EBADMSG, &failed);
	} else if (has_volume_in_app(answer)) {
		(void)err_set(&failed, -EINVAL,
			"it says that /app is a volume, so that no slug can be put there: "
			"choose another Stack");
		make_end(m, -EINVAL, &failed);
	} else {
		look_for_it(m);
	}
}

void make_inspect(struct make *m)
{
	struct strbuf _cleanup_strbuf_ path = {0};

	(void)strbuf_puts(&path, "/images/");
	strbuf_escape(&path, m->reference);
	(void)strbuf_puts(&path, "/json");
	const struct engine_request request = {.method = "GET", .path = path.data};
	(void)make_ask(m, "looking at it", &request, on_inspect);
}
