/* Between the files of the images (image*.c). */
#pragma once

#include "drivers/docker/image.h"
#include "drivers/docker/image_pack.h"
#include "drivers/docker/image_pull.h"
#include "drivers/docker/image_tar.h"
#include "drivers/docker/image_users.h"

#include <stdbool.h>
#include <sys/queue.h>

/* Of what we make of a stack and a slug: another one makes every image anew. */
#define IMAGE_LAYOUT "1"

#define IMAGE_REFERENCE_SIZE 512
#define IMAGE_NAME_SIZE	     80
#define IMAGE_DIGEST_SIZE    65

/* ---- names (image_stack.c) ---- */

/* "sha256:..." or the hex digits alone: it cannot be pulled. */
bool image_is_id(const char *reference);
/* It says no tag, and no digest. */
bool image_wants_tag(const char *reference);
/* "hsup/app" of an app that may have any name. */
void image_repository(const char *app, char *ret_name, size_t size);

/* ---- one image that is being made (image_make.c) ---- */

struct make {
	TAILQ_ENTRY(make) link;
	struct images *owner;
	uint64_t handle;
	bool stopped; /* nobody waits for it; the answer that it waits for says what is to be
		       * removed */
	bool again;   /* it was begun once more because the engine went away */
	bool pulled;
	const char *doing; /* for messages */
	struct err result; /* of its end */
	char reference[IMAGE_REFERENCE_SIZE], repository[IMAGE_NAME_SIZE];
	char digest[IMAGE_DIGEST_SIZE]; /* "" = no slug */
	char *slug_path;
	char *stack_id;
	struct image image; /* as far as it is known */

	char container[IMAGE_NAME_SIZE]; /* its name, the whole of it ours; "" = none */
	struct engine_call *call;
	bool must_answer; /* the call makes something at the engine: it is not cancelled */
	sd_event_source *timer;
	uint64_t patience; /* ns, CLOCK_MONOTONIC: the engine must be there by then */
	uint64_t said;	   /* when progress was told last */

	struct pull pull;
	struct strbuf archive; /* from the engine, or to it */
	size_t sent;
	struct strbuf passwd, group; /* as the stack has them */
	uint32_t passwd_mode, group_mode;
	struct image_pack *pack;
	uint64_t packed; /* bytes that the engine has taken */
};

int make_begin(struct images *i, uint64_t handle, const char *app, const struct release *release,
	struct err *err) HSUP_MUST_CHECK;
/* No `prepared` follows. It may stay for an answer that is on its way. */
void make_stop(struct make *m);
void make_free(struct make *m); /* at once; what it has made at the engine is left to a sweep */
/* The next step but the first ones, from the container on (image_fill.c). */
void make_fill(struct make *m);

/* Ends it, when its container is gone: r and err as `prepared` has them. m is the caller's no more.
 */
void make_end(struct make *m, int r, const struct err *err);
/* As make_end() for what the engine answered; or begins it once more when the engine was gone. */
void make_failed(struct make *m, int r, unsigned status, const struct err *err);
void make_fail(struct make *m, int r, const char *what); /* likewise, with a text of ours */
bool make_engine_went(int r, unsigned status);
/* The steps, by file: image_base.c, (make_fill() of) image_fill.c, image_put.c. */
void make_inspect(struct make *m);
void make_put_user(struct make *m);
void make_archive_path(const struct make *m, const char *of, struct strbuf *b);
/* A line, at most every 2 s; first: in any case. */
void make_say(struct make *m, bool first, const char *fmt, ...) HSUP_PRINTF(3, 4);
/* Asks the next of the engine. body is taken. True; or it failed and m is gone. */
bool make_ask(struct make *m, const char *doing, const struct engine_request *request,
	engine_answer_fn *answer);
bool make_stream(struct make *m, const char *doing, const struct engine_stream *stream);

/* ---- what there is (image_list.c) ---- */

/* An image of ours that was prepared, and for what. */
struct known_image {
	TAILQ_ENTRY(known_image) link;
	char *reference;
	char digest[IMAGE_DIGEST_SIZE];
	struct image image;
};

/* Something that is to be removed from the engine. */
struct chore {
	LIST_ENTRY(chore) link;
	struct images *owner;
	char *path;
	char *id; /* of an image; NULL = it is a container */
	unsigned tries;
	struct engine_call *call;
	sd_event_source *timer; /* in use now: to be tried again */
};

struct images {
	struct images_setup setup;
	TAILQ_HEAD(makes, make) makes;
	TAILQ_HEAD(known, known_image) known; /* the last one prepared first */
	LIST_HEAD(chores, chore) chores;
	struct engine_call *keeping, *sweeping;
	bool kept; /* a release is in force: what is prepared from now on is a submission */
	char *current, *previous; /* ids; NULL = not known */
};

/* "/images/json?filters=..." of this owner's. */
void images_list_path(const struct images *i, struct strbuf *ret_path);
/* What an entry of that list says of itself. False: it is not one of ours, or not whole. The
 * caller frees by image_done(). */
bool images_read(const struct images *i, const json_t *entry, struct image *ret_image);
void image_done(struct image *image);

/* Takes over *image (emptied) for who asks by reference and digest. */
int images_remember(struct images *i, const char *reference, const char *digest,
	struct image *image) HSUP_MUST_CHECK;

/* Removes a container (by name) or an image (by id), and goes on trying when it is in use. */
void images_remove_container(struct images *i, const char *name);
void images_remove_image(struct images *i, const char *id);
/* It is wanted again. False: it is being removed right now. */
bool images_rescue(struct images *i, const char *id);
void chore_free(struct chore *c);
/* Of a label: {"label":["name=value"]}, escaped for a query. */
void image_filter(struct strbuf *b, const char *name, const char *value);
