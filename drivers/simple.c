/* Plain processes through the launcher: the environment only, no root needed.
 *
 * What the driver adds to the supervisor's tag is the port, so that an adopted dyno's port is not
 * given to another. */
#include "drivers/driver.h"

#include "base/fd.h"
#include "drivers/account.h"
#include "drivers/environment.h"
#include "drivers/port_life.h"
#include "wire/spec.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct simple {
	struct driver_context *context;
	struct launch *launch;
	struct spec_builder spec;
	struct port_lives lives; /* which port belongs to which */
	struct account account;	 /* of the last User looked up */
};

struct simple_tag {
	uint32_t port;
	uint32_t reserved;
};

/* ---- what the launcher says ---- */

static void on_spawned(void *userdata, struct launch_child c, int pid, int out, int err)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	context->events->started(context->userdata, c.id, c.generation, pid, out, err);
}

static void on_failed(void *userdata, struct launch_child c, unsigned stage, int error)
{
	struct simple *s = userdata;
	struct driver_context *context = s->context;
	struct driver_exit exit = {
		.exit = {.kind = EXIT_STAGE, .value = (int)stage, .error = error}};

	port_life_ended(&s->lives, c.id, c.generation);
	context->events->exited(context->userdata, c.id, c.generation, &exit);
}

static void on_left(void *userdata, struct launch_child c)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	context->events->left(context->userdata, c.id, c.generation);
}

static struct dyno_exit exit_of(int32_t status)
{
	if (status == WIRE_STATUS_UNKNOWN)
		return (struct dyno_exit){.kind = EXIT_UNKNOWN};
	if (WIFSIGNALED(status))
		return (struct dyno_exit){.kind = EXIT_SIGNAL, .value = WTERMSIG(status)};
	return (struct dyno_exit){.kind = EXIT_CODE, .value = WEXITSTATUS(status)};
}

static void on_exited(void *userdata, const struct wire_exited *x)
{
	struct simple *s = userdata;
	struct driver_context *context = s->context;
	struct driver_exit exit = {
		.exit = exit_of(x->status),
		.at = x->exit_time,
		.user_usec = x->user_usec,
		.system_usec = x->system_usec,
		.max_rss_kb = x->max_rss_kb,
	};

	port_life_ended(&s->lives, x->child.id, x->child.generation);
	context->events->exited(context->userdata, x->child.id, x->child.generation, &exit);
}

static void on_entry(void *userdata, struct launch_entry *entry)
{
	struct simple *s = userdata;
	struct driver_entry found = {
		.id = entry->child.id,
		.generation = entry->child.generation,
		.pid = entry->pid,
		.left = entry->state == WIRE_ENTRY_LEFT,
		.ended = entry->state == WIRE_ENTRY_EXITED,
		.started = entry->spawn_time,
		.out = entry->out,
		.err = entry->err,
	};
	struct simple_tag tag = {0};

	if (entry->tag_len >= sizeof tag) {
		memcpy(&tag, entry->tag, sizeof tag);
		found.tag = entry->tag + sizeof tag;
		found.tag_len = entry->tag_len - sizeof tag;
	}
	if (port_life_adopt(&s->lives, found.id, found.generation, tag.port, found.ended) == 0 &&
		!found.ended)
		port_mark(&s->lives.ports, tag.port);
	s->context->events->adopted(s->context->userdata, &found);
}

static void on_list_end(void *userdata)
{
	struct driver_context *context = ((struct simple *)userdata)->context;

	context->events->adopt_done(context->userdata, 0);
}

static const struct launch_child_events child_events = {
	.spawned = on_spawned,
	.failed = on_failed,
	.left = on_left,
	.exited = on_exited,
	.entry = on_entry,
	.list_end = on_list_end,
};

/* ---- what the supervisor asks ---- */

static int simple_open(struct driver_context *context, void **ret_state, struct err *err)
{
	_cleanup_free_ struct simple *s = calloc(1, sizeof *s);

	if (!s)
		return err_errno(err, -ENOMEM, "simple driver");
	s->context = context;
	s->launch = context->launch;
	launch_listen(s->launch, &child_events, s);
	*ret_state = TAKE_PTR(s);
	return 0;
}

