#include "drivers/docker/body_private.h"

#include "drivers/docker/attach.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"
#include "drivers/docker/script.h"
#include "drivers/environment.h"
#include "drivers/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define PROMPT "\\[\\033[01;34m\\]\\w\\[\\033[00m\\] \\[\\033[01;32m\\]$ \\[\\033[00m\\]"

void body_put(struct body *b, json_t *object, const char *name, json_t *value)
{
	b->failed |= json_object_set_new(object, name, value) < 0;
}

void body_add(struct body *b, json_t *array, json_t *value)
{
	b->failed |= json_array_append_new(array, value) < 0;
}

/* ---- variables ---- */

static void add_line(struct body *b, const char *name, const char *value)
{
	b->n_lines++;
	(void)strbuf_printf(b->first, "export %s='", name);
	for (; *value; value++) {
		b->n_lines += *value == '\n';
		if (*value == '\'')
			(void)strbuf_puts(b->first, "'\\''");
		else
			(void)strbuf_add(b->first, value, 1);
	}
	(void)strbuf_puts(b->first, "'\n");
}

static void add_variable(void *userdata, const char *name, const char *value, bool config)
{
	struct body *b = userdata;
	size_t size = strlen(name) + strlen(value) + 2;

	if (config && b->first) {
		add_line(b, name, value);
		return;
	}
	_cleanup_free_ char *text = malloc(size);
	if (!text) {
		b->failed = true;
		return;
	}
	(void)snprintf(text, size, "%s=%s", name, value);
	json_t *string = json_string(text);
	if (string)
		body_add(b, b->env, string);
	/* Else it is no UTF-8: the JSON of an engine cannot say it, but a file can. */
	else if (b->first)
		add_line(b, name, value);
	else
		b->failed = true;
}

static int add_environment(struct body *b, struct err *err)
{
	const struct body_setup *s = b->setup;
	const struct environment_sink sink = {add_variable, b};
	/* PATH is the image's. */
	const struct environment_place place = {
		.port = s->port,
		.home = "/app",
		.directory = "/app",
		.prompt = s->start->stdio ? PROMPT : NULL,
	};

	b->env = json_array();
	body_put(b, b->root, "Env", b->env);
	/* So that a signal reaches every process of the dyno, not only its first. */
	body_add(b, b->env, json_string("TINI_KILL_PROCESS_GROUP=1"));
	environment_compose(&sink, s->start, &place);
	int r = environment_of_life(&sink, s->start, err);
	if (r < 0)
		return r;
	if (b->failed)
		return err_set(err, -EINVAL,
			"Env: a value is no UTF-8: only DOCKER_SECRETS=file can give it to a dyno");
	return 0;
}

/* How many lines follow comes first: a value may hold any line. */
static int end_first(struct body *b, struct err *err)
{
	struct strbuf whole = {0};

	if (!b->first)
		return 0;
	(void)strbuf_printf(&whole, "%u\n", b->n_lines);
	(void)strbuf_add(&whole, b->first->data ? b->first->data : "", b->first->len);
	int r = b->first->error ? b->first->error : whole.error;
	strbuf_done(b->first);
	*b->first = whole;
	return r < 0 ? err_errno(err, r, "config vars") : 0;
}

/* ---- who, where and what ---- */

static bool is_root(const char *id, size_t len)
{
	return (len == 4 && strncmp(id, "root", 4) == 0) || (len > 0 && strspn(id, "0+") >= len);
}

/* A name of the image's that stands for number 0 is not known here: such a dyno still has no
 * capability, and gets none. */
static int check_user(const struct body *b, const char *user, struct err *err)
{
	const struct id_grant *g = b->setup->context->dyno_ids;

	if (!b->root_user || !g || g->root)
		return 0;
	return err_set(err, -EPERM,
		"User: %s is root or of group root: hsup has to be started with "
		"--allow-root-dynos",
		user);
}

