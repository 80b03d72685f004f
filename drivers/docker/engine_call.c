#include "drivers/docker/engine_private.h"

#include "base/limits.h"

#include <errno.h>
#include <stdio.h>

#define REFUSAL_MAX ((size_t)64 << 10)

/* What is sent when the version is known. */
struct wish {
	char *method, *path, *content_type, *body;
	uint64_t timeout, silence;
	size_t buffer;
};

struct engine_call {
	TAILQ_ENTRY(engine_call) link;
	struct engine *engine;
	struct engine_calls *list;
	unsigned round;
	bool over;	  /* its answer is being given */
	struct wish wish; /* empty when it was sent */
	struct web_call *web;
	unsigned status;
	struct strbuf text;	  /* of the answer, or why there is none */
	engine_answer_fn *answer; /* NULL = a stream */
	int (*data)(void *userdata, const char *data, size_t len);
	ssize_t (*body)(void *userdata, char *data, size_t size);
	void (*done)(void *userdata, int r, unsigned status, const struct err *err);
	void *userdata;
};

unsigned engine_call_round(const struct engine_call *c)
{
	return c->round;
}

static void wish_done(struct wish *w)
{
	free(w->method);
	free(w->path);
	free(w->content_type);
	free(w->body);
	*w = (struct wish){0};
}

static void call_free(struct engine_call *c)
{
	wish_done(&c->wish);
	strbuf_done(&c->text);
	free(c);
}

static void move(struct engine_call *c, struct engine_calls *list)
{
	if (c->list)
		TAILQ_REMOVE(c->list, c, link);
	c->list = list;
	if (list)
		TAILQ_INSERT_TAIL(list, c, link);
}

void engine_cancel(struct engine_call *c)
{
	if (!c || c->over)
		return;
	web_cancel(c->web);
	move(c, NULL);
	call_free(c);
}

void engine_calls_drop(struct engine *e)
{
	struct engine_call *c;

	while ((c = TAILQ_FIRST(&e->sent)) || (c = TAILQ_FIRST(&e->waiting)))
		engine_cancel(c);
}

/* c is gone after it, and perhaps its engine. */
static void answer(struct engine_call *c, int r, json_t *o, const struct err *err)
{
	move(c, NULL);
	c->over = true;
	if (c->answer)
		c->answer(c->userdata, r, c->status, o, err);
	else
		c->done(c->userdata, r, c->status, err);
	json_decref(o);
	call_free(c);
}

/* ---- the answer ---- */

static bool is_success(unsigned status)
{
	return (status >= 200 && status < 300) || status == 101 || status == 304;
}

static int broke(struct engine *e, const struct web_result *result, struct err *err)
{
	switch (-result->error) {
	case ETIMEDOUT: /* others may get their answers */
	case ECANCELED:
	case EPROTO:
	case ENOMEM:
		break;
	default:
		engine_gone(e, result->error, result->text);
	}
	return err_set(err, engine_code(result->error), "%s: %s", e->name, result->text);
}

static int parse(const struct engine_call *c, json_t **ret_answer, struct err *err)
{
	const struct strbuf *b = &c->text;
	json_error_t why;

	if (b->len == 0 || strspn(b->data, " \r\n\t") == b->len)
		return 0;
	json_t *o = json_loadb(b->data, b->len, JSON_DECODE_ANY, &why);
	if (!o)
		return err_set(err, -EBADMSG, "%s answers what is no JSON: %.200s", c->engine->name,
			why.text);
	*ret_answer = o;
	return 0;
}

static int judge(struct engine_call *c, const struct web_result *result, json_t **ret_answer,
	struct err *err)
{
	c->status = result->status;
	if (c->text.error == -E2BIG)
		return err_set(err, -E2BIG, "%s: an answer of more than %zu bytes", c->engine->name,
			c->text.limit);
	if (c->text.error)
		return err_errno(err, c->text.error, "%s", c->engine->name);
	/* What a refusal says is worth more than how its connection ended. */
	if (result->status >= 400 && c->text.len > 0)
		return engine_refused(c->engine, result->status, c->text.data, c->text.len, err);
	if (result->error)
		return broke(c->engine, result, err);
	if (!is_success(result->status))
		return engine_refused(c->engine, result->status, c->text.data, c->text.len, err);
	return c->answer ? parse(c, ret_answer, err) : 0;
}

static void on_head(void *userdata, unsigned status)
{
	struct engine_call *c = userdata;

	c->status = status;
	c->text.limit = is_success(status) ? LIMIT_ENGINE_ANSWER : REFUSAL_MAX;
}

static int on_data(void *userdata, const char *data, size_t len)
{
	struct engine_call *c = userdata;

	if (!c->answer && is_success(c->status))
		return c->data ? c->data(c->userdata, data, len) : 0;
	/* Of a refusal its beginning is enough. */
	if (!is_success(c->status) && len > REFUSAL_MAX - c->text.len)
		len = REFUSAL_MAX - c->text.len;
	return len ? strbuf_add(&c->text, data, len) : 0;
}

