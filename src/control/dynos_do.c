/* /v1/dynos/...: what can be done to dynos. */
#include "control/private.h"

#include "base/fd.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int by_text(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The names of the dynos that fit, each once, behind those that are in the list already. An old and
 * a new one of a name stand beside each other. */
static int add_fitting(struct control *c, const struct view_list *names, struct view_list *to)
{
	size_t n = operate_dynos(c->s), cap = to->n, before = to->n;
	_cleanup_free_ char **known = calloc(before + 1, sizeof *known);
	char name[LIMIT_NAME + 1];

	if (!known)
		return -ENOMEM;
	if (before) {
		memcpy(known, to->list, before * sizeof *known);
		qsort(known, before, sizeof *known, by_text);
	}
	for (size_t i = 0; i < n; i++) {
		const struct dyno *d = operate_dyno_at(c->s, i);
		const char *key = name;

		(void)snprintf(name, sizeof name, "%s.%u", d->type, d->instance);
		if (!fits_one_of(d, names->list, names->n) ||
			(to->n > before && strcmp(to->list[to->n - 1], name) == 0) ||
			bsearch(&key, known, before, sizeof *known, by_text))
			continue;
		if (mem_grow(&to->list, &cap, to->n + 1, LIMIT_DYNOS * 2, sizeof *to->list) < 0)
			return -ENOMEM;
		to->list[to->n] = strdup(name);
		if (!to->list[to->n])
			return -ENOMEM;
		to->n++;
	}
	return 0;
}

static void answer_done_to(struct answer *a, const struct view_list *dynos, uint64_t event)
{
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);

	if (!b)
		return;
	view_raw(b, "{");
	view_member(b, "dynos");
	view_raw(b, "[");
	for (size_t i = 0; i < dynos->n; i++) {
		view_text(b, dynos->list[i]);
		view_raw(b, ",");
	}
	view_end(b, ']');
	view_member_u64(b, "event", event);
	view_end(b, '}');
	view_finish(b);
}

static void do_to(struct control *c, const struct request *r, struct answer *a, enum operation what,
	const struct view_list *names, int signo)
{
	HSUP_CLEANUP(view_list_done) struct view_list dynos = {0};
	uint64_t event = recorder_next(operate_recorder(c->s));
	struct err err = {0};
	size_t n;

	if (!names->n) {
		answer_error(a, 400, "the body names no dynos: {\"names\": [\"web.*\"]}");
		return;
	}
	if (!check_names(c, names->list, names->n, a))
		return;
	int k = add_fitting(c, names, &dynos);
	if (k == 0)
		k = operate_do(c->s, what, names->list, names->n, signo, &r->asker, &n, &err);
	/* A start may have made some. */
	if (k == 0)
		k = add_fitting(c, names, &dynos);
	if (k < 0)
		answer_failed(a, k, &err);
	else
		answer_done_to(a, &dynos, event);
}

static void do_what_body_says(
	struct control *c, const struct request *r, struct answer *a, enum operation what)
{
	HSUP_CLEANUP(view_list_done) struct view_list names = {0};
	const struct view_field fields[] = {{"names", VIEW_TEXTS, &names}};
	struct err err = {0};

	if (view_read(r->body, r->body_len, fields, ARRAY_SIZE(fields), &err) < 0)
		answer_error(a, 400, "%s", err.text);
	else
		do_to(c, r, a, what, &names, 0);
}

void post_start(struct control *c, const struct request *r, struct answer *a)
{
	do_what_body_says(c, r, a, OPERATE_START);
}

void post_stop(struct control *c, const struct request *r, struct answer *a)
{
	do_what_body_says(c, r, a, OPERATE_STOP);
}

void post_restart(struct control *c, const struct request *r, struct answer *a)
{
	do_what_body_says(c, r, a, OPERATE_RESTART);
}

void post_roll(struct control *c, const struct request *r, struct answer *a)
{
	do_what_body_says(c, r, a, OPERATE_ROLL);
}

void post_signal(struct control *c, const struct request *r, struct answer *a)
{
	HSUP_CLEANUP(view_list_done) struct view_list names = {0};
	_cleanup_free_ char *text = NULL;
	const struct view_field fields[] = {
		{"names", VIEW_TEXTS, &names}, {"signal", VIEW_TEXT, &text}};
	struct err err = {0};
	char shown[40];

	if (view_read(r->body, r->body_len, fields, ARRAY_SIZE(fields), &err) < 0) {
		answer_error(a, 400, "%s", err.text);
		return;
	}
	int signo = text ? parse_signal(text) : -EINVAL;
	if (signo < 0)
		answer_error(a, text ? 422 : 400, "\"signal\" must be a signal, as \"HUP\", not %s",
			text ? str_printable(text, strlen(text), shown, sizeof shown) : "missing");
	else
		do_to(c, r, a, OPERATE_SIGNAL, &names, signo);
}

void post_stdin(struct control *c, const struct request *r, struct answer *a)
{
	struct err err = {0};
	size_t written = 0;

	_cleanup_close_ int fd = operate_stdin(c->s, r->segments[2], &r->asker, &err);
	if (fd < 0) {
		answer_failed(a, fd, &err);
		return;
	}
	while (written < r->body_len) {
		ssize_t n = write(fd, r->body + written, r->body_len - written);

		if (n < 0 && errno == EINTR)
			continue;
		/* Full: the client asks again with what is left. */
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			(void)err_errno(&err, -errno, "standard input of %s", r->segments[2]);
			answer_failed(a, -EBUSY, &err);
			return;
		}
		written += (size_t)n;
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (!b)
		return;
	view_raw(b, "{");
	view_member_u64(b, "written", written);
	view_end(b, '}');
	view_finish(b);
}