static int add_user(struct body *b, struct err *err)
{
	const struct body_setup *s = b->setup;
	const char *user = s->start->process->user;
	char numbers[40];

	if (!user) {
		(void)snprintf(numbers, sizeof numbers, "%" PRIu32 ":%" PRIu32, s->image->uid,
			s->image->gid);
		body_put(b, b->root, "User", json_string(numbers));
		return 0;
	}
	size_t len = strcspn(user, ":");
	b->root_user = is_root(user, len) ||
		       (user[len] && is_root(user + len + 1, strlen(user + len + 1)));
	body_put(b, b->root, "User", json_string(user));
	return check_user(b, user, err);
}

struct words {
	struct body *body;
	json_t *array;
};

static void add_word(void *userdata, const char *word)
{
	const struct words *w = userdata;

	body_add(w->body, w->array, json_string(word));
}

static void add_command(struct body *b)
{
	const struct process *p = b->setup->start->process;
	const char *shell = b->setup->image->shell;
	const int *stdio = b->setup->start->stdio;
	json_t *command = json_array();
	struct words words = {b, command};
	const struct profile_sink sink = {add_word, &words};
	char script[SCRIPT_SIZE];

	script_start(p->umask, p->redirect_stderr, b->first != NULL, stdio && attach_is_tty(stdio),
		script);
	body_put(b, b->root, "Cmd", command);
	/* The image's own would be put in front. */
	body_put(b, b->root, "Entrypoint", json_array());
	if (b->setup->podman) {
		body_add(b, command, json_string(shell));
		body_add(b, command, json_string("-c"));
		body_add(b, command, json_string(SCRIPT_GROUP));
		body_add(b, command, json_string("init"));
	}
	profile_command(&sink, shell, script, "dyno", p->args, p->n_args);
}

static int add_directory(struct body *b, struct err *err)
{
	char directory[4096];

	int r = profile_directory(b->setup->start->process->directory, directory);
	if (r < 0)
		return err_errno(err, r, "Directory");
	body_put(b, b->root, "WorkingDir", json_string(directory));
	return 0;
}

/* ---- the rest of it ---- */

