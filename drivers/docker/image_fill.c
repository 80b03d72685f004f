/* Making an image: a container that never runs, and what the stack has. Then image_put.c. */
#include "base/clock.h"
#include "drivers/docker/image_private.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define CREATE_PATIENCE (120 * NSEC_PER_SEC)

/* ---- what the stack has ---- */

static void look_for_shell(struct make *m, const char *shell);

static void on_shell(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct make *m = userdata;

	(void)answer;
	m->call = NULL;
	if (r == 0) {
		make_put_user(m);
	} else if (r != -ENOENT || status != 404) {
		make_failed(m, r, status, err);
	} else if (strcmp(m->image.shell, "/bin/bash") == 0) {
		look_for_shell(m, "/bin/sh");
	} else {
		make_fail(m, -ENOEXEC,
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
		make_fail(m, -ENOMEM, "out of memory");
		return;
	}
	make_archive_path(m, shell, &path);
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
	make_archive_path(m, file, &path);
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
		make_fail(m, -EIO, "cannot get a random number");
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
