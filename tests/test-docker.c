/* The parts of the docker driver that decide, without an engine. */
#include "base/clock.h"
#include "drivers/docker/body.h"
#include "drivers/docker/exits.h"
#include "drivers/docker/labels.h"
#include "drivers/docker/script.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the order ---- */

static struct id_grant no_root;

static struct order {
	struct docker_settings settings;
	struct driver_context context;
	struct process process;
	struct release release;
	struct driver_start start;
	struct image image;
	struct body_setup setup;
	struct strbuf first;
	struct err err;
} o;

static struct env_var vars[] = {
	{(char[]){"NAME"}, (char[]){"it's\n2 lines"}},
	{(char[]){"PORT"}, (char[]){"7777"}},
};
static char *line[] = {(char[]){"echo $NAME"}, NULL};
static char type[] = "web", id[] = "sha256:1", shell[] = "/bin/bash";
static char *words[] = {(char[]){"/bin/x"}, (char[]){"a b"}, NULL};

static int begin(void **state)
{
	(void)state;
	o = (struct order){
		.settings = {.network = DOCKER_NETWORK_OWN,
			.network_name = "bridge",
			.publish = "127.0.0.1"},
		.context = {.owner = "0123abcd", .control_dir = "/ctl", .lasts = true},
		.process = {.type = type,
			.args = line,
			.n_args = 1,
			.umask = -1,
			.exit_codes = {0, 143},
			.n_exit_codes = 2},
		.release = {.version = 7, .env = {vars, ARRAY_SIZE(vars), ARRAY_SIZE(vars)}},
		.start = {.id = 0x5f,
			.generation = 2,
			.name = "web.1",
			.instance = 1,
			.app = "shop"},
		.image = {.id = id, .shell = shell, .uid = 1000, .gid = 1001},
	};
	o.start.process = &o.process;
	o.start.release = &o.release;
	o.start.tag = "\x01\xff";
	o.start.tag_len = 2;
	o.setup = (struct body_setup){.settings = &o.settings,
		.context = &o.context,
		.start = &o.start,
		.image = &o.image,
		.keeper = "keeper",
		.port = 5000,
		.local = true};
	return 0;
}

static int end(void **state)
{
	(void)state;
	strbuf_done(&o.first);
	return 0;
}

static json_t *create(void)
{
	json_t *body = body_create(&o.setup, &o.first, &o.err);

	if (!body)
		print_message("%s\n", o.err.text);
	assert_non_null(body);
	return body;
}

static const char *variable(const json_t *body, const char *name)
{
	json_t *member, *env = json_object_get(body, "Env");
	const char *found = NULL;
	size_t i;

	json_array_foreach(env, i, member)
	{
		const char *text = json_string_value(member);

		if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=') {
			assert_null(found);
			found = text + strlen(name) + 1;
		}
	}
	return found;
}

static void a_container_has_what_a_dyno_is_given(void **state)
{
	json_t *body = create(), *host = json_object_get(body, "HostConfig");
	json_t *labels = json_object_get(body, "Labels");

	(void)state;
	assert_string_equal(variable(body, "NAME"), "it's\n2 lines");
	assert_string_equal(variable(body, "PORT"), "5000");
	assert_string_equal(variable(body, "DYNO"), "web.1");
	assert_string_equal(variable(body, "HOME"), "/app");
	assert_null(variable(body, "PATH"));
	assert_string_equal(json_text_of(body, "User"), "1000:1001");
	assert_string_equal(json_text_of(body, "WorkingDir"), "/app");
	assert_string_equal(json_text_of(labels, LABEL_TAG), "01ff");
	assert_string_equal(json_text_of(labels, LABEL_DYNO), "95");
	assert_string_equal(json_text_of(labels, LABEL_EXIT_CODES), "0,143");
	assert_true(json_true_of(host, "Init"));
	assert_false(json_true_of(host, "ReadonlyRootfs"));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(host, "CapDrop"), 0)), "ALL");
	assert_null(json_object_get(host, "CapAdd"));
	assert_non_null(json_object_get(json_object_get(host, "PortBindings"), "5000/tcp"));
	assert_false(json_true_of(body, "OpenStdin"));
	/* No config var where images and lists show it. */
	char *shown = json_dumps(labels, 0);
	assert_null(strstr(shown, "lines"));
	free(shown);
	json_decref(body);
}

