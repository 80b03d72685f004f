/* What a process of a release may say. */
#include "model/reader.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

#define OPEN_FILES_MAX 1048576
#define RETRIES_MAX    1000000
#define PRIORITY_MAX   999

static const char *const restart_names[] = {"always", "on-failure", "never", NULL};

static void read_type(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	const struct release *r = rd->release;
	char **type = member;

	read_text(rd, node, f, member);
	for (size_t i = 0; *type && i + 1 < r->n_processes; i++) {
		if (r->processes[i].type && strcmp(r->processes[i].type, *type) == 0)
			reader_error(rd, reader_node(rd, node)->value,
				"\"%s\" is the type of Processes[%zu] already", *type, i);
	}
}

static void read_args(
	struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *process)
{
	struct process *p = process;
	size_t at = 0, n = reader_list(rd, node, LIMIT_ARGS, "arguments");
	bool any = false;

	if (n == SIZE_MAX)
		return;
	p->args = calloc(n + 1, sizeof *p->args);
	if (!p->args) {
		rd->fault = -ENOMEM;
		return;
	}
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		const char *text = reader_string(rd, i, NULL);
		any = any || !text || *text;
		if (text && (p->args[p->n_args] = reader_copy(rd, text)))
			p->n_args++;
		reader_leave(rd, mark);
	}
	if (!any)
		reader_error(rd, reader_node(rd, node)->value,
			"must hold the command to run: a list of strings, not all of them empty");
}

static void read_exit_codes(struct reader *rd, uint32_t node, const struct field *f, void *process)
{
	struct process *p = process;
	size_t at = 0, n = reader_list(rd, node, LIMIT_EXIT_CODES, "exit codes");

	p->n_exit_codes = 0;
	for (uint32_t i = n == SIZE_MAX ? 0 : reader_node(rd, node)->child; i;
		i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		read_int(rd, i, f, &p->exit_codes[p->n_exit_codes++]);
		reader_leave(rd, mark);
	}
}

static void read_signal(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	if (reader_node(rd, node)->kind == NODE_INTEGER) {
		read_int(rd, node, f, member);
		return;
	}
	const char *text = reader_string(rd, node, rule_signal);
	if (text)
		*(int *)member = parse_signal(text);
}

static void read_limits(
	struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *process)
{
	static const struct field fields[] = {
		{"OpenFiles", read_int64, offsetof(struct process, open_files), .min = 1,
			.max = OPEN_FILES_MAX},
	};

	reader_object(rd, node, fields, ARRAY_SIZE(fields), process);
}

#define AT(member) offsetof(struct process, member)

static const struct field process_fields[] = {
	{"Type", read_type, AT(type), .required = "is required: the name of the process type",
		.rule = rule_type},
	{"Args", read_args, 0, .required = "is required: the command to run, a list of strings"},
	{"Quantity", read_unsigned, AT(quantity), .min = 0, .max = LIMIT_QUANTITY},
	{"Env", read_env, AT(env)},
	{"Directory", read_text, AT(directory), .rule = rule_directory},
	{"User", read_text, AT(user), .rule = rule_user},
	{"AutoStart", read_boolean, AT(autostart)},
	{"Restart", read_choice, AT(restart), .choices = restart_names},
	{"StartSeconds", read_seconds, AT(start_time), .min = 0},
	{"StartTimeout", read_seconds, AT(start_timeout), .min = 1},
	{"StartRetries", read_int, AT(start_retries), .min = -1, .max = RETRIES_MAX},
	{"ExitCodes", read_exit_codes, 0, .min = 0, .max = 255},
	{"StopSignal", read_signal, AT(stop_signal), .min = 1, .max = 64},
	{"StopTimeout", read_seconds, AT(stop_timeout), .min = 1},
	{"Priority", read_int, AT(priority), .min = 0, .max = PRIORITY_MAX},
	{"Limits", read_limits, 0},
};

void read_process(struct reader *rd, uint32_t node, struct process *p)
{
	process_init(p);
	reader_object(rd, node, process_fields, ARRAY_SIZE(process_fields), p);
}

/* An error at the member `key` of a process, which is there. */
static void member_error(struct reader *rd, uint32_t process, const char *key, const char *text)
{
	size_t mark = reader_enter_key(rd, key);
	uint32_t member = json_text_member(rd->text, process, key);

	reader_error(rd, reader_node(rd, member ? member : process)->value, "%s", text);
	reader_leave(rd, mark);
}

/* The variables of the release and of the process must fit together into a dyno. Names in both
 * are counted twice, which keeps this linear. */
static void check_env(struct reader *rd, uint32_t node, const struct process *p)
{
	const struct release *r = rd->release;
	char text[160];

	if (p->env.n == 0 || (r->env.n + p->env.n <= LIMIT_ENV &&
				     env_bytes(&r->env) + env_bytes(&p->env) <= LIMIT_ENV_BYTES))
		return;
	(void)snprintf(text, sizeof text,
		"has more than %d variables or %zu bytes, together with those of the release",
		LIMIT_ENV, LIMIT_ENV_BYTES);
	member_error(rd, node, "Env", text);
}

static void check_start(struct reader *rd, uint32_t node, const struct process *p)
{
	const char *key =
		json_text_member(rd->text, node, "StartSeconds") ? "StartSeconds" : "StartTimeout";
	char text[160];

	if (p->start_time <= p->start_timeout)
		return;
	(void)snprintf(text, sizeof text,
		"no dyno would ever be up: StartSeconds is %g and StartTimeout only %g",
		(double)p->start_time / (double)NSEC_PER_SEC,
		(double)p->start_timeout / (double)NSEC_PER_SEC);
	member_error(rd, node, key, text);
}

static void check_quantity(struct reader *rd, uint32_t node, const struct process *p)
{
	unsigned before = rd->quantity;
	char text[80];

	rd->quantity += p->quantity;
	if (before > LIMIT_QUANTITY || rd->quantity <= LIMIT_QUANTITY)
		return;
	(void)snprintf(text, sizeof text, "makes it more than %d dynos of all types together",
		LIMIT_QUANTITY);
	member_error(rd, node, "Quantity", text);
}

void check_process(struct reader *rd, uint32_t node, const struct process *p)
{
	if (reader_node(rd, node)->kind != NODE_OBJECT)
		return;
	check_quantity(rd, node, p);
	check_env(rd, node, p);
	check_start(rd, node, p);
}
