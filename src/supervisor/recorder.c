#include "supervisor/recorder.h"

#include "base/clock.h"
#include "core/dyno.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS 4096
#define BYTES	((size_t)256 << 10)

/* As it is kept: a thousand dynos that start at once are some thousand records, most of them with
 * little to say. Behind it: name, text, without terminators. */
struct kept {
	uint64_t wall_ns;
	int64_t release;
	struct dyno_exit exit;
	uint32_t generation;
	unsigned char kind, from, to, cause, name_len, text_len;
};

struct recorder {
	uint64_t first, next; /* ids: first <= kept < next */
	uint64_t end;	      /* of the last one, in bytes ever written */
	void (*added)(void *userdata);
	void *userdata;
	struct record read;	 /* what recorder_from() returned last */
	uint64_t begin[RECORDS]; /* of each id, as `end` counts */
	unsigned char bytes[BYTES];
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

/* Room for a record of so many bytes, in one piece; what is overwritten is forgotten. */
static unsigned char *make_room(struct recorder *r, size_t len)
{
	uint64_t begin = r->end;

	if (begin % BYTES + len > BYTES)
		begin += BYTES - begin % BYTES;
	r->end = begin + len;
	while (r->first < r->next &&
		(r->next - r->first == RECORDS || r->begin[r->first % RECORDS] + BYTES < r->end))
		r->first++;
	r->begin[r->next % RECORDS] = begin;
	return &r->bytes[begin % BYTES];
}

void recorder_add(struct recorder *r, const struct record *record)
{
	struct kept kept = {
		.wall_ns = clock_wall(),
		.release = record->release,
		.exit = record->exit,
		.generation = record->generation,
		.kind = record->kind,
		.from = record->from,
		.to = record->to,
		.cause = record->cause,
		.name_len = (unsigned char)strnlen(record->name, sizeof record->name - 1),
		.text_len = (unsigned char)strnlen(record->text, sizeof record->text - 1),
	};
	unsigned char *place = make_room(r, sizeof kept + kept.name_len + kept.text_len);

	memcpy(place, &kept, sizeof kept);
	memcpy(place + sizeof kept, record->name, kept.name_len);
	memcpy(place + sizeof kept + kept.name_len, record->text, kept.text_len);
	r->next++;
	if (r->added)
		r->added(r->userdata);
}

static void read_record(const struct recorder *r, uint64_t id, struct record *ret)
{
	const unsigned char *place = &r->bytes[r->begin[id % RECORDS] % BYTES];
	struct kept kept;

	memcpy(&kept, place, sizeof kept);
	*ret = (struct record){
		.id = id,
		.wall_ns = kept.wall_ns,
		.release = kept.release,
		.exit = kept.exit,
		.generation = kept.generation,
		.kind = kept.kind,
		.from = kept.from,
		.to = kept.to,
		.cause = kept.cause,
	};
	memcpy(ret->name, place + sizeof kept, kept.name_len);
	memcpy(ret->text, place + sizeof kept + kept.name_len, kept.text_len);
}

const struct record *recorder_from(struct recorder *r, uint64_t from)
{
	uint64_t id = from > r->first ? from : r->first;

	if (id >= r->next)
		return NULL;
	read_record(r, id, &r->read);
	return &r->read;
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
	if (exit->oom)
		add_text(l, " oom");
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
		struct record record;
		size_t done = 0;

		read_record(r, id, &record);
		compose(&line, &record);
		while (done < line.len) {
			ssize_t n = write(fd, line.text + done, line.len - done);

			if (n <= 0)
				return;
			done += (size_t)n;
		}
	}
}
