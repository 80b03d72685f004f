/* /v1/events: what happens, as server-sent events. A follower is a place in the recorder's ring:
 * one that is slow takes no memory, and is told what it missed. */
#include "control/private.h"

#include "base/parse.h"
#include "model/validate.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#define EVENT_MAX 4096 /* bytes of one, as it is sent */

struct events {
	struct stream stream;
	struct control *control;
	uint64_t next; /* id to be sent */
	bool begun, beat;
	uint64_t kinds;	      /* bits of enum record_kind */
	struct request names; /* those of the request: its text holds them */
};

_Static_assert(RECORD_KIND_MAX <= 64, "kinds has a bit for each");

static void view_record(struct strbuf *b, const struct record *rec)
{
	bool state = rec->kind == RECORD_STATE;

	view_raw(b, "{");
	view_member_u64(b, "id", rec->id);
	view_member_stamp(b, "at", rec->wall_ns);
	view_member_text(b, "kind", record_kind_text(rec->kind));
	view_member_text(b, "name", *rec->name ? rec->name : NULL);
	view_member_known(b, "release", (uint64_t)rec->release, 0);
	view_member_known(b, "generation", rec->generation, 0);
	view_member_text(b, "from", state ? dyno_state_text(rec->from) : NULL);
	view_member_text(b, "to",
		state			     ? dyno_state_text(rec->to)
		: rec->kind == RECORD_HEALTH ? health_text(rec->to)
					     : NULL);
	view_member_text(b, "cause",
		state && rec->cause < DYNO_EVENT_MAX ? dyno_event_text(rec->cause) : NULL);
	view_member_exit(b, "exit", &rec->exit, 0);
	view_member_text(b, "text", *rec->text ? rec->text : NULL);
	view_end(b, '}');
	view_finish(b);
}

/* "web", "web.*", "web.1" and fnmatch(3), as of dynos; but a name may be a type's, or of one that
 * is no more. */
static bool name_fits(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	return strcmp(pattern, "all") == 0 || fnmatch(pattern, name, 0) == 0 ||
	       (strncmp(pattern, name, len) == 0 && name[len] == '.') ||
	       (len > 2 && strcmp(pattern + len - 2, ".*") == 0 && strlen(name) == len - 2 &&
		       strncmp(pattern, name, len - 2) == 0);
}

static bool fits(const struct events *e, const struct record *rec)
{
	bool named = false, any = false;

	if (!record_public(rec) || !(e->kinds >> rec->kind & 1))
		return false;
	for (size_t i = 0; i < e->names.n_params && !named; i++)
		if (strcmp(e->names.params[i].name, "name") == 0) {
			any = true;
			named = name_fits(e->names.params[i].value, rec->name);
		}
	return named || !any;
}

/* What was forgotten before it was sent. */
static size_t write_gap(struct events *e, char *to, size_t max)
{
	uint64_t first = recorder_first(operate_recorder(e->control->s));

	if (e->next >= first)
		return 0;
	int n = snprintf(to, max, "event: gap\ndata: {\"from\":%llu,\"to\":%llu}\n\n",
		(unsigned long long)e->next, (unsigned long long)first - 1);
	e->next = first;
	return (size_t)n;
}

static ssize_t read_events(struct stream *stream, char *buf, size_t max)
{
	struct events *e = (struct events *)stream;
	struct recorder *recorder = operate_recorder(e->control->s);
	struct strbuf _cleanup_strbuf_ data = STRBUF(EVENT_MAX);
	const struct record *rec;
	size_t at = 0;

	if (max < EVENT_MAX + 200)
		return -1;
	if (!e->begun)
		at += (size_t)snprintf(buf, max, "retry: 1000\n: hsup\n\n");
	e->begun = true;
	at += write_gap(e, buf + at, max - at);
	while (max - at > EVENT_MAX + 100 && (rec = recorder_from(recorder, e->next))) {
		e->next = rec->id + 1;
		if (!fits(e, rec))
			continue;
		strbuf_reset(&data);
		view_record(&data, rec);
		if (data.error)
			continue;
		at += (size_t)snprintf(buf + at, max - at, "id: %llu\nevent: %s\ndata: %s\n",
			(unsigned long long)rec->id, record_kind_text(rec->kind), data.data);
	}
	if (at == 0 && e->beat)
		at += (size_t)snprintf(buf, max, ": alive\n\n");
	e->beat = false;
	return (ssize_t)at;
}