static void add_labels(struct body *b)
{
	const struct body_setup *s = b->setup;
	const struct driver_start *start = s->start;
	const struct process *p = start->process;
	const unsigned char *tag = start->tag;
	char hex[2 * LIMIT_TAG + 1], codes[LIMIT_EXIT_CODES * 12 + 1] = "";
	json_t *l = json_object();
	size_t at = 0;

	for (size_t i = 0; i < start->tag_len && i < LIMIT_TAG; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", tag[i]);
	hex[2 * (start->tag_len < LIMIT_TAG ? start->tag_len : LIMIT_TAG)] = '\0';
	for (unsigned i = 0; i < p->n_exit_codes; i++)
		at += (size_t)snprintf(
			codes + at, sizeof codes - at, "%s%d", i ? "," : "", p->exit_codes[i]);
	body_put(b, b->root, "Labels", l);
	/* The image's are handed on: this one is not being made into an image. */
	body_put(b, l, IMAGE_LABEL_BUILD, json_string(""));
	body_put(b, l, LABEL_OWNER, json_string(s->context->owner));
	body_put(b, l, LABEL_CONTROL,
		json_string(s->context->control_dir ? s->context->control_dir : ""));
	body_put(b, l, LABEL_APP, json_string(start->app ? start->app : ""));
	body_put(b, l, LABEL_KIND, json_string(s->context->lasts ? KIND_DYNO : KIND_RUN));
	body_put(b, l, LABEL_TYPE, json_string(p->type));
	body_put(b, l, LABEL_INSTANCE, json_sprintf("%u", start->instance));
	body_put(b, l, LABEL_RELEASE, json_sprintf("%" PRId64, start->release->version));
	body_put(b, l, LABEL_DYNO, json_sprintf("%" PRIu64, start->id));
	body_put(b, l, LABEL_GENERATION, json_sprintf("%" PRIu32, start->generation));
	body_put(b, l, LABEL_TAG, json_string(hex));
	body_put(b, l, LABEL_PORT, json_sprintf("%u", s->port));
	body_put(b, l, LABEL_EXIT_CODES, json_string(codes));
	body_put(b, l, LABEL_STDIN, json_string(p->stdin_open && !start->stdio ? "1" : ""));
	body_put(b, l, LABEL_MERGED, json_string(p->redirect_stderr ? "1" : ""));
	body_put(b, l, KEEPER_LABEL, json_string(s->keeper));
}

static void add_stdin(struct body *b)
{
	const struct driver_start *start = b->setup->start;

	if (start->stdio) {
		b->failed |= attach_compose(b->root, start->stdio) < 0;
		return;
	}
	if (!start->process->stdin_open && !b->first)
		return;
	body_put(b, b->root, "OpenStdin", json_true());
	body_put(b, b->root, "StdinOnce", json_boolean(!start->process->stdin_open));
}

static int write_body(struct body *b, struct err *err)
{
	b->root = json_object();
	b->host = json_object();
	body_put(b, b->root, "HostConfig", b->host);
	body_put(b, b->root, "Image", json_string(b->setup->image->id));
	int r = add_user(b, err);
	if (r == 0 && b->first && b->setup->start->stdio && attach_is_tty(b->setup->start->stdio))
		r = err_set(err, -EOPNOTSUPP,
			"DOCKER_SECRETS=file: config vars cannot be handed over through a "
			"terminal, which would show them; give the command its input from a file "
			"or a pipe");
	if (r == 0)
		r = add_environment(b, err);
	if (r == 0)
		r = end_first(b, err);
	if (r < 0)
		return r;
	add_command(b);
	r = add_directory(b, err);
	if (r == 0)
		r = body_host(b, err);
	if (r < 0)
		return r;
	add_labels(b);
	add_stdin(b);
	return b->failed ? err_set(err, -EINVAL,
				   "the order to the engine cannot be written: out of memory, or a "
				   "text in it is no UTF-8")
			 : 0;
}

json_t *body_create(const struct body_setup *setup, struct strbuf *first, struct err *err)
{
	struct body b = {
		.setup = setup,
		.first = setup->settings->secret_file ? first : NULL,
	};

	if (write_body(&b, err) < 0) {
		json_decref(b.root);
		return NULL;
	}
	return b.root;
}

json_t *body_exec(const char *shell, const struct process *process, char *const *args,
	size_t n_args, const char *mark, bool attached)
{
	char script[SCRIPT_SIZE];
	struct body b = {0};

	script_exec(process->umask, script);
	json_t *root = json_pack("{s[]}", "Cmd");
	struct words words = {&b, json_object_get(root, "Cmd")};
	const struct profile_sink sink = {add_word, &words};
	profile_command(&sink, shell, script, "check", args, n_args);
	body_put(&b, root, "Env", json_pack("[o]", json_sprintf(SCRIPT_MARK "=%s", mark)));
	body_put(&b, root, "AttachStdin", json_boolean(attached));
	if (b.failed) {
		json_decref(root);
		return NULL;
	}
	return root;
}

json_t *body_exec_kill(const char *shell, const char *mark)
{
	char script[SCRIPT_SIZE];

	script_exec_kill(mark, script);
	return json_pack("{s[sss]}", "Cmd", shell, "-c", script);
}

void body_name(const char *app, const char *name, uint64_t id, uint32_t generation, char *ret_name,
	size_t size)
{
	int n = snprintf(ret_name, size, "hsup-%.60s-%.80s-%" PRIx64 ".%" PRIu32, app ? app : "app",
		name, id, generation);

	for (char *c = ret_name; n > 0 && *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9') || strchr("_.-", *c)))
			*c = '-';
}
