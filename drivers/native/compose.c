/* What a box is to be, as a launch spec. */
#include "drivers/native/private.h"

#include "drivers/environment.h"
#include "drivers/profile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define CPU_MOST 1e6 /* percent */

static void add_variable(void *userdata, const char *name, const char *value, bool config)
{
	(void)config;
	(void)spec_env(userdata, name, value);
}

static void add_word(void *userdata, const char *word)
{
	(void)spec_arg(userdata, word);
}

static bool has_terminal(const struct driver_start *start)
{
	return start->stdio && isatty(start->stdio[0]);
}

static void add_environment(
	struct native *n, const struct driver_start *start, const struct native_life *life)
{
	const struct environment_sink sink = {add_variable, &n->spec};
	bool prompts = has_terminal(start);
	const struct environment_place place = {
		.port = life->port,
		.path = PROFILE_PATH,
		.home = "/app",
		.directory = "/app",
		.user = "dyno",
		.prompt = prompts ? PROFILE_PROMPT : NULL,
	};

	environment_compose(&sink, start, &place);
	if (prompts && !environment_var(start, "PS1") && !environment_var(start, "PROMPT_COMMAND"))
		(void)spec_env(&n->spec, "PROMPT_COMMAND", PROFILE_PROMPT_SETTER);
}

/* The command, where it runs, and what it finds in its environment: of a dyno and of what runs
 * beside it alike. */
static int add_process(struct native *n, const struct driver_start *start,
	const struct native_life *life, char *const *args, size_t n_args, struct err *err)
{
	const struct profile_sink words = {add_word, &n->spec};
	const struct process *p = start->process;
	const struct native_stack *stack;
	char directory[4096];

	int r = native_stack_of(n, start->release, &stack, err);
	if (r < 0)
		return r;
	r = profile_directory(p->directory, directory);
	if (r < 0)
		return err_errno(err, r, "Directory");
	(void)spec_program(&n->spec, stack->shell ? stack->shell : PROFILE_SH);
	profile_command(&words, stack->shell, PROFILE_SCRIPT, "dyno", args, n_args);
	(void)spec_directory(&n->spec, directory);
	(void)spec_box_name(&n->spec, life->box);
	if (p->open_files)
		(void)spec_nofile(&n->spec, p->open_files);
	if (p->umask >= 0)
		(void)spec_umask(&n->spec, (mode_t)p->umask);
	add_environment(n, start, life);
	return 0;
}

static int seal(struct native *n, struct err *err)
{
	int fd = spec_seal(&n->spec);

	return fd < 0 ? err_errno(err, fd, "launch spec") : fd;
}

/* ---- a dyno ---- */

/* Where it is killed by any driver: at twice its quota, R15. */
static uint64_t most_memory(const struct process *p)
{
	return p->memory > INT64_MAX / 2 ? INT64_MAX : 2 * p->memory;
}

static uint32_t cpu_percent(const struct process *p)
{
	double percent = p->cpu * 100;

	return percent <= 0	    ? 0
	       : percent < 1	    ? 1
	       : percent > CPU_MOST ? (uint32_t)CPU_MOST
				    : (uint32_t)percent;
}

static void add_binds(struct native *n, const struct driver_start *start)
{
	const struct release *r = start->release;
	const char *path = start->notify_socket, *slash = path ? strrchr(path, '/') : NULL;
	char text[2 * PATH_MAX + 2];

	for (size_t i = 0; i < r->n_binds; i++) {
		const struct bind_mount *b = &r->binds[i];

		(void)snprintf(text, sizeof text, "%s:%s%s", b->host, b->container,
			b->read_only ? ":ro" : "");
		(void)spec_bind(&n->spec, text);
	}
	/* Its folder: the socket itself is another after a restart. */
	if (slash) {
		int len = (int)(slash - path);

		(void)snprintf(text, sizeof text, "%.*s:%.*s", len, path, len, path);
		(void)spec_bind(&n->spec, text);
	}
}

