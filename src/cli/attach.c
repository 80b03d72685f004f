/* `hsup attach`: the standard input and the output of a dyno, here. */
#include "cli/reach.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNK 65536
#define RETRY (20 * NSEC_PER_MSEC) /* a dyno that does not read now */

static const enum option_id takes[] = {
	OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

struct attached {
	struct reach *reach;
	struct app *app;
	struct http_call output, input;
	char *output_path, *input_path;
	bool sending, eof;
	char chunk[CHUNK];
	size_t at, len;	   /* what is left of it */
	uint64_t retry_at; /* 0 = nothing was left over */
};

static int on_output(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	return fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0 ? 0 : -EIO;
}

static int failed(struct attached *t, const struct http_call *call)
{
	t->app->failed = http_result(call, &t->app->err);
	return app_failure(t->reach, t->app);
}

static int listen_to(struct attached *t)
{
	struct err err;

	/* What was written before is what `logs` is for; what hsup says of it, too. */
	t->output_path =
		app_query(t->app, "/v1/logs", "format=raw&follow=1&last=0&stream=out&stream=err");
	t->output = (struct http_call){
		.socket = t->app->socket,
		.method = "GET",
		.path = t->output_path,
		.data = on_output,
		.endless = true,
	};
	if (!t->output_path || http_begin(t->reach->http, &t->output, &err) < 0)
		return ask_error(t->reach, EXIT_REFUSED, "out of memory");
	return EXIT_OK;
}

/* One piece at a time: hsup takes of it what the dyno has room for. */
static int send_rest(struct attached *t)
{
	struct err err;

	t->retry_at = 0;
	t->input = (struct http_call){
		.socket = t->app->socket,
		.method = "POST",
		.path = t->input_path,
		.body = t->chunk + t->at,
		.body_len = t->len - t->at,
	};
	if (http_begin(t->reach->http, &t->input, &err) < 0)
		return ask_error(t->reach, EXIT_REFUSED, "%s", err.text);
	t->sending = true;
	return EXIT_OK;
}

static int read_input(struct attached *t)
{
	ssize_t n = read(STDIN_FILENO, t->chunk, sizeof t->chunk);

	t->at = 0;
	t->len = n > 0 ? (size_t)n : 0;
	t->eof = n <= 0;
	return t->eof ? EXIT_OK : send_rest(t);
}

static int sent(struct attached *t)
{
	_cleanup_json_ json_t *answer = NULL;
	struct strbuf *text = &t->input.answer;

	t->sending = false;
	if (http_result(&t->input, &t->app->err) < 0)
		return failed(t, &t->input);
	answer = json_loadb(text->data ? text->data : "", text->len, 0, NULL);
	t->at += (size_t)member_int(answer, "written");
	if (t->at < t->len)
		t->retry_at = clock_now() + RETRY;
	return EXIT_OK;
}

static int go_on(struct attached *t)
{
	int code = EXIT_OK;

	while (code == EXIT_OK) {
		bool reads = t->output.begun && !t->sending && !t->eof && !t->retry_at;
		int ready = http_step(
			t->reach->http, reads ? STDIN_FILENO : -1, t->retry_at ? 20 : 1000);

		if (t->sending && t->input.done) {
			code = sent(t);
			http_end(t->reach->http, &t->input);
		}
		if (t->output.done) {
			if (t->output.status == 200 && t->output.code == 0)
				return ask_error(t->reach, EXIT_REFUSED,
					"the stream has ended: hsup has ended, or its supervisor "
					"was replaced");
			return failed(t, &t->output);
		}
		if (code == EXIT_OK && t->retry_at && clock_now() >= t->retry_at)
			code = send_rest(t);
		else if (code == EXIT_OK && ready)
			code = read_input(t);
	}
	return code;
}

/* To leave is what it ends with: nothing is wrong then. */
static void leave(int signo)
{
	(void)signo;
	_exit(EXIT_OK);
}

static int attach(struct reach *r, struct app *app)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF(1000);
	struct attached *t;
	int code = app_ask(r, app, "GET", "/v1/dynos", true) < 0 ? app_failure(r, app) : EXIT_OK;

	if (code != EXIT_OK)
		return code;
	const char *name = member_text(json_array_get(app->answer, 0), "name");
	if (json_array_size(app->answer) != 1)
		return usage_error(&command_attach, "one dyno only: '%s' are %zu", app->names[0],
			json_array_size(app->answer));
	(void)strbuf_puts(&path, "/v1/dynos/");
	strbuf_escape(&path, name);
	(void)strbuf_puts(&path, "/stdin");
	t = calloc(1, sizeof *t);
	if (!t || path.error) {
		free(t);
		return ask_error(r, EXIT_REFUSED, "out of memory");
	}
	t->reach = r;
	t->app = app;
	t->input_path = path.data;
	(void)signal(SIGINT, leave);
	(void)signal(SIGTERM, leave);
	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "hsup attach: %s; Ctrl-C leaves\n", app_label(app, name));
	code = listen_to(t);
	if (code == EXIT_OK)
		code = go_on(t);
	http_end(r->http, &t->output);
	http_end(r->http, &t->input);
	free(t->output_path);
	free(t);
	return code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	struct app *app;
	int code = n != 1 ? usage_error(&command_attach, "takes one NAME of a dyno") : EXIT_OK;

	if (code == EXIT_OK)
		code = reach_open(&r, &command_attach, o);
	if (code == EXIT_OK)
		code = reach_choose(&r, operands, 1);
	if (code == EXIT_OK)
		code = reach_one(&r, &app);
	if (code == EXIT_OK && !app->socket)
		code = ask_error(&r, EXIT_UNREACHED, "%s: it does not run", app->name);
	if (code == EXIT_OK)
		code = attach(&r, app);
	reach_done(&r);
	return code;
}

const struct command command_attach = {
	.name = "attach",
	.operands = "NAME",
	.summary = "type into a dyno, and see what it writes",
	.help = "What is typed goes to the standard input of the dyno, when its process type has\n"
		"Stdin; what it writes from now on is shown. Ctrl-C leaves; the dyno runs on. The\n"
		"end of what is typed is not the end for the dyno.\n"
		"\n"
		"Examples:\n"
		"  hsup attach -C /srv/shop console.1\n"
		"  echo reload | timeout 1 hsup attach shop/web.1\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run,
};
