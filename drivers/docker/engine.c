#include "drivers/docker/engine_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"

bool engine_is_up(const struct engine *e)
{
	return e->state == ENGINE_UP;
}

unsigned engine_api(const struct engine *e)
{
	return e->api;
}

bool engine_is_podman(const struct engine *e)
{
	return e->podman;
}

bool engine_is_local(const struct engine *e)
{
	return e->local;
}

const char *engine_name(const struct engine *e)
{
	return e->name;
}

/* ---- life ---- */

static void destroy(struct engine *e)
{
	engine_calls_drop(e);
	e->web = web_close(e->web);
	(void)sd_event_source_disable_unref(e->again);
	(void)sd_event_source_disable_unref(e->work);
	sd_event_unref(e->loop);
	strbuf_done(&e->ping_body);
	free(e);
}

void engine_enter(struct engine *e)
{
	e->busy++;
}

void engine_leave(struct engine *e)
{
	if (--e->busy == 0 && engine_is_closed(e))
		destroy(e);
}

struct engine *engine_close(struct engine *e)
{
	if (e && e->busy) {
		engine_calls_drop(e);
		e->web = web_close(e->web);
	} else if (e) {
		destroy(e);
	}
	return NULL;
}

void engine_work(struct engine *e)
{
	(void)sd_event_source_set_enabled(e->work, SD_EVENT_ONESHOT);
}

void engine_state_set(struct engine *e, enum engine_state state)
{
	e->state = state;
	e->untold = true;
	engine_work(e);
}

static int on_work(sd_event_source *source, void *userdata)
{
	struct engine *e = userdata;
	struct engine_call *c;

	(void)source;
	engine_enter(e);
	if (e->untold) {
		struct err why = e->why;

		e->untold = false;
		e->changed(e->userdata, e->state == ENGINE_UP, &why);
	}
	/* Those that are asked for in these answers have their turn next time. */
	e->round++;
	while (!engine_is_closed(e) && e->state != ENGINE_ASKED && (c = TAILQ_FIRST(&e->waiting)) &&
		engine_call_round(c) < e->round)
		engine_call_go(c);
	engine_leave(e);
	return 0;
}

/* ---- opening ---- */

static int check_file(const char *dir, const char *name, char **ret_path, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return err_errno(err, -ENOMEM, "DOCKER_CERT_PATH");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_errno(err, -errno, "DOCKER_CERT_PATH: %.300s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "DOCKER_CERT_PATH: %.300s is no file", path);
	*ret_path = TAKE_PTR(path);
	return 0;
}

static int open_web(struct engine *e, const struct engine_setup *setup,
	const struct engine_host *host, struct err *err)
{
	_cleanup_free_ char *ca = NULL, *cert = NULL, *key = NULL;
	const char *dir = host->tls ? setup->cert_path : NULL;
	int r = dir ? check_file(dir, "ca.pem", &ca, err) : 0;

	if (r == 0 && dir)
		r = check_file(dir, "cert.pem", &cert, err);
	if (r == 0 && dir)
		r = check_file(dir, "key.pem", &key, err);
	if (r < 0)
		return r;
	struct web_setup web = {
		.base = host->base,
		.socket = host->socket[0] ? host->socket : NULL,
		.ca = ca,
		.cert = cert,
		.key = key,
		.unverified = dir && !setup->tls_verify,
	};
	return web_open(e->loop, &web, &e->web, err);
}

static int start(struct engine *e, struct err *err)
{
	int r = sd_event_add_defer(e->loop, &e->work, on_work, e);

	if (r >= 0)
		r = sd_event_source_set_enabled(e->work, SD_EVENT_OFF);
	if (r < 0)
		return err_errno(err, r, "%s", e->name);
	return engine_ping(e, err);
}

int engine_open(const struct engine_setup *setup, struct engine **ret_engine, struct err *err)
{
	const char *cert_path = setup->cert_path && *setup->cert_path ? setup->cert_path : NULL;
	struct engine_setup s = *setup;
	struct engine_host host;
	int r = engine_host_parse(s.host, cert_path || s.tls_verify, &host, err);

	if (r < 0)
		return r;
	s.cert_path = cert_path;
	struct engine *e = calloc(1, sizeof *e);
	if (!e)
		return err_errno(err, -ENOMEM, "docker");
	e->loop = sd_event_ref(s.loop);
	e->changed = s.changed;
	e->userdata = s.userdata;
	e->local = host.socket[0];
	e->ping_body = STRBUF((size_t)64 << 10);
	TAILQ_INIT(&e->sent);
	TAILQ_INIT(&e->waiting);
	(void)snprintf(e->host, sizeof e->host, "%s%s", e->local ? "unix://" : "",
		e->local ? host.socket : host.base);
	(void)snprintf(e->name, sizeof e->name, "docker at %s", e->host);
	r = open_web(e, &s, &host, err);
	if (r == 0)
		r = start(e, err);
	if (r < 0) {
		destroy(e);
		return r;
	}
	*ret_engine = e;
	return 0;
}
