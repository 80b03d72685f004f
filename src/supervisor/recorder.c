#include "supervisor/recorder.h"

#include "base/clock.h"
#include "core/dyno.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECORDS 2048

struct recorder {
	uint64_t first, next; /* ids: first <= kept < next */
	void (*added)(void *userdata);
	void *userdata;
	struct record records[RECORDS];
};

struct recorder *recorder_new(uint64_t first_id)
{
	/* Of untouched pages nothing is in memory yet. */
	struct recorder *r = calloc(1, sizeof *r);

	if (r)
		r->first = r->next = first_id ? first_id : 1;
	return r;
}

struct recorder *recorder_free(struct recorder *r)
{
	free(r);
	return NULL;
}

void recorder_add(struct recorder *r, const struct record *record)
{
	struct record *place = &r->records[r->next % RECORDS];

	*place = *record;
	place->id = r->next++;
	place->wall_ns = clock_wall();
	if (r->next - r->first > RECORDS)
		r->first = r->next - RECORDS;
	if (r->added)
		r->added(r->userdata);
}

const struct record *recorder_from(const struct recorder *r, uint64_t from)
{
	uint64_t id = from > r->first ? from : r->first;

	return id < r->next ? &r->records[id % RECORDS] : NULL;
}

uint64_t recorder_first(const struct recorder *r)
{
	return r->first;
}

uint64_t recorder_next(const struct recorder *r)
{
	return r->next;
}

void recorder_listen(struct recorder *r, void (*added)(void *userdata), void *userdata)
{
	r->added = added;
	r->userdata = userdata;
}

static const struct {
	const char *text;
	bool is_public;
} kinds[RECORD_KIND_MAX] = {
#define X(name, text, is_public) [RECORD_##name] = {text, is_public},
	RECORD_KINDS(X)
#undef X
};

bool record_public(const struct record *record)
{
	return record->kind < RECORD_KIND_MAX && kinds[record->kind].is_public;
}

const char *record_kind_text(enum record_kind kind)
{
	return (unsigned)kind < RECORD_KIND_MAX ? kinds[kind].text : "?";
}

/* ---- the dump: nothing but write(2), as the heap may be what is broken ---- */

struct line {
	size_t len;
	char text[512];
};

static void add_text(struct line *l, const char *text)
{
	while (*text && l->len < sizeof l->text - 1)
		l->text[l->len++] = *text++;
}

static void add_number(struct line *l, uint64_t value, unsigned digits)
{
	char text[24];
	size_t at = sizeof text;

	text[--at] = '\0';
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
		if (digits > 0)
			digits--;
	} while ((value || digits) && at > 0);
	add_text(l, text + at);
}

static void add_exit(struct line *l, const struct dyno_exit *exit)
{
	static const char *const names[] = {[EXIT_CODE] = " code ",
		[EXIT_SIGNAL] = " signal ",
		[EXIT_STAGE] = " stage ",
		[EXIT_UNKNOWN] = " unknown "};

	if (exit->kind == EXIT_NONE || (unsigned)exit->kind >= sizeof names / sizeof *names)
		return;
	add_text(l, names[exit->kind]);
	add_number(l, (uint64_t)(unsigned)exit->value, 0);
}

static void compose(struct line *l, const struct record *record)
{
	add_number(l, record->id, 0);
	add_text(l, " ");
	add_number(l, record->wall_ns / NSEC_PER_SEC, 0);
	add_text(l, ".");
	add_number(l, record->wall_ns % NSEC_PER_SEC / 1000, 6);
	add_text(l, " ");
	add_text(l, record_kind_text(record->kind));
	if (record->name[0]) {
		add_text(l, " ");
		add_text(l, record->name);
	}
	if (record->generation) {
		add_text(l, "/");
		add_number(l, record->generation, 0);
	}
	if (record->release) {
		add_text(l, " v");
		add_number(l, (uint64_t)record->release, 0);
	}
	if (record->kind == RECORD_STATE) {
		add_text(l, " ");
		add_text(l, dyno_state_text((enum dyno_state)record->from));
		add_text(l, " -> ");
		add_text(l, dyno_state_text((enum dyno_state)record->to));
		add_text(l, " (");
		add_text(l, dyno_event_text((enum dyno_event)record->cause));
		add_text(l, ")");
	}
	add_exit(l, &record->exit);
	if (record->text[0]) {
		add_text(l, ": ");
		add_text(l, record->text);
	}
	l->text[l->len++] = '\n';
}

void recorder_dump(const struct recorder *r, int fd)
{
	for (uint64_t id = r->first; id < r->next; id++) {
		struct line line = {0};
		size_t done = 0;

		compose(&line, &r->records[id % RECORDS]);
		while (done < line.len) {
			ssize_t n = write(fd, line.text + done, line.len - done);

			if (n <= 0)
				return;
			done += (size_t)n;
		}
	}
}
