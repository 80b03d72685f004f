/* Making an image: the user dyno and the slug put in, and all of it committed. */
#include "base/clock.h"
#include "base/hash.h"
#include "drivers/docker/image_private.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define COMMIT_PATIENCE (900 * NSEC_PER_SEC) /* all of the slug is read and written once more */
#define PUT_SILENCE	(300 * NSEC_PER_SEC)
#define PACK_PATIENCE	(300 * NSEC_PER_SEC)

/* ---- commit ---- */

static void on_commit(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;
	const char *id = json_text_of(answer, "Id");
	struct err failed = {0};

	m->call = NULL;
	m->must_answer = false;
	if (r < 0) {
		make_failed(m, r, status, err);
		return;
	}
	/* podman says it without its kind. */
	if (!image_is_id(id) ||
		asprintf(&m->image.id, "%s%s", strchr(id, ':') ? "" : "sha256:", id) < 0) {
		m->image.id = NULL;
		make_fail(m, -EBADMSG, "the engine gave no id of the image");
		return;
	}
	if (images_remember(m->owner, m->reference, m->digest, &m->image) < 0)
		(void)err_set(&failed, -ENOMEM, "out of memory");
	make_end(m, failed.code, &failed);
}

static void change(struct strbuf *path, const char *fmt, ...) HSUP_PRINTF(2, 3);

static void change(struct strbuf *path, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)strbuf_puts(path, "&changes=");
	strbuf_escape(path, text);
}

/* As changes: podman takes none from the body. No value needs quotes. Labels that the container
 * bears are the image's, too, unless they are changed; and those of the image are borne by all of
 * its containers, which are none of a build. */
static void add_changes(const struct make *m, struct strbuf *path)
{
	change(path, "LABEL " IMAGE_LABEL_OWNER "=%s", m->owner->setup.context->owner);
	change(path, "LABEL " IMAGE_LABEL_SLUG "=%s", m->digest);
	change(path, "LABEL " IMAGE_LABEL_STACK "=%s", m->stack_id);
	change(path, "LABEL " IMAGE_LABEL_SHELL "=%s", m->image.shell);
	change(path, "LABEL " IMAGE_LABEL_USER "=%u:%u", m->image.uid, m->image.gid);
	change(path, "LABEL " IMAGE_LABEL_LAYOUT "=" IMAGE_LAYOUT);
	change(path, "LABEL " IMAGE_LABEL_BUILD "=");
	change(path, "LABEL " LABEL_KIND "=");
	change(path, "LABEL " KEEPER_LABEL "=");
	change(path, "WORKDIR /app");
}

static void commit(struct make *m)
{
	struct strbuf _cleanup_strbuf_ path = {0};
	uint64_t key =
		hash_str(hash_str(hash_str(HASH_INIT, IMAGE_LAYOUT), m->stack_id), m->digest);
	char tag[20];

	(void)snprintf(tag, sizeof tag, "%016llx", (unsigned long long)key);
	tag[12] = '\0';
	if (asprintf(&m->image.tag, "%s:%s", m->repository, tag) < 0) {
		m->image.tag = NULL;
		make_fail(m, -ENOMEM, "out of memory");
		return;
	}
	(void)strbuf_printf(&path, "/commit?container=%s&pause=0&tag=%s&repo=", m->container, tag);
	strbuf_escape(&path, m->repository);
	add_changes(m, &path);
	/* podman wants one, whatever is in it. */
	json_t *body = json_pack("{ss}", "WorkingDir", "/app");
	const struct engine_request request = {
		.method = "POST", .path = path.data, .body = body, .timeout = COMMIT_PATIENCE};
	m->must_answer = true;
	(void)make_ask(m, "committing it", &request, on_commit);
}

/* ---- files ---- */

void make_archive_path(const struct make *m, const char *of, struct strbuf *b)
{
	(void)strbuf_printf(b, "/containers/%s/archive?path=", m->container);
	strbuf_escape(b, of);
}