static void beat(struct stream *stream)
{
	struct events *e = (struct events *)stream;

	e->beat = true;
	stream_wake(e->control, stream);
}

static void free_events(struct stream *stream)
{
	struct events *e = (struct events *)stream;

	request_done(&e->names);
	free(e);
}

static const struct stream_ops events_ops = {
	.read = read_events,
	.beat = beat,
	.free = free_events,
};

static void on_added(void *userdata)
{
	struct control *c = userdata;

	for (struct stream *s = c->streams, *next; s; s = next) {
		next = s->next;
		if (s->ops == &events_ops)
			stream_wake(c, s);
	}
}

void events_open(struct control *c)
{
	recorder_listen(operate_recorder(c->s), on_added, c);
}

void events_close(struct control *c)
{
	recorder_listen(operate_recorder(c->s), NULL, NULL);
}

static bool read_kinds(const struct request *r, struct events *e, struct answer *a)
{
	const char *names[RECORD_KIND_MAX];
	size_t n = 0;

	for (unsigned k = 0; k < RECORD_KIND_MAX; k++)
		if (record_public(&(struct record){.kind = (unsigned char)k}))
			names[n++] = record_kind_text(k);
	for (size_t i = 0; i < r->n_params; i++) {
		uint64_t before = e->kinds;

		if (strcmp(r->params[i].name, "kind") != 0)
			continue;
		for (unsigned k = 0; k < RECORD_KIND_MAX; k++)
			if (fnmatch(r->params[i].value, record_kind_text(k), 0) == 0)
				e->kinds |= UINT64_C(1) << k;
		if (e->kinds != before)
			continue;
		const char *near = nearest_name(r->params[i].value, names, n);
		char shown[80];
		str_printable(r->params[i].value, strlen(r->params[i].value), shown, sizeof shown);
		answer_error(a, 400, "no such kind of event: %s%s%s", shown,
			near ? "; did you mean " : "", near ? near : "");
		return false;
	}
	if (!e->kinds)
		e->kinds = UINT64_MAX;
	return true;
}

/* Where it begins: behind the last that it has seen, or at one that it names, or now. */
static bool read_from(
	struct control *c, const struct request *r, struct events *e, struct answer *a)
{
	const char *from =
		r->last_event_id && *r->last_event_id ? r->last_event_id : request_param(r, "from");
	uint64_t next = recorder_next(operate_recorder(c->s)), given;

	e->next = next;
	if (!from)
		return true;
	if (parse_u64(from, UINT64_MAX - 1, &given) < 0) {
		answer_error(a, 400, "from, or Last-Event-ID, must be the id of an event");
		return false;
	}
	given += from == r->last_event_id;
	e->next = given < next ? given : next;
	return true;
}

void get_events(struct control *c, const struct request *r, struct answer *a)
{
	struct err err = {0};

	if (strcmp(r->method, "HEAD") == 0) {
		answer_body(a, 200, ANSWER_EVENTS);
		return;
	}
	if (!stream_admit(c, a))
		return;
	struct events *e = calloc(1, sizeof *e);
	if (!e) {
		answer_error(a, 500, "%s", err_name(ENOMEM));
		return;
	}
	e->stream = (struct stream){.ops = &events_ops, .follows = true};
	e->control = c;
	if (!read_kinds(r, e, a) || !read_from(c, r, e, a) ||
		request_copy(r, &e->names, &err) < 0) {
		free_events(&e->stream);
		if (err.code)
			answer_failed(a, err.code, &err);
		return;
	}
	a->status = 200;
	a->type = ANSWER_EVENTS;
	a->stream = &e->stream;
}
