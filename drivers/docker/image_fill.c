/* Making an image: a container that never runs, filled, and committed. */
#include "base/clock.h"
#include "base/hash.h"
#include "drivers/docker/image_private.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#define CREATE_PATIENCE (120 * NSEC_PER_SEC)
#define COMMIT_PATIENCE (900 * NSEC_PER_SEC) /* all of the slug is read and written once more */
#define PUT_SILENCE	(300 * NSEC_PER_SEC)

static void fail(struct make *m, int r, const char *what)
{
	struct err err;

	(void)err_set(&err, r, "%s", what);
	make_end(m, r, &err);
}

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
		fail(m, -EBADMSG, "the engine gave no id of the image");
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
	engine_escape(path, text);
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
		fail(m, -ENOMEM, "out of memory");
		return;
	}
	(void)strbuf_printf(&path, "/commit?container=%s&pause=0&tag=%s&repo=", m->container, tag);
	engine_escape(&path, m->repository);
	add_changes(m, &path);
	/* podman wants one, whatever is in it. */
	json_t *body = json_pack("{ss}", "WorkingDir", "/app");
	const struct engine_request request = {
		.method = "POST", .path = path.data, .body = body, .timeout = COMMIT_PATIENCE};
	m->must_answer = true;
	(void)make_ask(m, "committing it", &request, on_commit);
}

/* ---- files ---- */

static void archive_path(const struct make *m, const char *of, struct strbuf *b)
{
	(void)strbuf_printf(b, "/containers/%s/archive?path=", m->container);
	engine_escape(b, of);
}

static void put(struct make *m, const char *doing,
	ssize_t (*body)(void *userdata, char *data, size_t size),
	void (*done)(void *userdata, int r, unsigned status, const struct err *err))
{
	struct strbuf _cleanup_strbuf_ path = {0};

	archive_path(m, "/", &path);
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

static void put_user(struct make *m)
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

/* ---- what the stack has ---- */

static void look_for_shell(struct make *m, const char *shell);

static void on_shell(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;

	(void)answer;
	m->call = NULL;
	if (r == 0) {
		put_user(m);
	} else if (r != -ENOENT || status != 404) {
		make_failed(m, r, status, err);
	} else if (strcmp(m->image.shell, "/bin/bash") == 0) {
		look_for_shell(m, "/bin/sh");
	} else {
		fail(m, -ENOEXEC,
			"it has neither /bin/bash nor /bin/sh, and dynos are started by one: "
			"choose another Stack");
	}
}

static void look_for_shell(struct make *m, const char *shell)
{
	struct strbuf _cleanup_strbuf_ path = {0};

	free(m->image.shell);
	m->image.shell = strdup(shell);
	if (!m->image.shell) {
		fail(m, -ENOMEM, "out of memory");
		return;
	}
	archive_path(m, shell, &path);
	const struct engine_request request = {.method = "HEAD", .path = path.data};
	(void)make_ask(m, "looking for its shell", &request, on_shell);
}

static int on_file_data(void *userdata, const char *data, size_t len)
{
	struct make *m = userdata;

	return strbuf_add(&m->archive, data, len) < 0 ? -ECANCELED : 0;
}

/* What came of one of the two files, if anything did. */
static bool take_file(struct make *m, int r, unsigned status, const struct err *err,
	struct strbuf *ret_text, uint32_t *ret_mode)
{
	struct tar_file file = {.mode = 0644};
	struct err failed = {0};

	m->call = NULL;
	*ret_mode = 0644;
	if (r == -ENOENT && status == 404)
		return true;
	if (r < 0 && !m->archive.error) {
		make_failed(m, r, status, err);
		return false;
	}
	if (m->archive.error)
		r = err_set(&failed, -EFBIG, "it is larger than %zu bytes", IMAGE_TAR_MAX);
	else
		r = image_tar_read(m->archive.data, m->archive.len, &file, &failed);
	if (r == 0 && strbuf_add(ret_text, file.data, file.len) < 0)
		r = err_set(&failed, -ENOMEM, "out of memory");
	*ret_mode = file.mode;
	if (r < 0)
		make_end(m, r, &failed);
	return r == 0;
}

static void get_file(struct make *m, const char *doing, const char *file,
	void (*done)(void *userdata, int r, unsigned status, const struct err *err))
{
	struct strbuf _cleanup_strbuf_ path = {0};

	strbuf_done(&m->archive);
	m->archive = STRBUF(IMAGE_TAR_MAX);
	archive_path(m, file, &path);
	const struct engine_stream stream = {
		.method = "GET",
		.path = path.data,
		.silence = CREATE_PATIENCE,
		.data = on_file_data,
		.done = done,
	};
	(void)make_stream(m, doing, &stream);
}

static void on_group(void *userdata, int r, unsigned status, const struct err *err)
{
	struct make *m = userdata;

	if (take_file(m, r, status, err, &m->group, &m->group_mode))
		look_for_shell(m, "/bin/bash");
}

static void on_passwd(void *userdata, int r, unsigned status, const struct err *err)
{
	struct make *m = userdata;

	if (take_file(m, r, status, err, &m->passwd, &m->passwd_mode))
		get_file(m, "reading its /etc/group", "/etc/group", on_group);
}

/* ---- the container ---- */

static void on_created(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;

	(void)answer;
	m->call = NULL;
	m->must_answer = false;
	if (r < 0)
		make_failed(m, r, status, err);
	else if (m->stopped)
		make_stop(m);
	else
		get_file(m, "reading its /etc/passwd", "/etc/passwd", on_passwd);
}

void make_fill(struct make *m)
{
	const struct driver_context *c = m->owner->setup.context;
	char path[128], keeper[KEEPER_SIZE];
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
		fail(m, -EIO, "cannot get a random number");
		return;
	}
	keeper_name(keeper);
	(void)snprintf(m->container, sizeof m->container, "hsup-build-%016llx",
		(unsigned long long)number);
	(void)snprintf(path, sizeof path, "/containers/create?name=%s", m->container);
	/* It never runs; without a command an engine does not make one. */
	json_t *body = json_pack("{ss s[s] s[] s{ss ss ss ss} s{ss} sb}", "Image", m->stack_id,
		"Cmd", "/bin/true", "Entrypoint", "Labels", IMAGE_LABEL_BUILD, c->owner,
		LABEL_CONTROL, c->control_dir ? c->control_dir : "", KEEPER_LABEL, keeper,
		LABEL_KIND, c->lasts ? "build" : KIND_RUN, "HostConfig", "NetworkMode", "none",
		"NetworkDisabled", 1);
	const struct engine_request request = {
		.method = "POST", .path = path, .body = body, .timeout = CREATE_PATIENCE};
	m->must_answer = true;
	(void)make_ask(m, "making a container of it", &request, on_created);
}