/* What a name of a host may be; "web.1" would be web in the domain 1. */
static void add_hostname(struct native *n, const struct driver_start *start)
{
	char name[HOST_NAME_MAX];

	(void)snprintf(name, sizeof name, "%s", start->name);
	for (char *c = name; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9')))
			*c = '-';
	(void)spec_hostname(&n->spec, name);
}

/* What its container is. Two that have the same here are the same to whoever makes them. */
static int add_box(struct native *n, const struct driver_start *start, enum spec_box_mode mode,
	struct err *err)
{
	const struct native_stack *stack;
	const struct process *p = start->process;
	const struct spec_box box = {
		.mode = mode,
		.network = native_network(n),
		.flags = has_terminal(start) ? SPEC_BOX_PTY : 0,
		.memory = most_memory(p),
		.cpu_percent = cpu_percent(p),
		.processes = p->processes > UINT32_MAX ? 0 : (uint32_t)p->processes,
	};

	int r = native_stack_of(n, start->release, &stack, err);
	if (r < 0)
		return r;
	(void)spec_box(&n->spec, &box);
	(void)spec_box_stack(&n->spec, stack->folder);
	if (start->release->slug_path)
		(void)spec_box_slug(&n->spec, start->release->slug_path);
	add_binds(n, start);
	if (p->disk)
		(void)spec_box_disk(&n->spec, p->disk);
	return 0;
}

int native_compose(struct native *n, const struct driver_start *start,
	const struct native_life *life, struct err *err)
{
	const struct environment_sink sink = {add_variable, &n->spec};
	const struct process *p = start->process;

	spec_begin(&n->spec);
	int r = add_box(n, start, SPEC_BOX_RUN, err);
	if (r == 0)
		r = add_process(n, start, life, p->args, p->n_args, err);
	if (r == 0)
		r = environment_of_life(&sink, start, err);
	if (r < 0)
		return r;
	add_hostname(n, start);
	if (start->stdio)
		(void)spec_session(&n->spec, SPEC_SESSION_FOREGROUND);
	return seal(n, err);
}

int native_compose_park(struct native *n, const struct driver_start *start, struct err *err)
{
	spec_begin(&n->spec);
	/* Every spec has them. */
	(void)spec_program(&n->spec, "park");
	(void)spec_arg(&n->spec, "park");
	if (n->settings.publish.min) {
		char port[12];

		(void)snprintf(port, sizeof port, "%u", native_port(n, start));
		(void)spec_env(&n->spec, "PORT", port);
	}
	int r = add_box(n, start, SPEC_BOX_PARK, err);
	return r < 0 ? r : n->spec.text.error;
}

/* ---- jobs ---- */

int native_compose_exec(struct native *n, const struct driver_exec *exec,
	const struct native_life *life, struct err *err)
{
	const struct spec_box box = {
		.mode = SPEC_BOX_JOIN,
		.network = native_network(n),
		.target = life->pid,
	};
	const struct native_stack *stack;

	int r = native_stack_of(n, exec->beside->release, &stack, err);
	if (r < 0)
		return r;
	spec_begin(&n->spec);
	(void)spec_box(&n->spec, &box);
	(void)spec_box_stack(&n->spec, stack->folder);
	r = add_process(n, exec->beside, life, exec->args, exec->n_args, err);
	return r < 0 ? r : seal(n, err);
}

int native_compose_sweep(
	struct native *n, const struct native_left *names, unsigned *ret_n, struct err *err)
{
	const struct spec_box box = {.mode = SPEC_BOX_SWEEP};
	unsigned count = 0;

	spec_begin(&n->spec);
	(void)spec_box(&n->spec, &box);
	/* A spec has a program and a first argument, its argv[0]: whether they mean anything or
	 * not. */
	(void)spec_program(&n->spec, "sweep");
	(void)spec_arg(&n->spec, "sweep");
	for (; names && count < LIMIT_ARGS; names = names->next, count++)
		(void)spec_arg(&n->spec, names->box);
	*ret_n = count;
	return seal(n, err);
}
