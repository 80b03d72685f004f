/* What a process of the simple driver is to be, as a launch spec. */
#include "drivers/simple_private.h"

#include "drivers/environment.h"
#include "drivers/profile.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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

static void add_word(void *userdata, const char *word)
{
	(void)spec_arg(userdata, word);
}

static void add_command(struct simple *s, char *const *args, size_t n_args)
{
	if (s->root) {
		const struct profile_sink words = {add_word, &s->spec};

		(void)spec_program(&s->spec, s->context->shell);
		profile_command(&words, s->context->shell, PROFILE_SCRIPT, "dyno", args, n_args);
		return;
	}
	if (n_args == 1) {
		(void)spec_program(&s->spec, s->context->shell);
		(void)spec_arg(&s->spec, s->context->shell);
		(void)spec_arg(&s->spec, "-c");
		(void)spec_arg(&s->spec, args[0]);
		return;
	}
	(void)spec_program(&s->spec, args[0]);
	for (size_t i = 0; i < n_args; i++)
		(void)spec_arg(&s->spec, args[i]);
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

static void add_variable(void *userdata, const char *name, const char *value, bool config)
{
	(void)config;
	(void)spec_env(userdata, name, value);
}

static void add_environment(struct simple *s, const struct driver_start *start, unsigned port,
	const char *directory, const struct account *account)
{
	const struct environment_sink sink = {add_variable, &s->spec};
	const char *path = getenv("PATH"), *slug = start->release->slug_path;
	const char *home = account ? account->home : getenv("HOME");
	bool prompts = s->root && start->stdio && isatty(start->stdio[0]);
	const struct environment_place place = {
		.port = port,
		.path = s->root		? PROFILE_PATH
			: path && *path ? path
					: DEFAULT_PATH,
		.home = s->root ? "/app"
			: slug	? slug
			: home	? home
				: "/",
		.directory = directory,
		.user = account ? account->name : NULL,
		.prompt = prompts ? PROFILE_PROMPT : NULL,
	};

	environment_compose(&sink, start, &place);
	if (prompts && !environment_var(start, "PS1") && !environment_var(start, "PROMPT_COMMAND"))
		(void)spec_env(&s->spec, "PROMPT_COMMAND", PROFILE_PROMPT_SETTER);
}

/* All but its command. */
static int compose_process(
	struct simple *s, const struct driver_start *start, unsigned port, struct err *err)
{
	const struct process *p = start->process;
	const struct account *account = NULL;
	char directory[4096] = "";

	int r = s->root ? profile_directory(p->directory, directory)
			: choose_directory(start, directory);
	if (r < 0)
		return err_errno(err, r, "working directory");
	const char *user = p->user ? p->user : s->context->dyno_user;
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
	if (p->open_files)
		(void)spec_nofile(&s->spec, p->open_files);
	if (p->umask >= 0)
		(void)spec_umask(&s->spec, (mode_t)p->umask);
	add_environment(s, start, port, directory[0] ? directory : NULL, account);
	return 0;
}

static int seal(struct simple *s, struct err *err)
{
	int fd = spec_seal(&s->spec);

	return fd < 0 ? err_errno(err, fd, "launch spec") : fd;
}

int simple_compose(
	struct simple *s, const struct driver_start *start, unsigned port, struct err *err)
{
	const struct environment_sink sink = {add_variable, &s->spec};
	const struct process *p = start->process;

	spec_begin(&s->spec);
	add_command(s, p->args, p->n_args);
	int r = compose_process(s, start, port, err);
	if (r == 0)
		r = environment_of_life(&sink, start, err);
	if (r < 0)
		return r;
	if (p->processes)
		(void)spec_nproc(&s->spec, p->processes);
	if (start->stdio)
		(void)spec_session(&s->spec, SPEC_SESSION_FOREGROUND);
	return seal(s, err);
}

int simple_compose_exec(
	struct simple *s, const struct driver_exec *exec, unsigned port, struct err *err)
{
	spec_begin(&s->spec);
	add_command(s, exec->args, exec->n_args);
	int r = compose_process(s, exec->beside, port, err);
	return r < 0 ? r : seal(s, err);
}