/* The working directory: Directory, relative to the slug; else the slug. NULL = stay. */
static int choose_directory(const struct driver_start *start, char ret_path[4096])
{
	const char *own = start->process->directory, *slug = start->release->slug_path;
	int n;

	if (own && own[0] == '/')
		n = snprintf(ret_path, 4096, "%s", own);
	else if (own && slug)
		n = snprintf(ret_path, 4096, "%s/%s", slug, own);
	else if (own) {
		_cleanup_free_ char *here = getcwd(NULL, 0);
		if (!here)
			return -errno;
		n = snprintf(ret_path, 4096, "%s/%s", here, own);
	} else
		n = snprintf(ret_path, 4096, "%s", slug ? slug : "");
	return n < 4096 ? 0 : -ENAMETOOLONG;
}

static void add_command(struct simple *s, const struct process *p)
{
	if (p->n_args == 1) {
		(void)spec_program(&s->spec, s->context->shell);
		(void)spec_arg(&s->spec, s->context->shell);
		(void)spec_arg(&s->spec, "-c");
		(void)spec_arg(&s->spec, p->args[0]);
		return;
	}
	(void)spec_program(&s->spec, p->args[0]);
	for (size_t i = 0; i < p->n_args; i++)
		(void)spec_arg(&s->spec, p->args[i]);
}

static int not_granted(const struct account *a, const char *what, uint32_t id, struct err *err)
{
	return err_set(err, -EPERM,
		"User: %s: %s %u is not one that dynos may have; hsup has to be started with "
		"--dyno-ids for it",
		a->name, what, id);
}

/* The launcher refuses what is not granted, with a number; here it can be said. */
static int find_account(struct simple *s, const char *user, struct err *err)
{
	const struct id_grant *g = s->context->dyno_ids;
	const struct account *a = &s->account;

	int r = account_find(&s->account, user, err);
	if (r < 0 || !g)
		return r;
	if (!g->root && (a->uid == 0 || a->gid == 0))
		return err_set(err, -EPERM,
			"User: %s is root or of group root: hsup has to be started with "
			"--allow-root-dynos",
			a->name);
	if (!id_grant_uid(g, a->uid))
		return not_granted(a, "its uid", a->uid, err);
	if (!id_grant_gid(g, a->gid))
		return not_granted(a, "its gid", a->gid, err);
	for (unsigned i = 0; i < a->n_groups; i++)
		if (!id_grant_gid(g, a->groups[i]))
			return not_granted(a, "its group", a->groups[i], err);
	return 0;
}

static int compose(
	struct simple *s, const struct driver_start *start, unsigned port, struct err *err)
{
	const struct account *account = NULL;
	char directory[4096] = "";

	int r = choose_directory(start, directory);
	if (r < 0)
		return err_errno(err, r, "working directory");
	spec_begin(&s->spec);
	add_command(s, start->process);
	const char *user = start->process->user ? start->process->user : s->context->dyno_user;
	if (user) {
		r = find_account(s, user, err);
		if (r < 0)
			return r;
		account = &s->account;
		(void)spec_user(
			&s->spec, account->uid, account->gid, account->groups, account->n_groups);
	}
	if (directory[0])
		(void)spec_directory(&s->spec, directory);
	if (start->stdio)
		(void)spec_session(&s->spec, SPEC_SESSION_FOREGROUND);
	if (start->process->open_files)
		(void)spec_nofile(&s->spec, start->process->open_files);
	return environment_compose(
		&s->spec, start, port, directory[0] ? directory : NULL, account, err);
}

/* Ours in front of the supervisor's. The length, or -E2BIG. */
static int join_tags(
	unsigned port, const void *tag, size_t tag_len, unsigned char ret_tag[LIMIT_TAG])
{
	struct simple_tag own = {.port = port};

	if (sizeof own + tag_len > LIMIT_TAG)
		return -E2BIG;
	memcpy(ret_tag, &own, sizeof own);
	memcpy(ret_tag + sizeof own, tag, tag_len);
	return (int)(sizeof own + tag_len);
}