static void a_line_is_a_shell_s_and_words_are_not(void **state)
{
	json_t *body = create(), *command = json_object_get(body, "Cmd");

	(void)state;
	assert_int_equal(json_array_size(command), 7);
	assert_string_equal(json_string_value(json_array_get(command, 6)), "echo $NAME");
	json_decref(body);
	o.process.args = words;
	o.process.n_args = 2;
	body = create();
	command = json_object_get(body, "Cmd");
	assert_int_equal(json_array_size(command), 6);
	assert_string_equal(json_string_value(json_array_get(command, 5)), "a b");
	json_decref(body);
}

static void podman_has_an_init_for_the_group_and_a_stream_for_a_command(void **state)
{
	static const char *const start[] = {"/bin/bash", "-c", SCRIPT_GROUP, "init"};
	json_t *docker = create(), *of_docker = json_object_get(docker, "Cmd");

	(void)state;
	o.setup.podman = true;
	json_t *podman = create(), *of_podman = json_object_get(podman, "Cmd");
	assert_int_equal(json_array_size(of_podman), 4 + json_array_size(of_docker));
	for (size_t i = 0; i < json_array_size(of_podman); i++)
		assert_string_equal(json_string_value(json_array_get(of_podman, i)),
			i < 4 ? start[i] : json_string_value(json_array_get(of_docker, i - 4)));
	json_decref(docker);
	json_decref(podman);
	for (int attached = 0; attached < 2; attached++) {
		json_t *body = body_exec(shell, &o.process, o.process.args, 1, "1.", attached);
		assert_int_equal(json_true_of(body, "AttachStdin"), attached);
		json_decref(body);
	}
}

static void root_is_refused_unless_it_is_granted(void **state)
{
	static const char *const users[] = {"root", "0", "root:root", "1000:0", "dyno:root", "00"};

	(void)state;
	no_root = (struct id_grant){0};
	o.context.dyno_ids = &no_root;
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		char user[20];

		(void)snprintf(user, sizeof user, "%s", users[i]);
		o.process.user = user;
		assert_null(body_create(&o.setup, &o.first, &o.err));
		assert_int_equal(o.err.code, -EPERM);
	}
	o.process.user = (char[]){"nobody"};
	json_decref(create());
	no_root.root = true;
	o.process.user = (char[]){"root"};
	json_t *body = create(), *host = json_object_get(body, "HostConfig");
	assert_true(json_true_of(host, "ReadonlyRootfs"));
	assert_true(json_array_size(json_object_get(host, "CapAdd")) > 0);
	json_decref(body);
}

static void limits_are_the_engine_s(void **state)
{
	(void)state;
	o.process.memory = UINT64_C(100) << 20;
	o.process.processes = 40;
	o.process.open_files = 99;
	o.process.cpu = 0.5;
	json_t *body = create(), *host = json_object_get(body, "HostConfig");
	assert_int_equal(json_number_of(host, "Memory", 0), INT64_C(200) << 20);
	assert_int_equal(json_number_of(host, "MemorySwap", 0), INT64_C(200) << 20);
	assert_int_equal(json_number_of(host, "PidsLimit", 0), 40);
	assert_int_equal(json_number_of(host, "NanoCpus", 0), 500000000);
	json_decref(body);
	/* What no engine takes is given as what it does. */
	o.process.memory = 1;
	o.process.cpu = 0.001;
	body = create();
	host = json_object_get(body, "HostConfig");
	assert_int_equal(json_number_of(host, "Memory", 0), 6 << 20);
	assert_int_equal(json_number_of(host, "NanoCpus", 0), 10000000);
	json_decref(body);
}

