/* Where lines go beside the main sink: files, rings, further sinks. None of them makes a dyno wait.
 */
#include "logs/dests.h"

#include "base/clock.h"
#include "base/str.h"
#include "logs/router_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define TICK	     NSEC_PER_SEC
#define RING_DEFAULT ((size_t)64 << 10)

/* From inside a flush: told when the loop comes to it. */
static void say(void *userdata, const char *text)
{
	struct router *r = userdata;
	char printable[1200];

	(void)str_printable(text, strlen(text), printable, sizeof printable);
	notes_add(&r->notes, clock_wall(), "logs", printable, strlen(printable));
	router_pump_later(r);
}

/* ---- files ---- */

static bool gets(const struct log_file *f, const struct tap *t)
{
	return f->all || (t && t->file == f);
}

static size_t piece_need(const struct log_file *f, const struct log_lines *lines, size_t i)
{
	struct log_line line = lines_at(lines, i);

	return format_need(&f->format, &line);
}

/* Bytes that the first lines take of the journal at most; how many of them fit into it. */
static size_t fit(const struct log_file *f, const struct log_lines *lines, size_t n, size_t space,
	size_t *ret_left)
{
	struct log_line empty = lines->head;
	size_t name = strlen(f->path) + 1, i = 0;

	empty.text = "";
	empty.len = 0;
	size_t base = format_need(&f->format, &empty);
	bool plain = f->format.kind != LOG_FORMAT_JSON;
	space = space > name ? space - name : 0;
	for (; i < n; i++) {
		size_t need = plain ? base + lines->spans[i].len : piece_need(f, lines, i);

		if (need > space)
			break;
		space -= need;
	}
	*ret_left = space;
	return i;
}

size_t dests_fit(struct router *r, const struct tap *t, const struct log_lines *lines)
{
	size_t n_files = 0, n = lines->n;
	struct log_file *f;

	TAILQ_FOREACH(f, &r->files, link)
	n_files += gets(f, t);
	if (n_files == 0)
		return n;
	/* Each gets the same part, so that what fits into one fits into all. */
	size_t space = carry_files_space(r->book, n_files) / n_files, left;
	TAILQ_FOREACH(f, &r->files, link)
	if (gets(f, t))
		n = fit(f, lines, n, space, &left);
	return n;
}

static void put_file(struct router *r, struct log_file *f, const struct log_lines *lines)
{
	size_t space = 0;
	char *end, *at = carry_file_room(r->book, f->path, f, &space);

	if (!at)
		return;
	(void)lines_put(&f->format, lines, at, space, &end);
	carry_file_added(r->book, end);
}

/* ---- further sinks ---- */

static void extra_writable(void *userdata);

static void extra_flush(struct extra *x)
{
	if (x->stalled || x->sink->ops->flush(x->sink) != -EAGAIN)
		return;
	x->stalled = x->sink->ops->when_writable(x->sink, x->owner->loop, extra_writable, x) >= 0;
}

struct log_line dests_l10(uint64_t n, uint64_t since, char text[L10_BYTES])
{
	char stamp[CLOCK_STAMP_LEN + 1];

	clock_stamp(since, stamp);
	int len = snprintf(text, L10_BYTES,
		"Error L10 (output buffer overflow): %llu messages dropped since %s",
		(unsigned long long)n, stamp);
	return (struct log_line){
		.wall_ns = clock_wall(),
		.source = "hsup",
		.procid = "logs",
		.stream = STREAM_SYSTEM,
		.text = text,
		.len = (size_t)len,
	};
}

static void tell_dropped(struct extra *x)
{
	char text[L10_BYTES];

	if (x->stalled || x->dropped == 0)
		return;
	struct log_line line = dests_l10(x->dropped, x->since, text);
	if (x->sink->ops->line(x->sink, &line) == 0)
		x->dropped = 0;
}

static void extra_writable(void *userdata)
{
	struct extra *x = userdata;

	x->stalled = false;
	extra_flush(x);
	tell_dropped(x);
	extra_flush(x);
}

