/* What a release may say, all but its processes. */
#include "model/reader.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define VERSION_MAX (INT64_C(1) << 53) /* what every JSON library can hold exactly */
static const char *const strategy_names[] = {"rolling", "recreate", NULL};

static void read_checksum(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	char **target = member;

	read_text(rd, node, f, member);
	if (!*target)
		return;
	memcpy(*target, "SHA256", 6);
	for (char *p = *target + 7; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

static void read_env_files(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED,
	void *member HSUP_UNUSED)
{
	struct release *r = rd->release;
	size_t n = reader_list(rd, node, LIMIT_ENV_FILES, "env files");

	if (n == SIZE_MAX)
		return;
	r->env_files = calloc(n + 1, sizeof *r->env_files);
	if (!r->env_files) {
		rd->fault = -ENOMEM;
		return;
	}
	size_t at = 0;
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		const char *path = reader_string(rd, i, rule_env_file);
		if (path && (r->env_files[r->n_env_files] = reader_copy(rd, path)))
			r->n_env_files++;
		reader_leave(rd, mark);
	}
}

static void read_bind(struct reader *rd, uint32_t node)
{
	struct release *r = rd->release;
	const char *text = reader_string(rd, node, rule_bind);
	struct bind_mount *bind = &r->binds[r->n_binds];

	if (!text)
		return;
	size_t host, container;
	bind_split(text, &host, &container, &bind->read_only);
	const char *to = text + host + 1;
	for (size_t i = 0; i < r->n_binds; i++) {
		const char *other = r->binds[i].container;

		if (strlen(other) == container && strncmp(other, to, container) == 0) {
			reader_error(rd, reader_node(rd, node)->value,
				"binds to the same place as Binds[%zu]", i);
			return;
		}
	}
	bind->host = strndup(text, host);
	bind->container = strndup(to, container);
	if (!bind->host || !bind->container)
		rd->fault = -ENOMEM;
	r->n_binds++;
}

static void read_binds(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED,
	void *member HSUP_UNUSED)
{
	struct release *r = rd->release;
	size_t at = 0, n = reader_list(rd, node, LIMIT_BINDS, "binds");

	if (n == SIZE_MAX || n == 0)
		return;
	r->binds = calloc(n, sizeof *r->binds);
	if (!r->binds) {
		rd->fault = -ENOMEM;
		return;
	}
	for (uint32_t i = reader_node(rd, node)->child; i && !rd->fault;
		i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		read_bind(rd, i);
		reader_leave(rd, mark);
	}
}

static void read_processes(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED,
	void *member HSUP_UNUSED)
{
	struct release *r = rd->release;
	size_t at = 0, n = reader_list(rd, node, LIMIT_TYPES, "process types");

	rd->type_fault = n == SIZE_MAX;
	if (n == SIZE_MAX || n == 0)
		return;
	r->processes = calloc(n, sizeof *r->processes);
	if (!r->processes) {
		rd->fault = -ENOMEM;
		return;
	}
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		struct process *p = &r->processes[r->n_processes++];
		read_process(rd, i, p);
		rd->type_fault = rd->type_fault || !p->type;
		reader_leave(rd, mark);
	}
}

/* Types of a rollout name process types, which may stand behind it: read_rollout() comes last. */
static void note_rollout(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED,
	void *member HSUP_UNUSED)
{
	rd->rollout = node;
}

static void skip_field(struct reader *rd HSUP_UNUSED, uint32_t node HSUP_UNUSED,
	const struct field *f HSUP_UNUSED, void *member HSUP_UNUSED)
{
}

#define AT(member) offsetof(struct rollout, member)

static const struct field rollout_fields[] = {
	{"Strategy", read_choice, AT(strategy), .choices = strategy_names},
	{"Surge", read_unsigned, AT(surge), .min = 1, .max = LIMIT_QUANTITY},
	{"Batch", read_unsigned, AT(batch), .min = 1, .max = LIMIT_QUANTITY},
	{"Timeout", read_seconds, AT(timeout), .min = 1},
	{"SettleSeconds", read_seconds, AT(settle), .min = 0},
	{"Types", skip_field, 0}, /* of the release's own rollout only */
};
#define ROLLOUT_FIELDS ARRAY_SIZE(rollout_fields)