static void a_notify_socket_elsewhere_is_refused(void **state)
{
	(void)state;
	o.start.notify_socket = "/run/x/notify/1.1";
	json_t *body = create();
	const json_t *mount =
		json_array_get(json_object_get(json_object_get(body, "HostConfig"), "Mounts"), 0);
	assert_string_equal(json_text_of(mount, "Source"), "/run/x/notify");
	assert_string_equal(json_text_of(mount, "Target"), "/run/x/notify");
	json_decref(body);
	o.setup.local = false;
	assert_null(body_create(&o.setup, &o.first, &o.err));
	assert_int_equal(o.err.code, -EOPNOTSUPP);
}

/* The script itself, with a shell of this machine: what is read, and what is left. */
static void secrets_are_read_line_by_line(void **state)
{
	char script[SCRIPT_SIZE], text[1000] = "", folder[] = "/tmp/test-docker-XXXXXX";
	char *where;

	(void)state;
	o.settings.secret_file = true;
	json_t *body = create();
	assert_null(variable(body, "NAME"));
	assert_string_equal(variable(body, "DYNO"), "web.1");
	assert_true(json_true_of(body, "OpenStdin"));
	assert_true(json_true_of(body, "StdinOnce"));
	assert_string_equal(o.first.data, "2\nexport NAME='it'\\''s\n2 lines'\n");
	json_decref(body);

	assert_non_null(mkdtemp(folder));
	script_start(-1, false, true, true, script);
	/* Where a container has a tmpfs. */
	struct strbuf own = {0};
	for (const char *at = script; *at; at = where ? where + strlen(SCRIPT_SECRETS) : "") {
		where = strstr(at, SCRIPT_SECRETS);
		(void)strbuf_add(&own, at, where ? (size_t)(where - at) : strlen(at));
		(void)strbuf_puts(&own, where ? folder : "");
	}
	int in[2], out[2];
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)close(in[1]);
		(void)execl("/bin/sh", "sh", "-c", own.data, "dyno", "/bin/sh", "-c",
			"echo \"<$NAME>\"; cat", (char *)NULL);
		_exit(99);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	assert_int_equal(write(in[1], o.first.data, o.first.len), o.first.len);
	assert_int_equal(write(in[1], "rest", 4), 4);
	(void)close(in[1]);
	size_t n = 0;
	for (ssize_t r; (r = read(out[0], text + n, sizeof text - 1 - n)) > 0;)
		n += (size_t)r;
	(void)close(out[0]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(text, "<it's\n2 lines>\nrest");
	(void)strbuf_puts(&own, "");
	strbuf_reset(&own);
	(void)strbuf_printf(&own, "%s/env", folder);
	assert_int_equal(unlink(own.data), 0);
	assert_int_equal(rmdir(folder), 0);
	strbuf_done(&own);
}

static void what_is_no_utf8_needs_the_file(void **state)
{
	struct env_var bad[] = {{(char[]){"BAD"}, (char[]){"\xff\xfe"}}};

	(void)state;
	o.release.env = (struct env){bad, 1, 1};
	assert_null(body_create(&o.setup, &o.first, &o.err));
	assert_int_equal(o.err.code, -EINVAL);
	o.settings.secret_file = true;
	json_decref(create());
}

static void names_are_what_engines_take(void **state)
{
	char name[256];

	(void)state;
	body_name("my shop/ü", "web.1", 0x5f3a, 2, name, sizeof name);
	assert_string_equal(name, "hsup-my-shop----web.1-5f3a.2");
}

/* ---- exits ---- */

static struct driver_exit read_exit(int code, bool oom, const char *codes)
{
	uint64_t set[4] = {0};
	json_t *state = json_pack("{sisbss}", "ExitCode", code, "OOMKilled", oom, "FinishedAt",
		"0001-01-01T00:00:00Z");

	codes_read(set, codes);
	struct driver_exit e = exit_read(state, set);
	json_decref(state);
	return e;
}

