#include "base/fd.h"
#include "drivers/account.h"
#include "drivers/driver.h"
#include "drivers/environment.h"
#include "drivers/port_life.h"
#include "wire/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <setjmp.h>

#include <cmocka.h>

static void the_table_finds_by_name_only(void **state)
{
	(void)state;
	assert_ptr_equal(driver_find("simple"), &driver_simple);
	assert_ptr_equal(driver_find("null"), &driver_null);
	assert_null(driver_find("Simple"));
	assert_null(driver_find(""));
	size_t n = 0;
	while (driver_at(n))
		n++;
	assert_int_equal(n, 5);
}

static void every_life_wishes_a_port_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(port_wish(0, 1), 5001);
	assert_int_equal(port_wish(2, 7), 5207);
	/* Never outside the ports there are, whatever the numbers. */
	for (unsigned type = 0; type < 64; type++)
		for (unsigned instance = 1; instance < 70000; instance += 997) {
			unsigned port = port_wish(type, instance);
			assert_in_range(port, 5000, 65535);
		}
}

static unsigned listen_anywhere(int *ret_fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_fd = fd;
	return ntohs(a.sin_port);
}

/* A port with a connection that its server has closed: in TIME_WAIT, nobody listens any more. */
static unsigned used_lately(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char byte;
	int fd, one = 1;
	unsigned port = listen_anywhere(&fd);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_port = htons((uint16_t)port);
	assert_true(client >= 0);
	assert_int_equal(connect(client, (const struct sockaddr *)&a, sizeof a), 0);
	int server = accept(fd, NULL, NULL);
	assert_true(server >= 0);
	/* As most servers have it: what is left of the connection is in nobody's way who asks so.
	 */
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	(void)close(server);
	assert_int_equal(read(client, &byte, 1), 0);
	(void)close(client);
	(void)close(fd);
	return port;
}

static void a_port_used_lately_is_in_the_way_of_who_failed_there(void **state)
{
	struct port_pool *pool = calloc(1, sizeof *pool);
	unsigned port = used_lately();

	(void)state;
	assert_non_null(pool);
	assert_int_equal(port_take(pool, port, PORT_LISTENERS), port);
	port_give_back(pool, port);
	assert_true(port_take(pool, port, PORT_ANY_USE) > port);
	free(pool);
}

static void busy_and_given_ports_are_skipped(void **state)
{
	struct port_pool *pool = calloc(1, sizeof *pool);
	int fd;
	unsigned busy = listen_anywhere(&fd);

	(void)state;
	assert_non_null(pool);
	unsigned first = port_take(pool, busy, PORT_LISTENERS);
	assert_true(first > busy);
	unsigned second = port_take(pool, first, PORT_LISTENERS);
	assert_true(second > first);
	port_give_back(pool, first);
	assert_int_equal(port_take(pool, busy, PORT_LISTENERS), first);
	assert_int_equal(port_take(pool, 65536, PORT_LISTENERS), 0);
	assert_false(port_take_again(pool, first));
	port_give_back(pool, first);
	assert_true(port_take_again(pool, first));
	assert_false(port_take_again(pool, 0));
	assert_false(port_take_again(pool, 70000));
	port_mark(pool, 70000); /* out of range: nothing to mark, nothing to break */
	(void)fd_close(fd);
	free(pool);
}

static void users_by_name_and_number(void **state)
{
	struct account a = {0};
	struct err err;

	(void)state;
	assert_int_equal(account_find(&a, "root", &err), 0);
	assert_int_equal(a.uid, 0);
	assert_string_equal(a.home, "/root");
	assert_int_equal(account_find(&a, "54321", &err), 0);
	assert_int_equal(a.uid, 54321);
	assert_int_equal(a.gid, 54321);
	assert_string_equal(a.home, "/");
	assert_int_equal(account_find(&a, "no-such-user-here", &err), -ENOENT);
	assert_non_null(strstr(err.text, "no user \"no-such-user-here\""));
	account_done(&a);
}

