#include "drivers/docker/body.h"

#include "drivers/docker/attach.h"
#include "drivers/docker/keeper.h"
#include "drivers/docker/labels.h"
#include "drivers/docker/script.h"
#include "drivers/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* Engines take no less. */
#define MEMORY_LEAST (6U << 20)
#define PROMPT	     "\\[\\033[01;34m\\]\\w\\[\\033[00m\\] \\[\\033[01;32m\\]$ \\[\\033[00m\\]"

/* What is being written; the first failure of it is remembered. */
struct body {
	const struct body_setup *setup;
	json_t *root, *host, *env;
	struct strbuf *first; /* NULL: config vars go into Env */
	unsigned n_lines;
	bool root_user;
	bool failed;
};

static void put(struct body *b, json_t *object, const char *name, json_t *value)
{
	b->failed |= json_object_set_new(object, name, value) < 0;
}

static void add(struct body *b, json_t *array, json_t *value)
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
		add(b, b->env, string);
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
	put(b, b->root, "Env", b->env);
	/* So that a signal reaches every process of the dyno, not only its first. */
	add(b, b->env, json_string("TINI_KILL_PROCESS_GROUP=1"));
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
		put(b, b->root, "User", json_string(numbers));
		return 0;
	}
	size_t len = strcspn(user, ":");
	b->root_user = is_root(user, len) || (user[len] && is_root(user + len + 1,
								   strlen(user + len + 1)));
	put(b, b->root, "User", json_string(user));
	return check_user(b, user, err);
}

static void add_command(struct body *b)
{
	const struct process *p = b->setup->start->process;
	const char *shell = b->setup->image->shell, *own = p->directory;
	json_t *command = json_array();
	char script[SCRIPT_SIZE], directory[4096];

	script_start(p->umask, b->first != NULL, script);
	put(b, b->root, "Cmd", command);
	/* The image's own would be put in front. */
	put(b, b->root, "Entrypoint", json_array());
	add(b, command, json_string(shell));
	add(b, command, json_string("-c"));
	add(b, command, json_string(script));
	add(b, command, json_string("dyno"));
	if (p->n_args == 1) {
		add(b, command, json_string(shell));
		add(b, command, json_string("-c"));
	}
	for (size_t i = 0; i < p->n_args; i++)
		add(b, command, json_string(p->args[i]));
	(void)snprintf(directory, sizeof directory, "%s%s", own && own[0] == '/' ? "" : "/app",
		own ? own[0] == '/' ? own : "/" : "");
	put(b, b->root, "WorkingDir",
		own && own[0] != '/' ? json_sprintf("/app/%s", own) : json_string(directory));
}

/* ---- the host's part ---- */

static void add_security(struct body *b)
{
	static const char *const roots[] = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL",
		"NET_BIND_SERVICE", "SETGID", "SETUID"};

	put(b, b->host, "Init", json_true());
	put(b, b->host, "SecurityOpt", json_pack("[s]", "no-new-privileges"));
	put(b, b->host, "CapDrop", json_pack("[s]", "ALL"));
	if (!b->root_user)
		return;
	json_t *given = json_array();
	put(b, b->host, "CapAdd", given);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		add(b, given, json_string(roots[i]));
}

/* Who is not root and has no capability can write where the image lets him: in /app, which is his.
 * A read-only root with a writable /app in it would be the engine's copy of the slug for each
 * container: that is done only for root, who could write anywhere. */
static void add_mounts(struct body *b)
{
	const struct body_setup *s = b->setup;
	const struct release *r = s->start->release;
	json_t *tmpfs = json_object(), *mounts = json_array();

	put(b, b->host, "Tmpfs", tmpfs);
	put(b, tmpfs, "/tmp", json_string("rw,exec,nosuid,nodev,mode=1777"));
	put(b, tmpfs, "/var/tmp", json_string("rw,exec,nosuid,nodev,mode=1777"));
	if (b->first && s->start->process->user)
		/* Whose number is not known: the file itself is his alone. */
		put(b, tmpfs, SCRIPT_SECRETS,
			json_string("rw,noexec,nosuid,nodev,size=4m,mode=1733"));
	else if (b->first)
		put(b, tmpfs, SCRIPT_SECRETS,
			json_sprintf("rw,noexec,nosuid,nodev,size=4m,mode=0700,uid=%u,gid=%u",
				(unsigned)s->image->uid, (unsigned)s->image->gid));
	put(b, b->host, "Mounts", mounts);
	if (b->root_user) {
		put(b, b->host, "ReadonlyRootfs", json_true());
		add(b, mounts, json_pack("{ssss}", "Type", "volume", "Target", "/app"));
	}
	for (size_t i = 0; i < r->n_binds; i++)
		add(b, mounts,
			json_pack("{ssssss}", "Type", "bind", "Source", r->binds[i].host, "Target",
				r->binds[i].container));
}

static int add_notify(struct body *b, struct err *err)
{
	const char *path = b->setup->start->notify_socket, *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return 0;
	if (!b->setup->local)
		return err_set(err, -EOPNOTSUPP,
			"Notify: the engine is on another machine: a dyno there cannot reach the "
			"socket %.200s",
			path);
	json_t *folder = json_stringn(path, (size_t)(slash - path));
	json_t *mount = json_pack("{ssso}", "Type", "bind", "Source", folder);
	put(b, mount, "Target", json_incref(folder));
	add(b, json_object_get(b->host, "Mounts"), mount);
	return 0;
}