static void put_extra(struct extra *x, const struct log_lines *lines)
{
	struct log_lines rest = *lines;

	for (bool again = true; rest.n > 0 && again;) {
		size_t n = sink_lines(x->sink, &rest);

		rest.spans += n;
		rest.n -= n;
		again = rest.n > 0 && !x->stalled;
		if (again)
			extra_flush(x);
	}
	if (rest.n > 0 && x->dropped == 0)
		x->since = clock_wall();
	x->dropped += rest.n;
	x->dropped_all += rest.n;
}

/* ---- all of them ---- */

static void put_rings(struct router *r, struct tap *t, const struct log_lines *lines)
{
	if (!t) {
		struct log_line line = lines_at(lines, 0);

		rings_add(r->rings, &line, RING_DEFAULT);
		return;
	}
	/* Who never says anything costs nothing. */
	if (!t->ring)
		t->ring = rings_ring(r->rings, t->name, t->stream, t->color, t->ring_bytes);
	for (size_t i = 0; i < lines->n; i++) {
		const struct log_span *span = &lines->spans[i];

		ring_add(t->ring, lines->head.wall_ns, lines->data + span->at, span->len,
			(span->partial ? RING_PARTIAL : 0) | (span->whole ? RING_WHOLE : 0));
	}
}

static void start_tick(struct router *r);

void dests_put(struct router *r, struct tap *t, const struct log_lines *lines)
{
	struct log_file *f;

	TAILQ_FOREACH(f, &r->files, link)
	if (gets(f, t)) {
		put_file(r, f, lines);
		r->stirred = true;
	}
	if (r->stirred && !r->ticking)
		start_tick(r);
	for (unsigned i = 0; i < r->n_extras; i++)
		put_extra(&r->extras[i], lines);
	if (!r->rings)
		return;
	put_rings(r, t, lines);
	const char *why = rings_trouble(r->rings);
	if (why) {
		notes_add(&r->notes, clock_wall(), "supervisor", why, strlen(why));
		router_pump_later(r);
	}
}