/* ---- the environment ---- */

static struct env_var release_vars[] = {
	{(char[]){"NAME"}, (char[]){"CONTENTS"}},
	{(char[]){"BOTH"}, (char[]){"release"}},
	{(char[]){"DYNO"}, (char[]){"forged.9"}},
	{(char[]){"PORT"}, (char[]){"7777"}},
	{(char[]){"PATH"}, (char[]){"/own/bin"}},
	{(char[]){"NOTIFY_SOCKET"}, (char[]){"/own"}},
	{(char[]){"WATCHDOG_USEC"}, (char[]){"7"}},
};
static struct env_var own_vars[] = {{(char[]){"BOTH"}, (char[]){"process"}}};

struct composed {
	void *map;
	size_t len;
	struct spec *spec;
};

static const char *value_of(const struct composed *c, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	for (unsigned i = 0; i < c->spec->n_env; i++)
		if (strncmp(c->spec->env[i], name, len) == 0 && c->spec->env[i][len] == '=') {
			assert_null(found); /* never twice */
			found = c->spec->env[i] + len + 1;
		}
	return found;
}

static void add_variable(void *userdata, const char *name, const char *value, bool config)
{
	assert_int_equal(config, strcmp(name, "NAME") == 0 || strcmp(name, "BOTH") == 0 ||
					 strcmp(value, "/own/bin") == 0 ||
					 strcmp(value, "/own") == 0 || strcmp(value, "7") == 0 ||
					 strcmp(value, "7777") == 0);
	assert_int_equal(spec_env(userdata, name, value), 0);
}

