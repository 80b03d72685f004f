/* A request on its way: its head, its body, its answer. */
#include "control/server_private.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define WARN_EVERY (10 * NSEC_PER_SEC)

struct call {
	struct request request;
	int bad; /* what came of reading the target */
	struct err why;
	bool begun;
	size_t limit, received;
	char *body;
	size_t len, cap;
	bool too_large, too_many;
	const char *token_missing; /* NULL = it is not */
};

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void *call_begin(void *server, const char *target, struct MHD_Connection *connection)
{
	struct call *call = calloc(1, sizeof *call);

	(void)server;
	(void)connection;
	if (call)
		call->bad = request_parse(&call->request, target, &call->why);
	return call;
}

void call_end(void *server, struct MHD_Connection *connection, void **state,
	enum MHD_RequestTerminationCode how)
{
	struct server *s = server;
	struct call *call = *state;

	(void)connection;
	(void)how;
	if (!call)
		return;
	s->body_bytes -= call->cap;
	request_done(&call->request);
	free(call->body);
	free(call);
	*state = NULL;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return mhd.lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A page in a browser reaches loopback by a name of its own choice. */
static bool local_host(const char *host)
{
	static const char *const names[] = {"localhost", "127.", "[::1]"};

	for (size_t i = 0; host && i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(host, names[i], len) != 0)
			continue;
		/* "127.0.0.1:8080", but not "127.0.0.1.evil.example". */
		if (i == 1)
			return strspn(host, "0123456789.:") == strlen(host);
		return host[len] == '\0' || host[len] == ':';
	}
	return false;
}

static void authenticate(struct server *s, struct call *call, struct MHD_Connection *connection)
{
	const struct client *client = client_of(connection);
	struct request *r = &call->request;
	char name[TOKEN_NAME + 1];

	peer_asker(&client->peer, &r->asker);
	r->role = client->peer.role;
	if (!client->peer.tcp)
		return;
	if (!local_host(header(connection, "Host"))) {
		call->token_missing = "the Host header must name this machine: 127.0.0.1, [::1] or "
				      "localhost";
		return;
	}
	r->role = tokens_role(s->tokens, header(connection, "Authorization"), name);
	if (r->role == ROLE_NONE)
		call->token_missing = "needs \"Authorization: Bearer TOKEN\" with a token of the "
				      "token file";
	else
		(void)snprintf(r->asker.who, sizeof r->asker.who, "token%s%.32s (%.30s)",
			*name ? " " : "", name, client->peer.address);
}

/* The head is there. */
static void begin(
	struct server *s, struct call *call, struct MHD_Connection *connection, const char *method)
{
	struct request *r = &call->request;
	struct answer ignored = {0};

	call->begun = true;
	r->method = method;
	r->last_event_id = header(connection, "Last-Event-ID");
	authenticate(s, call, connection);
	if (call->bad < 0 || call->token_missing)
		return;
	/* The body of one that will be refused is not kept. */
	const struct route *route = route_find(r, &ignored);
	if (route && r->role >= route->role)
		call->limit = route_body_limit(route);
	answer_done(&ignored);
}

static void take_body(struct server *s, struct call *call, const char *data, size_t size)
{
	call->received += size;
	if (!call->limit || call->too_large || call->too_many)
		return;
	if (size > call->limit - call->len) {
		call->too_large = true;
		return;
	}
	size_t cap = call->cap ? call->cap : 4096;
	while (cap < call->len + size + 1)
		cap *= 2;
	if (cap != call->cap) {
		char *grown = NULL;

		if (s->body_bytes + (cap - call->cap) <= LIMIT_CONTROL_BODIES)
			grown = realloc(call->body, cap);
		if (!grown) {
			call->too_many = true;
			return;
		}
		s->body_bytes += cap - call->cap;
		call->body = grown;
		call->cap = cap;
	}
	memcpy(call->body + call->len, data, size);
	call->len += size;
	call->body[call->len] = '\0';
}