static void put(struct make *m, const char *doing,
	ssize_t (*body)(void *userdata, char *data, size_t size),
	void (*done)(void *userdata, int r, unsigned status, const struct err *err))
{
	struct strbuf _cleanup_strbuf_ path = {0};

	make_archive_path(m, "/", &path);
	/* podman's default is to give all of it to the container's user. */
	(void)strbuf_puts(&path, "&copyUIDGID=false");
	const struct engine_stream stream = {
		.method = "PUT",
		.path = path.data,
		.content_type = "application/x-tar",
		.silence = PUT_SILENCE,
		.body = body,
		.done = done,
	};
	(void)make_stream(m, doing, &stream);
}

static void on_slug_put(void *userdata, int r, unsigned status, const struct err *err)
{
	struct make *m = userdata;
	const struct err helper = *image_pack_error(m->pack);

	m->call = NULL;
	m->pack = image_pack_free(m->pack);
	if (r < 0 && helper.code < 0) {
		make_end(m, helper.code, &helper);
		return;
	}
	if (r < 0)
		make_failed(m, r, status, err);
	else
		commit(m);
}

static ssize_t slug_body(void *userdata, char *data, size_t size)
{
	struct make *m = userdata;
	ssize_t n = image_pack_read(m->pack, data, size);

	if (n > 0) {
		m->packed += (uint64_t)n;
		make_say(m, false, "putting the slug into the image: %llu MB",
			(unsigned long long)(m->packed / 1000000));
	}
	return n;
}

static void on_pack_ready(void *userdata)
{
	struct make *m = userdata;

	if (m->call)
		engine_resume(m->call);
}

static void put_slug(struct make *m)
{
	const struct driver_context *c = m->owner->setup.context;
	struct err err = {0};

	if (!m->slug_path) {
		commit(m);
		return;
	}
	const struct image_pack_setup setup = {
		.loop = c->loop,
		.helper = c->slug_helper,
		.slug_path = m->slug_path,
		.uid = m->image.uid,
		.gid = m->image.gid,
		.patience = PACK_PATIENCE,
		.ready = on_pack_ready,
		.userdata = m,
	};
	m->said = clock_now();
	m->doing = "packing the slug";
	int r = image_pack_start(&setup, &m->pack, &err);
	if (r < 0)
		make_end(m, r, &err);
	else
		put(m, "putting the slug in", slug_body, on_slug_put);
}

static void on_user_put(void *userdata, int r, unsigned status, const struct err *err)
{
	struct make *m = userdata;

	m->call = NULL;
	if (r < 0)
		make_failed(m, r, status, err);
	else
		put_slug(m);
}

static ssize_t user_body(void *userdata, char *data, size_t size)
{
	struct make *m = userdata;
	size_t left = m->archive.len - m->sent, n = left < size ? left : size;

	memcpy(data, m->archive.data + m->sent, n);
	m->sent += n;
	return (ssize_t)n;
}

void make_put_user(struct make *m)
{
	struct image_users users;
	struct err err = {0};

	m->doing = "adding the user " IMAGE_USER;
	int r = image_users_add(m->passwd.data, m->passwd.len, m->group.data, m->group.len,
		m->image.shell, &users, &err);
	if (r == 0) {
		m->image.uid = users.uid;
		m->image.gid = users.gid;
		strbuf_done(&m->archive);
		if (users.new_passwd)
			image_tar_add(
				&m->archive, &(struct tar_entry){"etc/passwd", m->passwd_mode, 0, 0,
						     users.passwd.data, users.passwd.len});
		if (users.new_group)
			image_tar_add(
				&m->archive, &(struct tar_entry){"etc/group", m->group_mode, 0, 0,
						     users.group.data, users.group.len});
		image_tar_add(&m->archive,
			&(struct tar_entry){"app/", 0755, users.uid, users.gid, NULL, 0});
		image_tar_end(&m->archive);
		if (m->archive.error)
			r = err_set(&err, -ENOMEM, "out of memory");
	}
	image_users_done(&users);
	if (r < 0)
		make_end(m, r, &err);
	else
		put(m, "adding the user " IMAGE_USER, user_body, on_user_put);
}
