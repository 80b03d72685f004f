/* What a process of a release may say. */
#include "model/reader.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

#define OPEN_FILES_MAX 1048576
#define RETRIES_MAX    1000000
#define PRIORITY_MAX   999
#define MEMORY_MIN     (INT64_C(1) << 20)
#define MEMORY_MAX     (INT64_C(1) << 50)
#define PROCESSES_MAX  4194304 /* of the whole machine, as the kernel has it */
#define CORES_MAX      4096

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

	read_words(rd, node, &p->args, &p->n_args);
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

static void read_cores(
	struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *member)
{
	const struct json_node *n = reader_node(rd, node);
	const char wanted[] = "a number of cores from 0.001 to 4096";
	char shown[READER_SHOWN];

	if (n->kind != NODE_INTEGER && n->kind != NODE_REAL) {
		reader_wrong_kind(rd, node, wanted);
		return;
	}
	double cores = n->kind == NODE_INTEGER ? (double)n->integer : n->real;
	if (cores >= 0.001 && cores <= CORES_MAX)
		*(double *)member = cores;
	else
		reader_error(
			rd, n->value, "must be %s, not %s", wanted, reader_shown(rd, node, shown));
}

static void read_limits(
	struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *process)
{
	static const struct field fields[] = {
		{"Memory", read_size, offsetof(struct process, memory), .min = MEMORY_MIN,
			.max = MEMORY_MAX},
		{"Disk", read_size, offsetof(struct process, disk), .min = MEMORY_MIN,
			.max = MEMORY_MAX},
		{"CPU", read_cores, offsetof(struct process, cpu)},
		{"Processes", read_int64, offsetof(struct process, processes), .min = 1,
			.max = PROCESSES_MAX},
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
	{"After", read_after, 0},
	{"Ready", read_ready, AT(ready)},
	{"Healthy", read_healthy, AT(healthy)},
	{"Umask", read_octal, AT(umask)},
	{"RedirectStderr", read_boolean, AT(redirect_stderr)},
	{"Stdin", read_boolean, AT(stdin_open)},
	{"Essential", read_boolean, AT(essential)},
	{"Limits", read_limits, 0},
	{"Log", read_log, AT(log)},
};

void read_process(struct reader *rd, uint32_t node, struct process *p)
{
	process_init(p);
	reader_object(rd, node, process_fields, ARRAY_SIZE(process_fields), p);
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
	reader_member_error(rd, node, "Env", text);
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
	reader_member_error(rd, node, key, text);
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
	reader_member_error(rd, node, "Quantity", text);
}

/* It runs once, to its end, before anything of the release does. */
static void check_phase(struct reader *rd, uint32_t node, const struct process *p)
{
	static const char *const without[][2] = {
		{"AutoStart", "the release phase runs with each new release; it cannot be started "
			      "otherwise"},
		{"After", "the release phase runs before any dyno starts: there is nobody to wait "
			  "for"},
		{"Ready", "the release phase runs to its end: it is done then, and never ready"},
		{"Healthy", "the release phase runs to its end: nobody looks after it meanwhile"},
	};

	for (size_t i = 0; process_is_phase(p) && i < ARRAY_SIZE(without); i++)
		if (json_text_member(rd->text, node, without[i][0]))
			reader_member_error(rd, node, without[i][0], without[i][1]);
}

void check_process(struct reader *rd, uint32_t node, const struct process *p)
{
	if (reader_node(rd, node)->kind != NODE_OBJECT)
		return;
	check_quantity(rd, node, p);
	check_env(rd, node, p);
	check_start(rd, node, p);
	check_phase(rd, node, p);
	check_after(rd, node, p);
	check_checks(rd, node, p);
	check_log(rd, node, p);
}
