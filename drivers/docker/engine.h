/* The client of a container engine: Docker's Engine API (shared by dockerd and podman's service),
 * over io/web. Knows where the engine is, which version of the API both speak, and whether it is
 * there; knows nothing of dynos. json_t stays below drivers/docker/. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "io/web.h"

#include <jansson.h>

struct engine;
struct engine_call;

/* The oldest API that has all we need, and the newest we were written for. */
#define ENGINE_API_OLDEST 124U
#define ENGINE_API_NEWEST 141U /* 100 x major + minor */

struct engine_setup {
	sd_event *loop;
	/* As DOCKER_HOST: "unix:///run/docker.sock", "tcp://host:2376"; NULL = unix:///var/run/
	 * docker.sock. As DOCKER_CERT_PATH: a folder with ca.pem, cert.pem, key.pem: then tcp:// is
	 * TLS; NULL = none. tls_verify: as DOCKER_TLS_VERIFY: without it the engine's certificate
	 * is not checked against ca.pem, as Docker's own clients do it. */
	const char *host, *cert_path;
	bool tls_verify;
	/* The engine is there (up; also the first time), or was found gone: why. While it is gone
	 * it is asked again, with pauses from 0.1 s to 5 s, and this is called when it answers.
	 * From the loop; calls that break with the engine may be answered before. May call all of
	 * this header. */
	void (*changed)(void *userdata, bool up, const struct err *why);
	void *userdata;
};

/* Checks host and cert_path (-EINVAL, -ENOENT, -EACCES with err: what and where); asks the engine
 * for its version, and tells by `changed`. setup is copied. */
int engine_open(const struct engine_setup *setup, struct engine **ret_engine,
	struct err *err) HSUP_MUST_CHECK;
struct engine *engine_close(struct engine *e); /* no callback follows; NULL allowed */

bool engine_is_up(const struct engine *e);
unsigned engine_api(const struct engine *e); /* the version both speak; 0 = not asked yet */
bool engine_is_podman(const struct engine *e);
bool engine_is_local(const struct engine *e);	 /* by a Unix socket: its paths may be ours */
const char *engine_name(const struct engine *e); /* for messages: "docker at unix:///..." */

/* r: 0 (2xx, and 304: it is so already); -ENOENT (404), -EEXIST (409), -EINVAL (400), -EACCES (401,
 * 403), -EIO (any other status: err has the engine's own message); or as in io/web.h when the
 * engine is gone or hangs (no such socket: -ECONNREFUSED), -EBADMSG when it answered no JSON where
 * that was wanted. answer: NULL when there is none; borrowed. err: "docker: No such image: x",
 * filled when r < 0. */
typedef void engine_answer_fn(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err);

struct engine_request {
	const char *method;
	const char *path; /* behind the version: "/containers/json?all=1" */
	json_t *body;	  /* taken, on failure too; NULL = none */
	uint64_t timeout; /* ns; 0 = 30 s */
	bool waits;	  /* no time-out at all: for /wait */
};

/* Answers later, once, also when the engine is known to be gone (then with -ECONNREFUSED or what it
 * was, soon). A negative errno: no answer follows. */
int engine_ask(struct engine *e, const struct engine_request *request, engine_answer_fn *answer,
	void *userdata, struct engine_call **ret_call, struct err *err) HSUP_MUST_CHECK;
void engine_cancel(struct engine_call *c); /* no answer follows; NULL allowed */

/* A stream: its bytes as they come, 200 only (another status: its message in err at the end). The
 * same rules as web_events for data and body; done: r as above, 0 = it ended as it should. */
struct engine_stream {
	const char *method, *path, *content_type; /* of the body; NULL = none */
	uint64_t silence;			  /* ns; 0 = none */
	size_t buffer;				  /* as in io/web.h */
	int (*data)(void *userdata, const char *data, size_t len);
	ssize_t (*body)(void *userdata, char *data, size_t size); /* NULL = none */
	void (*done)(void *userdata, int r, unsigned status, const struct err *err);
};
int engine_stream(struct engine *e, const struct engine_stream *stream, void *userdata,
	struct engine_call **ret_call, struct err *err) HSUP_MUST_CHECK;
void engine_resume(struct engine_call *c);

/* For attach: as web_pipe_open(), path behind the version. */
int engine_pipe(struct engine *e, const char *path, const struct web_pipe_events *events,
	void *userdata, struct web_pipe **ret_pipe, struct err *err) HSUP_MUST_CHECK;

/* What `closed` was told, as answers are: r, and err when r < 0. */
int engine_pipe_result(
	const struct engine *e, const struct web_result *result, struct err *err) HSUP_MUST_CHECK;

/* ---- JSON, for whom an absent member and one of another type are the same ---- */

const char *json_text_of(const json_t *o, const char *name); /* "" */
int64_t json_number_of(const json_t *o, const char *name, int64_t other);
bool json_true_of(const json_t *o, const char *name);
/* What lists of containers and of images are: an array of objects, each with its Id. */
bool json_is_list(const json_t *o);
