/* The images of one app: what is prepared, what is kept, what a crash left. */
#include "base/clock.h"
#include "drivers/docker/image_private.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"

#include <errno.h>

int images_open(const struct images_setup *setup, struct images **ret_images, struct err *err)
{
	struct images *i = calloc(1, sizeof *i);

	if (!i)
		return err_set(err, -ENOMEM, "out of memory");
	i->setup = *setup;
	TAILQ_INIT(&i->makes);
	TAILQ_INIT(&i->known);
	*ret_images = i;
	return 0;
}

static void forget(struct images *i, struct known_image *k)
{
	TAILQ_REMOVE(&i->known, k, link);
	image_done(&k->image);
	free(k->reference);
	free(k);
}

struct images *images_close(struct images *i)
{
	if (!i)
		return NULL;
	engine_cancel(i->keeping);
	engine_cancel(i->sweeping);
	while (!TAILQ_EMPTY(&i->makes))
		make_free(TAILQ_FIRST(&i->makes));
	while (!LIST_EMPTY(&i->chores))
		chore_free(LIST_FIRST(&i->chores));
	while (!TAILQ_EMPTY(&i->known))
		forget(i, TAILQ_FIRST(&i->known));
	free(i->current);
	free(i->previous);
	free(i);
	return NULL;
}

int images_prepare(struct images *i, uint64_t handle, const char *app,
	const struct release *release, struct err *err)
{
	return make_begin(i, handle, app, release, err);
}

void images_prepare_stop(struct images *i, uint64_t handle)
{
	struct make *m;

	TAILQ_FOREACH(m, &i->makes, link)
	{
		if (m->handle == handle && !m->stopped) {
			make_stop(m);
			return;
		}
	}
}

void images_leave(struct images *i)
{
	struct make *m, *next;

	for (m = TAILQ_FIRST(&i->makes); m; m = next) {
		next = TAILQ_NEXT(m, link);
		if (!m->stopped)
			make_stop(m);
	}
}

bool images_busy(const struct images *i)
{
	const struct chore *c;

	LIST_FOREACH (c, &i->chores, link)
		if (c->call)
			return true;
	return !TAILQ_EMPTY(&i->makes);
}

static struct known_image *find(const struct images *i, const struct release *release)
{
	const char *digest = release->slug_digest ? release->slug_digest : "";
	char reference[IMAGE_REFERENCE_SIZE];
	struct known_image *k;

	if (!release->stack ||
		image_of_stack(release->stack, reference, sizeof reference, NULL) < 0)
		return NULL;
	TAILQ_FOREACH(k, &i->known, link)
	if (strcmp(k->reference, reference) == 0 && strcmp(k->digest, digest) == 0)
		return k;
	return NULL;
}

const struct image *images_find(const struct images *i, const struct release *release)
{
	const struct known_image *k = find(i, release);

	return k ? &k->image : NULL;
}

/* ---- what stays ---- */

static bool is_id(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

/* Its dynos may be about to start. */
static bool is_last_prepared(const struct images *i, const char *id)
{
	const struct known_image *k = TAILQ_FIRST(&i->known);

	return k && strcmp(k->image.id, id) == 0;
}

/* The one before, for who has not seen it: the youngest of the others. */
static const char *youngest_other(const struct images *i, json_t *list)
{
	int64_t newest = INT64_MIN;
	const char *id = NULL;
	const json_t *entry;
	size_t n;

	json_array_foreach(list, n, entry)
	{
		int64_t created = json_number_of(entry, "Created", 0);
		if (!is_id(i->current, json_text_of(entry, "Id")) && created > newest) {
			newest = created;
			id = json_text_of(entry, "Id");
		}
	}
	return id;
}

static void drop(struct images *i, const char *id)
{
	struct known_image *k, *next;

	for (k = TAILQ_FIRST(&i->known); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (strcmp(k->image.id, id) == 0)
			forget(i, k);
	}
	images_remove_image(i, id);
}

static void on_kept(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct images *i = userdata;
	struct image image;
	json_t *entry;
	size_t n;

	(void)status;
	(void)err;
	i->keeping = NULL;
	if (r < 0)
		return;
	const char *previous = i->previous ? i->previous : youngest_other(i, answer);
	json_array_foreach(answer, n, entry)
	{
		if (!images_read(i, entry, &image))
			continue;
		if (!is_id(i->current, image.id) && !is_id(previous, image.id) &&
			!is_last_prepared(i, image.id))
			drop(i, image.id);
		image_done(&image);
	}
}

void images_keep(struct images *i, const struct release *current)
{
	struct strbuf _cleanup_strbuf_ path = {0};
	const struct known_image *k = find(i, current);

	i->kept = true;
	if (!k)
		return;
	if (!is_id(i->current, k->image.id)) {
		char *id = strdup(k->image.id);
		if (!id)
			return;
		free(i->previous);
		i->previous = i->current;
		i->current = id;
	}
	engine_cancel(TAKE_PTR(i->keeping));
	images_list_path(i, &path);
	const struct engine_request request = {.method = "GET", .path = path.data};
	if (path.error || engine_ask(i->setup.engine, &request, on_kept, i, &i->keeping, NULL) < 0)
		i->keeping = NULL; /* then with the next release */
}

/* ---- what a crash left ---- */

static bool is_being_made(const struct images *i, const char *name)
{
	const struct make *m;

	name += *name == '/';
	TAILQ_FOREACH(m, &i->makes, link)
	if (strcmp(m->container, name) == 0)
		return true;
	return false;
}

/* One of a `run` beside us is none of ours while it lives; of its end nobody tells who is on
 * another machine. */
static bool is_of_a_run(const struct images *i, const json_t *labels)
{
	return strcmp(json_text_of(labels, LABEL_KIND), KIND_RUN) == 0 &&
	       (!engine_is_local(i->setup.engine) ||
		       keeper_alive(json_text_of(labels, KEEPER_LABEL)));
}

static void on_swept(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct images *i = userdata;
	json_t *entry;
	size_t n;

	(void)status;
	(void)err;
	i->sweeping = NULL;
	if (r < 0)
		return;
	json_array_foreach(answer, n, entry)
	{
		const json_t *labels = json_object_get(entry, "Labels");
		const char *name =
			json_string_value(json_array_get(json_object_get(entry, "Names"), 0));

		if (strcmp(json_text_of(labels, IMAGE_LABEL_BUILD), i->setup.context->owner) == 0 &&
			!is_being_made(i, name ? name : "") && !is_of_a_run(i, labels))
			images_remove_container(i, json_text_of(entry, "Id"));
	}
}

void images_sweep(struct images *i)
{
	struct strbuf _cleanup_strbuf_ path = {0};

	/* Who runs once beside others sweeps nothing of theirs. */
	if (!i->setup.context->lasts || i->sweeping)
		return;
	(void)strbuf_puts(&path, "/containers/json?all=1&");
	image_filter(&path, IMAGE_LABEL_BUILD, i->setup.context->owner);
	const struct engine_request request = {.method = "GET", .path = path.data};
	if (path.error ||
		engine_ask(i->setup.engine, &request, on_swept, i, &i->sweeping, NULL) < 0)
		i->sweeping = NULL; /* the next start will */
}