static void codes_above_128_are_a_signal_s(void **state)
{
	(void)state;
	assert_int_equal(read_exit(3, false, "").exit.kind, EXIT_CODE);
	assert_int_equal(read_exit(137, true, "").exit.kind, EXIT_SIGNAL);
	assert_int_equal(read_exit(137, true, "").exit.value, SIGKILL);
	assert_true(read_exit(137, true, "").out_of_memory);
	/* No signal that ends anybody. */
	assert_int_equal(read_exit(128 + SIGCHLD, false, "").exit.kind, EXIT_CODE);
	assert_int_equal(read_exit(255, false, "").exit.kind, EXIT_CODE);
	/* The type says that it exits so. */
	assert_int_equal(read_exit(143, false, "").exit.kind, EXIT_SIGNAL);
	assert_int_equal(read_exit(143, false, "0,143").exit.kind, EXIT_CODE);
	/* Never 0 for what is not known. */
	assert_int_equal(read_exit(-1, false, "").exit.kind, EXIT_UNKNOWN);
	json_t *nothing = json_object();
	static const uint64_t none[4];
	assert_int_equal(exit_read(nothing, none).exit.kind, EXIT_UNKNOWN);
	json_decref(nothing);
	assert_true(time_read("") == 0);
	assert_true(time_read("2020-01-01T00:00:00.5Z") > 0);
	assert_true(time_read("2099-01-01T00:00:00Z") <= clock_now());
}

static void a_refusal_has_a_stage(void **state)
{
	struct err err;

	(void)state;
	(void)err_set(&err, -EINVAL,
		"docker: OCI runtime create failed: exec: \"/bin/no\": stat "
		"/bin/no: no such file or directory: unknown");
	struct driver_exit e = exit_refused(&err);
	assert_int_equal(e.exit.value, WIRE_STAGE_EXEC);
	assert_int_equal(e.exit.error, ENOENT);
	(void)err_set(&err, -ENOENT, "docker: No such image: x");
	e = exit_refused(&err);
	assert_int_equal(e.exit.value, WIRE_STAGE_REFUSED);
	assert_int_equal(e.exit.kind, EXIT_STAGE);
}

/* ---- what is found ---- */

static enum verdict judge(bool entry, const char *state, bool run, bool lasts, bool place)
{
	const struct found f = {
		.entry = entry,
		.container = state != NULL,
		.run = run,
		.place = place,
		.state = container_state(state ? state : ""),
	};

	return found_judge(&f, lasts);
}

static void what_is_found_is_adopted_removed_or_left(void **state)
{
	(void)state;
	assert_int_equal(judge(true, "running", false, true, true), VERDICT_ADOPT);
	assert_int_equal(judge(true, "exited", false, true, true), VERDICT_ADOPT);
	assert_int_equal(judge(true, "created", false, true, true), VERDICT_REMOVE);
	assert_int_equal(judge(true, NULL, false, true, false), VERDICT_REMOVE);
	/* Its launcher was killed. */
	assert_int_equal(judge(false, "running", false, true, false), VERDICT_ADOPT);
	assert_int_equal(judge(false, "exited", false, true, true), VERDICT_ADOPT);
	assert_int_equal(judge(false, "exited", false, true, false), VERDICT_REMOVE);
	assert_int_equal(judge(false, "created", false, true, false), VERDICT_REMOVE);
	/* A run touches only its own, and nobody touches a run's. */
	assert_int_equal(judge(false, "running", false, false, false), VERDICT_LEAVE);
	assert_int_equal(judge(false, "exited", true, true, false), VERDICT_LEAVE);
	assert_int_equal(judge(true, "running", true, false, false), VERDICT_ADOPT);
	const struct found f = {
		.container = true, .run = true, .orphan = true, .state = CONTAINER_RUNS};
	assert_int_equal(found_judge(&f, true), VERDICT_REMOVE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_container_has_what_a_dyno_is_given),
		TEST(a_line_is_a_shell_s_and_words_are_not),
		TEST(podman_has_an_init_for_the_group_and_a_stream_for_a_command),
		TEST(root_is_refused_unless_it_is_granted),
		TEST(limits_are_the_engine_s),
		TEST(a_notify_socket_elsewhere_is_refused),
		TEST(secrets_are_read_line_by_line),
		TEST(what_is_no_utf8_needs_the_file),
		TEST(names_are_what_engines_take),
		cmocka_unit_test(codes_above_128_are_a_signal_s),
		cmocka_unit_test(a_refusal_has_a_stage),
		cmocka_unit_test(what_is_found_is_adopted_removed_or_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