static void add_limits(struct body *b)
{
	const struct process *p = b->setup->start->process;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	double cpu = p->cpu;

	if (p->memory) {
		/* Where it is killed by any driver: R15. */
		uint64_t most = p->memory > INT64_MAX / 2 ? INT64_MAX : 2 * p->memory;

		most = most < MEMORY_LEAST ? MEMORY_LEAST : most;
		put(b, b->host, "Memory", json_integer((json_int_t)most));
		put(b, b->host, "MemorySwap", json_integer((json_int_t)most));
	}
	/* More than there are is refused, though it would limit nothing. */
	if (b->setup->local && cores > 0 && cpu > (double)cores)
		cpu = (double)cores;
	if (cpu > 0)
		put(b, b->host, "NanoCpus",
			json_integer((json_int_t)((cpu < 0.01 ? 0.01 : cpu) * 1e9)));
	if (p->processes)
		put(b, b->host, "PidsLimit", json_integer((json_int_t)p->processes));
	if (p->open_files)
		put(b, b->host, "Ulimits",
			json_pack("[{sssIsI}]", "Name", "nofile", "Soft",
				(json_int_t)p->open_files, "Hard", (json_int_t)p->open_files));
}

static void add_network(struct body *b)
{
	const struct docker_settings *s = b->setup->settings;
	char port[24];

	put(b, b->host, "NetworkMode", json_string(s->network_name));
	if (s->network != DOCKER_NETWORK_OWN || b->setup->port == 0)
		return;
	(void)snprintf(port, sizeof port, "%u/tcp", b->setup->port);
	put(b, b->root, "ExposedPorts", json_pack("{s{}}", port));
	put(b, b->host, "PortBindings",
		json_pack("{s[{ssss}]}", port, "HostIp", s->publish, "HostPort", ""));
}

/* Rotation loses what its reader has not read yet: only for who prefers that to a full disk. */
static void add_log(struct body *b)
{
	uint64_t most = b->setup->settings->log_max;
	json_t *config = json_object();

	if (most) {
		put(b, config, "max-size", json_sprintf("%" PRIu64, most));
		put(b, config, "max-file", json_string("2"));
	}
	put(b, b->host, "LogConfig", json_pack("{ssso}", "Type", "json-file", "Config", config));
}

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
		at += (size_t)snprintf(codes + at, sizeof codes - at, "%s%d", i ? "," : "",
			p->exit_codes[i]);
	put(b, b->root, "Labels", l);
	put(b, l, LABEL_OWNER, json_string(s->context->owner));
	put(b, l, LABEL_CONTROL,
		json_string(s->context->control_dir ? s->context->control_dir : ""));
	put(b, l, LABEL_APP, json_string(start->app ? start->app : ""));
	put(b, l, LABEL_KIND, json_string(s->context->lasts ? KIND_DYNO : KIND_RUN));
	put(b, l, LABEL_TYPE, json_string(p->type));
	put(b, l, LABEL_INSTANCE, json_sprintf("%u", start->instance));
	put(b, l, LABEL_RELEASE, json_sprintf("%" PRId64, start->release->version));
	put(b, l, LABEL_DYNO, json_sprintf("%" PRIu64, start->id));
	put(b, l, LABEL_GENERATION, json_sprintf("%" PRIu32, start->generation));
	put(b, l, LABEL_TAG, json_string(hex));
	put(b, l, LABEL_PORT, json_sprintf("%u", s->port));
	put(b, l, LABEL_EXIT_CODES, json_string(codes));
	put(b, l, LABEL_STDIN, json_string(p->stdin_open && !start->stdio ? "1" : ""));
	put(b, l, LABEL_MERGED, json_string(p->redirect_stderr ? "1" : ""));
	put(b, l, KEEPER_LABEL, json_string(s->keeper));
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
	put(b, b->root, "OpenStdin", json_true());
	put(b, b->root, "StdinOnce", json_boolean(!start->process->stdin_open));
}

static int write_body(struct body *b, struct err *err)
{
	b->root = json_object();
	b->host = json_object();
	put(b, b->root, "HostConfig", b->host);
	put(b, b->root, "Image", json_string(b->setup->image->id));
	int r = add_user(b, err);
	if (r == 0)
		r = add_environment(b, err);
	if (r == 0)
		r = end_first(b, err);
	if (r < 0)
		return r;
	add_command(b);
	add_security(b);
	add_mounts(b);
	r = add_notify(b, err);
	if (r < 0)
		return r;
	add_limits(b);
	add_network(b);
	add_log(b);
	put(b, b->host, "RestartPolicy", json_pack("{ss}", "Name", "no"));
	put(b, b->host, "AutoRemove", json_false());
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

static json_t *exec_of(const char *shell, const char *script)
{
	return json_pack("{s[sss]}", "Cmd", shell, "-c", script);
}

json_t *body_exec(const char *shell, const struct process *process, char *const *args,
	size_t n_args, const char *mark)
{
	char script[SCRIPT_SIZE];
	struct body b = {0};

	script_exec(process->umask, script);
	json_t *root = exec_of(shell, script), *command = json_object_get(root, "Cmd");
	add(&b, command, json_string("check"));
	if (n_args == 1) {
		add(&b, command, json_string(shell));
		add(&b, command, json_string("-c"));
	}
	for (size_t i = 0; i < n_args; i++)
		add(&b, command, json_string(args[i]));
	put(&b, root, "Env", json_pack("[o]", json_sprintf(SCRIPT_MARK "=%s", mark)));
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
	return exec_of(shell, script);
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
