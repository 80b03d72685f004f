/* drivers/docker/gc: what goes, what stays, and how much of it at once. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "drivers/docker/gc.h"
#include "fake/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY	40
#define HEAD	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
#define NOTHING HEAD "2\r\n\r\n[]"

static sd_event *loop;
static struct fake_http fake;
static char dir[] = "/tmp/test-gc-XXXXXX", path[64], host[80];
static unsigned n_removed, n_said, most_open;
static char last[500];
static enum gc_owner owner;
static sd_event_time_handler_t on_patience;
static void *patience_of;

/* The server shares the loop. */
int __real_sd_event_new(sd_event **ret);
int __wrap_sd_event_new(sd_event **ret)
{
	*ret = sd_event_ref(loop);
	return 0;
}

int __real_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock,
	uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock,
	uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
	if (!ret) { /* nobody will stop it */
		on_patience = callback;
		patience_of = userdata;
	}
	return __real_sd_event_add_time_relative(e, ret, clock, usec, accuracy, callback, userdata);
}

static enum gc_owner owner_of(const char *control_dir)
{
	assert_string_equal(control_dir, "/srv/app");
	return owner;
}

static void say(const char *line)
{
	n_said++;
	(void)snprintf(last, sizeof last, "%s", line);
	if (fake.n_open > most_open)
		most_open = fake.n_open;
	/* Its time is over after the first one. */
	if (strncmp(line, "removed", 7) == 0 && ++n_removed == 1)
		(void)on_patience(NULL, 0, patience_of);
}

static int collect(unsigned containers, bool kill, struct err *err)
{
	struct strbuf _cleanup_strbuf_ list = {0}, answer = {0};
	const struct gc_order order = {.kill = kill, .owner = owner_of, .say = say};

	(void)strbuf_puts(&list, "[");
	for (unsigned i = 0; i < containers; i++)
		(void)strbuf_printf(&list,
			"%s{\"Id\":\"%032u\",\"Names\":[\"/n%u\"],\"State\":\"%s\","
			"\"Labels\":{\"hsup.control\":\"/srv/app\"}}",
			i ? "," : "", i, i, kill ? "running" : "exited");
	(void)strbuf_puts(&list, "]");
	(void)strbuf_printf(&answer, HEAD "%zu\r\n\r\n%s", list.len, list.data);
	assert_int_equal(answer.error, 0);
	const struct fake_route routes[] = {
		{.path = "/_ping",
			.answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n"
				  "Content-Length: 2\r\n\r\nOK"},
		{.path = "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22hsup.owner",
			.answer = answer.data},
		{.path = "/v1.41/containers/json", .answer = NOTHING},
		{.path = "/v1.41/images/json", .answer = NOTHING},
		{.path = "/v1.41/containers/",
			.answer = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"},
		{0}};

	n_removed = n_said = most_open = 0;
	fake_http_start(&fake, loop, path, routes);
	int r = docker_gc(&order, err);
	fake_http_stop(&fake);
	(void)unlink(path);
	return r;
}

static void many(void **state)
{
	struct err err = {0};

	(void)state;
	owner = GC_FREE;
	assert_int_equal(collect(MANY, false, &err), 0);
	assert_int_equal(n_removed, MANY);
	assert_true(most_open <= 10);
}

static void what_cannot_be_looked_at_stays(void **state)
{
	struct err err = {0};

	(void)state;
	owner = GC_HIDDEN;
	assert_int_equal(collect(1, true, &err), 0);
	assert_int_equal(n_removed, 0);
	assert_int_equal(n_said, 2);
	assert_string_equal(last, "nothing to remove");
}

static void what_is_held_stays(void **state)
{
	struct err err = {0};

	(void)state;
	owner = GC_HELD;
	assert_int_equal(collect(1, true, &err), 0);
	assert_int_equal(n_removed, 0);
	assert_int_equal(n_said, 1);
}

static int set_up(void **state)
{
	(void)state;
	return __real_sd_event_new(&loop) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop = sd_event_unref(loop);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many),
		TEST(what_cannot_be_looked_at_stays),
		TEST(what_is_held_stays),
	};

	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/s", dir);
	(void)snprintf(host, sizeof host, "unix://%s", path);
	(void)setenv("DOCKER_HOST", host, 1);
	(void)unsetenv("DOCKER_CERT_PATH");
	(void)unsetenv("DOCKER_TLS_VERIFY");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return failed;
}