static void check_settle(struct reader *rd, uint32_t node, const struct rollout *r)
{
	char text[160];

	if (r->settle < r->timeout || reader_node(rd, node)->kind != NODE_OBJECT)
		return;
	(void)snprintf(text, sizeof text,
		"no rollout would ever be done: SettleSeconds is %g and Timeout only %g",
		(double)r->settle / (double)NSEC_PER_SEC,
		(double)r->timeout / (double)NSEC_PER_SEC);
	reader_member_error(rd, node,
		json_text_member(rd->text, node, "SettleSeconds") ? "SettleSeconds" : "Timeout",
		text);
}

static void read_rollout_type(struct reader *rd, uint32_t node)
{
	struct release *r = rd->release;
	const char *type = reader_node(rd, node)->name;
	struct rollout unused = {0}, *rollout = &unused;

	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].type && strcmp(r->processes[i].type, type) == 0)
			rollout = &r->processes[i].rollout;
	}
	if (rollout == &unused && !rd->type_fault)
		reader_error(rd, reader_node(rd, node)->key, "there is no such type in Processes");
	size_t before = rd->errors->n;
	reader_object(rd, node, rollout_fields, ROLLOUT_FIELDS - 1, rollout);
	if (rollout != &unused && rd->errors->n == before)
		check_settle(rd, node, rollout);
}

static void read_rollout(struct reader *rd)
{
	struct release *r = rd->release;
	struct process defaults;
	uint32_t types = json_text_member(rd->text, rd->rollout, "Types");
	size_t mark = reader_enter_key(rd, "Rollout");

	process_init(&defaults);
	reader_object(rd, rd->rollout, rollout_fields, ROLLOUT_FIELDS, &defaults.rollout);
	check_settle(rd, rd->rollout, &defaults.rollout);
	for (size_t i = 0; i < r->n_processes; i++)
		r->processes[i].rollout = defaults.rollout;
	if (types) {
		size_t inner = reader_enter_key(rd, "Types");
		uint32_t i = reader_is(rd, types, NODE_OBJECT) ? reader_node(rd, types)->child : 0;
		for (; i; i = reader_node(rd, i)->next) {
			size_t innermost = reader_enter_key(rd, reader_node(rd, i)->name);
			if (reader_member(rd, i))
				read_rollout_type(rd, i);
			reader_leave(rd, innermost);
		}
		reader_leave(rd, inner);
	}
	reader_leave(rd, mark);
}

#undef AT
#define AT(member) offsetof(struct release, member)

static const struct field release_fields[] = {
	{"Version", read_int64, AT(version), .min = 0, .max = VERSION_MAX},
	{"Name", read_text, AT(name), .rule = rule_app_name, .empty = true},
	{"Env", read_env, AT(env)},
	{"EnvFiles", read_env_files, 0},
	{"Slug", read_text, AT(slug), .rule = rule_slug, .empty = true},
	{"SlugChecksum", read_checksum, AT(slug_checksum), .rule = rule_checksum, .empty = true},
	{"Stack", read_text, AT(stack), .rule = rule_stack, .empty = true},
	{"Processes", read_processes, 0,
		.required = "is required: a release without processes would stop everything"},
	{"LogplexURL", read_text, AT(logplex_url), .rule = rule_logplex_url, .empty = true},
	{"Binds", read_binds, 0},
	{"Rollout", note_rollout, 0},
};

/* The rules that need more than one value; what they find is sorted in later. */
static void check_release(struct reader *rd)
{
	const struct release *r = rd->release;
	uint32_t list = json_text_member(rd->text, 0, "Processes");
	uint32_t node = r->n_processes ? reader_node(rd, list)->child : 0;
	size_t mark = reader_enter_key(rd, "Processes");

	for (size_t i = 0; node; i++, node = reader_node(rd, node)->next) {
		size_t inner = reader_enter_index(rd, i);
		check_process(rd, node, &r->processes[i]);
		reader_leave(rd, inner);
	}
	reader_leave(rd, mark);
	check_cycles(rd);
}

void read_release(struct reader *rd)
{
	reader_object(rd, 0, release_fields, ARRAY_SIZE(release_fields), rd->release);
	if (reader_node(rd, 0)->kind != NODE_OBJECT || rd->fault)
		return;
	if (rd->rollout)
		read_rollout(rd);
	check_release(rd);
}