/* Says who was refused, but is not made to fill the log with it. */
static void warn_refused(struct server *s, const struct call *call, unsigned status)
{
	uint64_t now = clock_now();
	char path[120];
	size_t at = 0;

	if ((status != 401 && status != 403) || (s->warned && now - s->warned < WARN_EVERY))
		return;
	s->warned = now;
	path[0] = '\0';
	for (size_t i = 0; i < call->request.n_segments && at < sizeof path; i++)
		at += (size_t)snprintf(
			path + at, sizeof path - at, "/%s", call->request.segments[i]);
	log_warning("control: %s was refused: %.10s %s", call->request.asker.who,
		call->request.method, path);
}

static void make_answer(struct server *s, struct call *call, struct answer *a)
{
	struct request *r = &call->request;

	r->body = call->body;
	r->body_len = call->len;
	if (call->bad < 0)
		answer_error(a,
			call->bad == -ENOENT   ? 404
			: call->bad == -E2BIG  ? 413
			: call->bad == -EINVAL ? 400
					       : 500,
			"%s", call->why.text);
	else if (call->token_missing)
		answer_error(a, 401, "%s", call->token_missing);
	else if (call->too_large)
		answer_error(a, 413, "the body is larger than %zu bytes", call->limit);
	else if (call->too_many)
		answer_error(a, 429, "too much is being read at once");
	else
		route_answer(s->c, r, a);
	warn_refused(s, call, a->status);
}

static void free_page(void *page)
{
	(void)page_unref(page);
}

static void headers(struct MHD_Response *response, const struct answer *a)
{
	static const char *const types[] = {
		[ANSWER_JSON] = "application/json",
		[ANSWER_TEXT] = "text/plain; charset=utf-8",
		[ANSWER_NDJSON] = "application/x-ndjson",
		[ANSWER_EVENTS] = "text/event-stream",
		[ANSWER_METRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};

	(void)mhd.add_response_header(response, "Content-Type", types[a->type]);
	if (a->allow)
		(void)mhd.add_response_header(response, "Allow", a->allow);
	if (a->retry)
		(void)mhd.add_response_header(response, "Retry-After", "1");
	if (a->status == 401)
		(void)mhd.add_response_header(response, "WWW-Authenticate", "Bearer");
	if (a->stream && a->stream->follows) {
		(void)mhd.add_response_header(response, "Cache-Control", "no-store");
		/* Its time-out is off: what comes after it would have none either. */
		(void)mhd.add_response_header(response, "Connection", "close");
	}
}

static enum MHD_Result send_answer(
	struct server *s, struct MHD_Connection *connection, struct answer *a)
{
	struct MHD_Response *response = NULL;
	struct strbuf *body = a->page ? &a->page->body : NULL;

	/* Half an answer is none. */
	if (body && body->error)
		answer_error(a, 500, "the answer: %s", err_name(body->error));
	body = a->page ? &a->page->body : NULL;
	if (a->stream) {
		response = stream_response(s, connection, a->stream);
	} else if (body) {
		char nothing[1] = "";

		response = mhd.response_from_buffer(
			body->len, body->data ? body->data : nothing, free_page, a->page);
		if (response)
			a->page = NULL;
	}
	if (!response)
		return MHD_NO;
	headers(response, a);
	a->stream = NULL;
	enum MHD_Result r = mhd.queue_response(connection, a->status, response);
	mhd.destroy_response(response);
	return r;
}

enum MHD_Result call_go_on(void *server, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	HSUP_CLEANUP(answer_done) struct answer a = {0};
	struct server *s = server;
	struct call *call = *state;

	(void)url;
	(void)version;
	if (!call)
		return MHD_NO;
	if (!call->begun) {
		begin(s, call, connection, method);
		return MHD_YES;
	}
	if (*size) {
		take_body(s, call, data, *size);
		*size = 0;
		return call->received > LIMIT_CONTROL_DRAINED ? MHD_NO : MHD_YES;
	}
	make_answer(s, call, &a);
	return send_answer(s, connection, &a);
}
