/* What became of a call, in one line. */
#include "cli/http.h"

#include "cli/member.h"
#include "io/curl.h"

#include <errno.h>

static int not_connected(const struct http_call *c, struct err *err)
{
	int r = curl_ask_socket(c->socket);

	switch (-r) {
	case ENOENT:
	case ENOTDIR:
		return err_set(err, -ENOENT, "nobody listens: there is no %.300s", c->socket);
	case ECONNREFUSED:
		return err_set(err, r, "nobody listens on %.300s: that hsup has ended", c->socket);
	case EACCES:
	case EPERM:
		return err_set(err, -EACCES,
			"no right to open %.300s: ask as root, as hsup's own user, or as one of "
			"--operate-uid, --operate-gid, --watch-uid, --watch-gid",
			c->socket);
	default:
		return err_errno(err, r, "%.300s", c->socket);
	}
}

static int transport(const struct http_call *c, struct err *err)
{
	switch (c->code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return not_connected(c, err);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(err, -ETIMEDOUT,
			"no answer from %.300s: that hsup is hung, or very busy", c->socket);
	case CURLE_WRITE_ERROR:
		return c->answer.error ? err_errno(err, c->answer.error, "answer of hsup")
				       : err_set(err, -ECANCELED, "given up");
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return err_set(err, -EPROTO, "what listens on %.300s is no hsup", c->socket);
	default:
		return err_set(err, -EPIPE, "the connection to hsup was lost");
	}
}

static const struct {
	long status;
	int code;
} refusals[] = {
	{400, -EINVAL},
	{401, -EPERM},
	{403, -EPERM},
	{404, -ESRCH},
	{409, -EAGAIN},
	{422, -EINVAL},
};

static int refused(const struct http_call *c, struct err *err)
{
	json_t *body = json_loadb(c->answer.data ? c->answer.data : "", c->answer.len, 0, NULL);
	const char *text = member_text(body, "message");
	int code = -EREMOTEIO;
	char shown[400];

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].status == c->status)
			code = refusals[i].code;
	if (*text)
		err_set(err, code, "%s", str_printable(text, strlen(text), shown, sizeof shown));
	else
		err_set(err, code = -EPROTO,
			"hsup answers %s with status %ld: is it of another version?", c->path,
			c->status);
	json_decref(body);
	return code;
}

int http_result(const struct http_call *c, struct err *err)
{
	if (c->code != CURLE_OK)
		return transport(c, err);
	if (c->status >= 200 && c->status < 300)
		return 0;
	return refused(c, err);
}