void dests_flush(struct router *r)
{
	carry_files_out(r->book, log_file_out);
	for (unsigned i = 0; i < r->n_extras; i++)
		extra_flush(&r->extras[i]);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct router *r = userdata;
	struct log_file *f;

	(void)source;
	(void)usec;
	bool again = r->stirred;

	TAILQ_FOREACH(f, &r->files, link)
	again |= log_file_tick(f);
	char *trouble = r->keeper ? file_keeper_trouble(r->keeper) : NULL;
	if (trouble)
		say(r, trouble);
	free(trouble);
	/* Of files that nobody writes to there is nothing to be found out, and nobody is woken. */
	r->stirred = false;
	r->ticking = again;
	if (again) {
		(void)sd_event_source_set_time_relative(r->tick, TICK / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(r->tick, SD_EVENT_ONESHOT);
	}
	return 0;
}

static void start_tick(struct router *r)
{
	if (r->ticking)
		return;
	if (!r->tick)
		(void)sd_event_add_time_relative(r->loop, &r->tick, CLOCK_MONOTONIC,
			TICK / NSEC_PER_USEC, TICK / NSEC_PER_USEC / 4, on_tick, r);
	else {
		(void)sd_event_source_set_time_relative(r->tick, TICK / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(r->tick, SD_EVENT_ONESHOT);
	}
	r->ticking = true;
}

static struct log_file *find_file(struct router *r, const char *path)
{
	struct log_file *f;

	TAILQ_FOREACH(f, &r->files, link)
	if (strcmp(f->path, path) == 0)
		return f;
	return NULL;
}

static struct log_file *add_file(
	struct router *r, const char *path, const struct log_options *o, struct err *err)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	struct log_file *f = find_file(r, path);

	if (o->owner && log_file_owner(o->owner, &uid, &gid, err) < 0)
		return NULL;
	if (f) {
		log_file_configure(f, o);
		f->uid = uid;
		f->gid = gid;
		f->refs++;
		return f;
	}
	if (!r->keeper)
		r->keeper = file_keeper_new();
	f = r->keeper ? log_file_new(path, o, r->app, r->keeper, say, r) : NULL;
	if (!f) {
		(void)err_errno(err, -ENOMEM, "log file %s", path);
		return NULL;
	}
	f->uid = uid;
	f->gid = gid;
	TAILQ_INSERT_TAIL(&r->files, f, link);
	start_tick(r);
	return f;
}

static void drop_file(struct router *r, struct log_file *f)
{
	if (!f || --f->refs > 0)
		return;
	/* What the journal holds for it knows it by its address. */
	carry_files_out(r->book, log_file_out);
	r->dropped += f->dropped_all;
	TAILQ_REMOVE(&r->files, f, link);
	log_file_free(f);
}

int router_add_file(
	struct router *r, const char *path, const struct log_options *o, struct err *err)
{
	struct log_file *f = add_file(r, path, o, err);

	if (!f)
		return err && err->code ? err->code : -ENOMEM;
	f->all = true;
	(void)log_file_open(f);
	return 0;
}

int router_add_sink(struct router *r, struct sink *sink)
{
	if (r->n_extras == ROUTER_EXTRAS) {
		sink->ops->free(sink);
		return -E2BIG;
	}
	r->extras[r->n_extras++] = (struct extra){.owner = r, .sink = sink};
	return 0;
}

void router_set_rings(struct router *r, struct rings *rings)
{
	r->rings = rings;
}

void router_set_app(struct router *r, const char *app)
{
	r->app = app;
}

void dests_tap(struct tap *t)
{
	t->ring_bytes = RING_DEFAULT;
}

void dests_untap(struct router *r, struct tap *t)
{
	t->ring = ring_unref(t->ring);
	drop_file(r, t->file);
	t->file = NULL;
}

static int make_path(const struct tap *t, const char *folder, const char *text, char *ret_path)
{
	size_t n = 0;

	if (*text != '/')
		n = (size_t)snprintf(ret_path, PATH_MAX, "%s/", folder);
	for (; *text && n < PATH_MAX - 1; text++) {
		const char *word = text[0] != '%'   ? NULL
				   : text[1] == 'd' ? t->name
				   : text[1] == 's'
					   ? (t->stream == STREAM_ERR ? "stderr" : "stdout")
					   : NULL;

		if (!word) {
			ret_path[n++] = *text;
			continue;
		}
		n += (size_t)snprintf(ret_path + n, PATH_MAX - n, "%s", word);
		text++;
	}
	if (n >= PATH_MAX - 1)
		return -ENAMETOOLONG;
	ret_path[n] = '\0';
	return 0;
}

int router_route(struct router *r, struct tap *t, const struct log_options *o, const char *folder,
	struct err *err)
{
	char path[PATH_MAX];
	struct log_file *before = t->file;

	/* With its next line. */
	t->ring_bytes = (size_t)o->ring;
	t->ring = ring_unref(t->ring);
	t->drop = o->drop;
	t->file = NULL;
	if (o->file) {
		int e = make_path(t, folder, o->file, path);
		if (e < 0)
			(void)err_errno(err, e, "log file %s", o->file);
		else
			t->file = add_file(r, path, o, err);
	}
	drop_file(r, before);
	return o->file && !t->file ? -EINVAL : 0;
}

void router_reopen(struct router *r)
{
	struct log_file *f;

	TAILQ_FOREACH(f, &r->files, link)
	log_file_reopen(f);
}

void router_counts(const struct router *r, struct router_counts *ret_counts)
{
	const struct log_file *f;

	*ret_counts = (struct router_counts){
		.lines = r->lines, .bytes = r->bytes, .dropped = r->dropped + r->notes.dropped};
	TAILQ_FOREACH(f, &r->files, link)
	ret_counts->dropped += f->dropped_all;
	for (unsigned i = 0; i < r->n_extras; i++)
		ret_counts->dropped += r->extras[i].dropped_all;
}

void dests_init(struct router *r)
{
	TAILQ_INIT(&r->files);
}

void dests_done(struct router *r)
{
	for (struct log_file *f; (f = TAILQ_FIRST(&r->files));) {
		TAILQ_REMOVE(&r->files, f, link);
		log_file_free(f);
	}
	for (unsigned i = 0; i < r->n_extras; i++)
		r->extras[i].sink->ops->free(r->extras[i].sink);
	sd_event_source_disable_unref(r->tick);
	file_keeper_free(r->keeper);
}