static struct composed compose_with(
	unsigned port, const char *slug, const char *notify, uint64_t watchdog)
{
	struct process process = {.env = {own_vars, 1, 1}};
	struct release release = {
		.version = 42,
		.env = {release_vars, ARRAY_SIZE(release_vars), ARRAY_SIZE(release_vars)},
	};
	struct driver_start start = {.name = "web.1",
		.process = &process,
		.release = &release,
		.app = "shop",
		.notify_socket = notify,
		.watchdog_usec = watchdog};
	struct spec_builder b = {0};
	struct stat st;
	struct err err;
	struct composed c = {.spec = calloc(1, sizeof *c.spec)};
	char slug_path[100];

	assert_non_null(c.spec);
	if (slug) {
		(void)snprintf(slug_path, sizeof slug_path, "%s", slug);
		release.slug_path = slug_path;
	}
	spec_begin(&b);
	assert_int_equal(spec_program(&b, "/bin/true"), 0);
	assert_int_equal(spec_arg(&b, "true"), 0);
	const struct environment_sink sink = {add_variable, &b};
	const struct environment_place place = {
		.port = port, .path = "/bin", .home = slug ? slug : "/", .directory = slug};
	environment_compose(&sink, &start, &place);
	assert_int_equal(environment_of_life(&sink, &start, &err), 0);
	_cleanup_close_ int fd = spec_seal(&b);
	assert_true(fd >= 0);
	spec_builder_done(&b);

	assert_int_equal(fstat(fd, &st), 0);
	c.len = (size_t)st.st_size;
	c.map = mmap(NULL, c.len, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(c.map != MAP_FAILED);
	assert_int_equal(spec_parse(c.map, c.len, c.spec), 0);
	return c;
}

static struct composed compose(unsigned port, const char *slug)
{
	return compose_with(port, slug, NULL, 0);
}

static void composed_done(struct composed *c)
{
	(void)munmap(c->map, c->len);
	free(c->spec);
}

static void a_dyno_knows_who_it_is(void **state)
{
	struct composed c = compose(5001, "/slug");

	(void)state;
	assert_string_equal(value_of(&c, "DYNO"), "web.1");
	assert_string_equal(value_of(&c, "PORT"), "5001");
	assert_string_equal(value_of(&c, "NAME"), "CONTENTS");
	assert_string_equal(value_of(&c, "BOTH"), "process");
	assert_string_equal(value_of(&c, "PATH"), "/own/bin");
	assert_string_equal(value_of(&c, "HOME"), "/slug");
	assert_string_equal(value_of(&c, "PWD"), "/slug");
	assert_string_equal(value_of(&c, "HEROKU_APP_NAME"), "shop");
	assert_string_equal(value_of(&c, "HEROKU_RELEASE_VERSION"), "v42");
	assert_int_equal(strlen(value_of(&c, "HEROKU_DYNO_ID")), 36);
	assert_null(value_of(&c, "HSUP_LAUNCHER_FD"));
	composed_done(&c);
}

static void the_operator_s_port_stands_when_none_is_given(void **state)
{
	struct composed c = compose(0, NULL);

	(void)state;
	assert_string_equal(value_of(&c, "PORT"), "7777");
	assert_null(value_of(&c, "PWD"));
	composed_done(&c);
}

static void who_is_listened_to_is_told_where(void **state)
{
	struct composed c = compose_with(0, NULL, "/run/notify", 5000000);

	(void)state;
	assert_string_equal(value_of(&c, "NOTIFY_SOCKET"), "/run/notify");
	assert_string_equal(value_of(&c, "WATCHDOG_USEC"), "5000000");
	composed_done(&c);
	/* Ours it is not, but the operator may know another. */
	c = compose(0, NULL);
	assert_string_equal(value_of(&c, "NOTIFY_SOCKET"), "/own");
	assert_string_equal(value_of(&c, "WATCHDOG_USEC"), "7");
	composed_done(&c);
}

/* ---- what a driver cannot do ---- */

static void what_a_driver_lacks_is_said(void **state)
{
	struct process processes[] = {
		{.type = (char[]){"web"}, .memory = 1 << 20, .processes = 7},
		{.type = (char[]){"job"}},
	};
	struct release release = {.processes = processes, .n_processes = 2};
	char text[200];

	(void)state;
	assert_false(driver_lacks(&driver_simple, &release, text, sizeof text));
	processes[1].cpu = 0.5;
	assert_true(driver_lacks(&driver_simple, &release, text, sizeof text));
	assert_string_equal(
		text, "Limits.CPU of job has no effect: the driver simple cannot limit that");
	assert_false(driver_lacks(&driver_null, &release, text, sizeof text));
	processes[1].cpu = 0;
	processes[0].disk = 1 << 20;
	assert_true(driver_lacks(&driver_docker, &release, text, sizeof text));
	assert_string_equal(
		text, "Limits.Disk of web has no effect: the driver docker cannot limit that");
	assert_false(driver_lacks(&driver_native, &release, text, sizeof text));
}

static void what_a_driver_must_not_go_without_is_refused(void **state)
{
	struct bind_mount binds[] = {
		{.host = (char[]){"/a"}, .container = (char[]){"/a"}},
		{.host = (char[]){"/b"}, .container = (char[]){"/c"}, .read_only = true},
	};
	struct release release = {.binds = binds, .n_binds = 1};
	struct err err;

	(void)state;
	assert_int_equal(driver_refuses(&driver_simple, &release, &err), 0);
	release.n_binds = 2;
	assert_int_equal(driver_refuses(&driver_simple, &release, &err), -EOPNOTSUPP);
	assert_string_equal(err.text,
		"Binds: /b read-only: dynos of the driver simple see the machine as it is");
	assert_int_equal(driver_refuses(&driver_null, &release, &err), 0);
	assert_int_equal(driver_refuses(&driver_docker, &release, &err), 0);
	assert_int_equal(driver_refuses(&driver_native, &release, &err), 0);
}

/* ---- the null driver ---- */

struct seen {
	unsigned started, exited;
	int signo;
	sd_event *loop;
};

static void on_started(void *userdata, uint64_t id, uint32_t generation, int pid, int out, int err)
{
	struct seen *seen = userdata;

	assert_int_equal(id, 9);
	assert_int_equal(generation, 1);
	assert_int_equal(pid, 0);
	assert_int_equal(out, -1);
	assert_int_equal(err, -1);
	seen->started++;
	(void)sd_event_exit(seen->loop, 0);
}

static void on_exited(
	void *userdata, uint64_t id, uint32_t generation, const struct driver_exit *exit)
{
	struct seen *seen = userdata;

	assert_int_equal(id, 9);
	assert_int_equal(generation, 1);
	assert_int_equal(exit->exit.kind, EXIT_SIGNAL);
	seen->signo = exit->exit.value;
	seen->exited++;
	(void)sd_event_exit(seen->loop, 0);
}

static void the_null_driver_answers_from_the_loop(void **state)
{
	static const struct driver_events events = {.started = on_started, .exited = on_exited};
	struct seen seen = {0};
	void *driver;
	struct err err;

	(void)state;
	assert_true(sd_event_new(&seen.loop) >= 0);
	struct driver_context context = {.loop = seen.loop, .events = &events, .userdata = &seen};
	assert_int_equal(driver_null.open(&context, &driver, &err), 0);
	struct driver_start start = {.id = 9, .generation = 1, .name = "web.1"};
	assert_true(driver_null.start(driver, &start, &err) >= 0);
	assert_int_equal(seen.started, 0);
	(void)sd_event_loop(seen.loop);
	assert_int_equal(seen.started, 1);
	seen.loop = sd_event_unref(seen.loop);

	assert_true(sd_event_new(&seen.loop) >= 0);
	driver_null.close(driver);
	context.loop = seen.loop;
	assert_int_equal(driver_null.open(&context, &driver, &err), 0);
	assert_true(driver_null.start(driver, &start, &err) >= 0);
	assert_true(driver_null.signal(driver, 9, 1, SIGTERM) >= 0);
	assert_true(driver_null.signal(driver, 10, 1, SIGTERM) >= 0); /* unknown: nothing */
	(void)sd_event_loop(seen.loop);
	assert_int_equal(seen.exited, 1);
	assert_int_equal(seen.signo, SIGTERM);
	driver_null.close(driver);
	sd_event_unref(seen.loop);
}

/* An ended life, found by a later supervisor: its port may be another's by now. */
static void the_port_of_an_ended_life_is_not_its_own(void **state)
{
	struct port_lives *t = calloc(1, sizeof *t);

	(void)state;
	assert_non_null(t);
	for (unsigned before = 0; before < 2; before++) {
		if (before)
			assert_int_equal(port_life_adopt(t, 1, 1, 7001, true), 0);
		assert_int_equal(port_life_adopt(t, 2, 1, 7001, false), 0);
		port_mark(&t->ports, 7001);
		if (!before)
			assert_int_equal(port_life_adopt(t, 1, 1, 7001, true), 0);
		port_life_ended(t, 1, 1);
		port_life_remove(t, 1, 1);
		assert_false(port_take_again(&t->ports, 7001));
		port_life_remove(t, 2, 1);
		assert_true(port_take_again(&t->ports, 7001));
		port_give_back(&t->ports, 7001);
	}
	free(t->lives);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_finds_by_name_only),
		cmocka_unit_test(every_life_wishes_a_port_of_its_own),
		cmocka_unit_test(busy_and_given_ports_are_skipped),
		cmocka_unit_test(a_port_used_lately_is_in_the_way_of_who_failed_there),
		cmocka_unit_test(the_port_of_an_ended_life_is_not_its_own),
		cmocka_unit_test(users_by_name_and_number),
		cmocka_unit_test(a_dyno_knows_who_it_is),
		cmocka_unit_test(the_operator_s_port_stands_when_none_is_given),
		cmocka_unit_test(who_is_listened_to_is_told_where),
		cmocka_unit_test(what_a_driver_lacks_is_said),
		cmocka_unit_test(what_a_driver_must_not_go_without_is_refused),
		cmocka_unit_test(the_null_driver_answers_from_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
