/* Log: what becomes of the output of a type. */
#include "model/reader.h"

#include <stdio.h>

#define BYTES_MAX (INT64_C(1) << 50)
#define KEEP_MAX  10000

static const char *const format_names[] = {"heroku", "json", "raw", NULL};

static void read_stalled(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	static const char *const names[] = {"wait", "drop", NULL};
	const struct field choice = {.choices = names};
	int value = 0;

	(void)f;
	read_choice(rd, node, &choice, &value);
	*(bool *)member = value == 1;
}

#define AT(member) offsetof(struct log_options, member)

static const struct field log_fields[] = {
	{"File", read_text, AT(file), .rule = rule_log_file},
	{"Format", read_choice, AT(format), .choices = format_names},
	{"MaxBytes", read_size, AT(max_bytes), .min = 0, .max = BYTES_MAX},
	{"MaxAge", read_age, AT(max_age)},
	{"Keep", read_unsigned, AT(keep), .min = 0, .max = KEEP_MAX},
	{"Compress", read_boolean, AT(compress)},
	{"Mode", read_octal, AT(mode)},
	{"Owner", read_text, AT(owner), .rule = rule_owner},
	{"Ring", read_size, AT(ring), .min = 0, .max = LIMIT_RING_BYTES},
	{"WhenStalled", read_stalled, AT(drop)},
};

void read_log(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *log)
{
	reader_object(rd, node, log_fields, ARRAY_SIZE(log_fields), log);
}

/* Dynos that write into one file would rotate it under each other. */
void check_log(struct reader *rd, uint32_t node, const struct process *p)
{
	const struct release *r = rd->release;
	const char *file = p->log.file;
	char text[160];

	if (!file || strstr(file, "%d"))
		return;
	if (p->quantity > 1) {
		(void)snprintf(text, sizeof text,
			"must hold \"%%d\", which stands for the dyno's name: Quantity is %u, and "
			"each dyno needs a file of its own",
			p->quantity);
		reader_inner_error(rd, node, "Log", "File", text);
		return;
	}
	for (size_t i = 0; &r->processes[i] < p; i++) {
		if (!r->processes[i].log.file || strcmp(r->processes[i].log.file, file) != 0)
			continue;
		(void)snprintf(text, sizeof text, "is the file of Processes[%zu] already", i);
		reader_inner_error(rd, node, "Log", "File", text);
		return;
	}
}
