/* What is written into the recorder, and by whom. */
#include "supervisor/private.h"

#include "base/str.h"
#include "wire/spec.h"

#include <stdarg.h>
#include <stdio.h>

void record_text(struct supervisor *s, enum record_kind kind, const char *name, int64_t version,
	const char *fmt, ...)
{
	struct record record = {.kind = (unsigned char)kind, .release = version};
	char text[sizeof record.text];
	va_list ap;

	if (!s->recorder)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)str_printable(text, strlen(text), record.text, sizeof record.text);
	(void)snprintf(record.name, sizeof record.name, "%s", name ? name : "");
	recorder_add(s->recorder, &record);
}

static void of_dyno(struct supervisor *s, const struct dyno *d, struct record *record)
{
	const struct known_release *k = release_known(s, engine_dyno_release(s->engine, d));

	name_dyno(d, record->name);
	record->generation = d->generation;
	record->release = k ? k->release->version : 0;
}

void record_changed(struct supervisor *s, const struct engine_action *a)
{
	struct record record = {
		.kind = RECORD_STATE,
		.from = (unsigned char)a->from,
		.to = (unsigned char)a->to,
		.cause = (unsigned char)a->event,
	};

	of_dyno(s, a->dyno, &record);
	if (a->to == DYNO_STOPPED || a->to == DYNO_BACKOFF) {
		record.exit = a->dyno->last_exit;
		say_why(s, a->dyno, record.text, sizeof record.text);
	}
	recorder_add(s->recorder, &record);
}

void record_report(struct supervisor *s, const struct engine_action *a)
{
	struct record record = {.kind = RECORD_ERROR};

	of_dyno(s, a->dyno, &record);
	(void)snprintf(record.text, sizeof record.text, "%.126s", a->text);
	recorder_add(s->recorder, &record);
}

void record_exit(struct supervisor *s, const struct life *l)
{
	struct record record = {.kind = RECORD_EXIT, .exit = l->exit, .generation = l->generation};
	char text[200];

	(void)snprintf(record.name, sizeof record.name, "%s", l->name);
	(void)snprintf(record.text, sizeof record.text, "%.126s",
		dyno_exit_text(&l->exit, wire_stage_text, text, sizeof text));
	recorder_add(s->recorder, &record);
	switch (l->exit.kind) {
	case EXIT_CODE:
		s->counts.exits_code++;
		break;
	case EXIT_SIGNAL:
		s->counts.exits_signal++;
		break;
	case EXIT_STAGE:
		s->counts.exits_stage++;
		break;
	case EXIT_UNKNOWN:
	case EXIT_NONE:
		s->counts.exits_unknown++;
		break;
	}
}