static int order(struct simple *s, const struct driver_start *start, unsigned port, struct err *err)
{
	unsigned char tag[LIMIT_TAG];

	int tag_len = join_tags(port, start->tag, start->tag_len, tag);
	if (tag_len < 0)
		return err_errno(err, tag_len, "tag");
	int r = compose(s, start, port, err);
	if (r < 0)
		return r;
	_cleanup_close_ int spec = spec_seal(&s->spec);
	if (spec < 0)
		return err_errno(err, spec, "launch spec");
	struct launch_child child = {.id = start->id, .generation = start->generation};
	r = launch_spawn(s->launch, child, start->name, tag, (size_t)tag_len, spec, start->stdio);
	if (r < 0)
		return err_errno(err, r, "order to the launcher");
	return 0;
}

/* A dyno keeps its port over a restart. The first time it is not asked whether a stranger has taken
 * it in the moment between: that would cost a tenth of the time to the replacement. If one has, the
 * dyno fails again, and then it is asked. */
static unsigned choose_port(struct simple *s, const struct driver_start *start)
{
	const struct port_life *last =
		start->generation > 1 && start->failures <= 1
			? port_life_find(&s->lives, start->id, start->generation - 1)
			: NULL;

	if (last && last->ended && port_take_again(&s->lives.ports, last->port))
		return last->port;
	return port_take(&s->lives.ports, port_wish(start->type_index, start->instance));
}

static int simple_start(void *state, const struct driver_start *start, struct err *err)
{
	struct simple *s = state;
	unsigned port = 0;

	if (!start->only_one || !environment_var(start, "PORT")) {
		port = choose_port(s, start);
		if (port == 0)
			return err_set(err, -EADDRINUSE, "no port from %u on is free",
				port_wish(start->type_index, start->instance));
	}
	int r = port_life_add(&s->lives, start->id, start->generation, port);
	if (r < 0) {
		port_give_back(&s->lives.ports, port);
		return err_errno(err, r, "port");
	}
	r = order(s, start, port, err);
	if (r < 0)
		port_life_remove(&s->lives, start->id, start->generation);
	return r;
}

static int simple_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct simple *s = state;

	return launch_signal(s->launch, (struct launch_child){id, generation}, signo);
}

static int simple_retag(
	void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len)
{
	struct simple *s = state;
	const struct port_life *l = port_life_find(&s->lives, id, generation);
	unsigned char whole[LIMIT_TAG];

	int len = join_tags(l ? l->port : 0, tag, tag_len, whole);
	if (len < 0)
		return len;
	return launch_tag(s->launch, (struct launch_child){id, generation}, whole, (size_t)len);
}

static int simple_release(void *state, uint64_t id, uint32_t generation)
{
	struct simple *s = state;

	port_life_remove(&s->lives, id, generation);
	return launch_ack(s->launch, (struct launch_child){id, generation});
}

static int simple_adopt(void *state)
{
	struct simple *s = state;

	return launch_list(s->launch);
}

static unsigned simple_port(void *state, uint64_t id, uint32_t generation)
{
	const struct simple *s = state;
	const struct port_life *l = port_life_find(&s->lives, id, generation);

	return l ? l->port : 0;
}

static void simple_close(void *state)
{
	struct simple *s = state;

	launch_listen(s->launch, NULL, NULL);
	spec_builder_done(&s->spec);
	account_done(&s->account);
	free(s->lives.lives);
	free(s);
}

const struct driver driver_simple = {
	.name = "simple",
	.summary = "plain processes with the app's environment; no root needed",
	.caps = DRIVER_SHARES_NETWORK,
	.open = simple_open,
	.start = simple_start,
	.signal = simple_signal,
	.retag = simple_retag,
	.release = simple_release,
	.adopt = simple_adopt,
	.port = simple_port,
	.close = simple_close,
};