static ssize_t on_body(void *userdata, char *data, size_t size)
{
	struct engine_call *c = userdata;

	return c->body(c->userdata, data, size);
}

static void on_done(void *userdata, const struct web_result *result)
{
	struct engine_call *c = userdata;
	struct err err = {0};
	json_t *o = NULL;

	c->web = NULL;
	int r = judge(c, result, &o, &err);
	answer(c, r, o, &err);
}

static const struct web_events events = {
	.head = on_head,
	.data = on_data,
	.done = on_done,
};

static const struct web_events events_with_body = {
	.head = on_head,
	.data = on_data,
	.body = on_body,
	.done = on_done,
};

/* ---- the call ---- */

static int send_wish(struct engine_call *c, struct err *err)
{
	struct engine *e = c->engine;
	struct wish *w = &c->wish;
	_cleanup_free_ char *path = NULL;
	char type[100];

	if (asprintf(&path, "/v%u.%u%s", e->api / 100, e->api % 100, w->path) < 0) {
		path = NULL;
		return err_errno(err, -ENOMEM, "%s", e->name);
	}
	(void)snprintf(
		type, sizeof type, "Content-Type: %s", w->content_type ? w->content_type : "");
	struct web_order order = {
		.method = w->method,
		.path = path,
		.headers = w->content_type ? (const char *const[]){type, NULL} : NULL,
		.body = w->body,
		.body_len = w->body ? strlen(w->body) : 0,
		.timeout = w->timeout,
		.silence = w->silence,
		.buffer = w->buffer,
		.events = c->body ? &events_with_body : &events,
		.userdata = c,
	};
	int r = web_send(e->web, &order, &c->web, err);
	if (r < 0)
		return r;
	wish_done(w);
	move(c, &e->sent);
	return 0;
}

void engine_call_go(struct engine_call *c)
{
	struct err err = c->engine->why;
	int r = c->engine->state == ENGINE_UP ? send_wish(c, &err) : err.code;

	if (r < 0)
		answer(c, r, NULL, &err);
}

static bool copy(char **ret_text, const char *text)
{
	*ret_text = text ? strdup(text) : NULL;
	return *ret_text || !text;
}

static int begin(struct engine_call *c, struct engine_call **ret_call, struct err *err)
{
	struct engine *e = c->engine;

	if (e->state == ENGINE_UP) {
		int r = send_wish(c, err);
		if (r < 0)
			return r;
	} else {
		c->round = e->round;
		move(c, &e->waiting);
		if (e->state == ENGINE_GONE)
			engine_work(e);
	}
	*ret_call = c;
	return 0;
}

static struct engine_call *new_call(struct engine *e, const char *method, const char *path)
{
	struct engine_call *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->engine = e;
	c->text = STRBUF(REFUSAL_MAX);
	if (!copy(&c->wish.method, method) || !copy(&c->wish.path, path)) {
		call_free(c);
		return NULL;
	}
	return c;
}

static int set_json(struct wish *w, json_t *body)
{
	w->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	if (body && !w->body)
		return -ENOMEM;
	return body && !copy(&w->content_type, "application/json") ? -ENOMEM : 0;
}

int engine_ask(struct engine *e, const struct engine_request *request, engine_answer_fn *fn,
	void *userdata, struct engine_call **ret_call, struct err *err)
{
	struct engine_call *c = new_call(e, request->method, request->path);
	int r = c ? set_json(&c->wish, request->body) : -ENOMEM;

	json_decref(request->body);
	if (r < 0) {
		(void)err_errno(err, r, "%s", e->name);
	} else {
		c->answer = fn;
		c->userdata = userdata;
		if (!request->waits)
			c->wish.timeout = request->timeout ? request->timeout : ENGINE_USUAL;
		r = begin(c, ret_call, err);
	}
	if (r < 0 && c)
		call_free(c);
	return r;
}

int engine_stream(struct engine *e, const struct engine_stream *stream, void *userdata,
	struct engine_call **ret_call, struct err *err)
{
	struct engine_call *c = new_call(e, stream->method, stream->path);

	if (!c || !copy(&c->wish.content_type, stream->content_type)) {
		if (c)
			call_free(c);
		return err_errno(err, -ENOMEM, "%s", e->name);
	}
	c->data = stream->data;
	c->body = stream->body;
	c->done = stream->done;
	c->userdata = userdata;
	c->wish.silence = stream->silence;
	c->wish.buffer = stream->buffer;
	int r = begin(c, ret_call, err);
	if (r < 0)
		call_free(c);
	return r;
}

void engine_resume(struct engine_call *c)
{
	if (c->web)
		web_resume(c->web);
}
