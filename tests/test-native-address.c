/* Where dynos of the native driver are, what they lack, and what they use. */
#include "native.h"

#include <limits.h>
#include <sys/wait.h>

static pid_t init_with(uid_t uid)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (uid != getuid() && setresuid(uid, uid, uid) < 0)
			_exit(1);
		(void)close(ready[0]);
		if (write(ready[1], "x", 1) == 1)
			(void)pause();
		_exit(1);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void end_init(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* ---- addresses ---- */

static void uid_says_where_it_is(bool asked)
{
	struct driver_address a;
	uid_t uid = getuid() == 0 ? 4403 : getuid();
	char least[20];

	(void)snprintf(least, sizeof least, "%u", uid - 3);
	(void)setenv("LIBCONTAINER_DYNO_UID_MIN", least, 1);
	(void)snprintf(least, sizeof least, "%u", uid + 9);
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", least, 1);
	if (asked)
		(void)setenv("HSUP_BOX_PUBLISH", "20000-20012", 1);
	struct native *n = open_driver();
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
	/* Its init has not become it yet. */
	started(start_of("true", NULL), 1);
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
	assert_int_equal(a.port, 0);
	assert_true(sd_event_run(house.context.loop, 1000000) > 0);
	assert_int_equal(house.known, 0);
	pid_t pid = init_with(uid);
	native_find(n, DYNO, 2)->pid = pid;
	/* It is told when it is known; nobody has to ask, and who does takes nothing away. */
	if (asked)
		assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	for (int i = 0; i < 10 && house.known == 0; i++)
		assert_true(sd_event_run(house.context.loop, 1000000) >= 0);
	assert_int_equal(house.known, 1);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "10.201.4.14");
	assert_int_equal(a.port, 5000);
	assert_int_equal(a.published, 0);
	assert_int_equal(a.outside, asked ? 20003 : 0);
	/* And is not asked again. */
	end_init(pid);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
}

static void its_uid_says_where_it_is(void **state)
{
	(void)state;
	uid_says_where_it_is(false);
}

static void its_address_is_told_though_it_was_asked_for(void **state)
{
	(void)state;
	uid_says_where_it_is(true);
}

static unsigned missing(const char *text)
{
	const char *line;
	unsigned n = 0;

	for (size_t i = 0; (line = driver_native.missing(house.driver, i)); i++)
		n += !text || strstr(line, text) == line;
	return n;
}

static void what_is_missing_is_told(void **state)
{
	struct native *n = open_driver();

	(void)state;
	memset(&n->cgroups, 0, sizeof n->cgroups);
	assert_int_equal(missing(NULL), 2);
	assert_int_equal(missing("Limits."), 2);
	house.to->list_end(house.to_userdata);
	assert_non_null(strstr(house.note, "of this machine: Limits.Memory"));
	assert_non_null(strstr(house.note, "; Limits.CPU has no effect"));

	unsigned notes = house.n_notes;
	n->cgroups.controllers = 1U << CGROUP_CPU | 1U << CGROUP_MEMORY;
	(void)snprintf(n->cgroups.unified, CGROUP_PATH, "/v2");
	assert_int_equal(missing(NULL), 0);
	n->lacks_quota = true;
	assert_int_equal(missing("Limits.Disk has no effect"), 1);
	n->lacks_quota = false;
	house.to->list_end(house.to_userdata);
	assert_int_equal(house.n_notes, notes);

	n->root = false;
	assert_int_equal(missing(NULL), 2);
	assert_int_equal(missing("dynos have the machine's network"), 1);
	n->settings.network = SPEC_BOX_NET_HOST; /* as it was wished */
	assert_int_equal(missing(NULL), 1);
	assert_int_equal(missing("all dynos are the same user"), 1);
}

static void without_root_its_network_can_be_passed_on(void **state)
{
	struct driver_start start = start_of("true", NULL);
	struct driver_address a;

	(void)state;
	house.context.dyno_ids = NULL;
	(void)setenv("HSUP_BOX_PASTA", "/usr/bin/pasta", 1);
	(void)open_driver();
	assert_int_equal(missing("dynos have the machine's network"), 0);
	started(start, 4711);
	assert_int_equal(house.orders[0].spec->box.network, SPEC_BOX_NET_OWN);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "");
	assert_true(a.port > 5000);
	assert_int_equal(a.network_of, 4711);
	(void)unsetenv("HSUP_BOX_PASTA");
}

static void without_root_it_is_on_the_machine_s_network(void **state)
{
	struct driver_start start = start_of("true", NULL);
	struct driver_address a;

	(void)state;
	house.context.dyno_ids = NULL;
	(void)setenv("HSUP_BOX_RUN", "/proc/nowhere", 1); /* nothing is set up for him */
	(void)open_driver();
	house.to->list_end(house.to_userdata);
	assert_non_null(strstr(house.note, "not root"));
	started(start, 1);
	const struct spec *s = house.orders[1].spec;
	assert_int_equal(s->box.network, SPEC_BOX_NET_HOST);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "");
	assert_true(a.port > 5000);
	char port[12];
	(void)snprintf(port, sizeof port, "%u", a.port);
	assert_string_equal(value_of(s, "PORT"), port);
}

static void without_a_network_it_is_nowhere(void **state)
{
	struct driver_address a;

	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_NETWORK", "none", 1);
	(void)open_driver();
	started(start_of("true", NULL), 1);
	assert_int_equal(house.orders[0].spec->box.network, SPEC_BOX_NET_NONE);
	assert_null(value_of(house.orders[0].spec, "PORT"));
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
}

/* ---- usage ---- */

static void its_cgroups_know_what_it_uses(void **state)
{
	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	(void)snprintf(n->cgroups.unified, sizeof n->cgroups.unified, "%s/v2", house.folder);
	n->cgroups.controllers = 1U << CGROUP_MEMORY | 1U << CGROUP_PIDS;
	put("v2/hsup/" BOX "/memory.current", "5000000\n");
	put("v2/hsup/" BOX "/memory.stat", "anon 1\ninactive_file 1000000\nactive_file 5\n");
	put("v2/hsup/" BOX "/cpu.stat", "usage_usec 77\nuser_usec 5\n");
	put("v2/hsup/" BOX "/pids.current", "4\n");
	put("v2/hsup/" BOX "/memory.pressure", "some avg10=12.05 avg60=0.00 avg300=0.00 total=1\n");
	put("v2/hsup/" BOX "/cpu.pressure", "some avg10=0.40 avg60=0.00 avg300=0.00 total=1\n");
	put("v2/hsup/" BOX "/memory.events", "oom 3\noom_kill 0\noom_group_kill 0\n");
	started(start_of("true", NULL), INT_MAX);
	driver_native.usage(house.driver, DYNO, 2);
	assert_int_equal(house.used.memory, 4000000);
	assert_int_equal(house.used.cpu, 77000);
	assert_int_equal(house.used.processes, 4);
	assert_int_equal(house.used.memory_pressure, 1205);
	assert_int_equal(house.used.cpu_pressure, 40);
	assert_false(native_out_of_memory(n, native_find(n, DYNO, 2)));

	/* The old kind. What was there before it was joined is only known of its processes. */
	memset(&n->cgroups, 0, sizeof n->cgroups);
	(void)snprintf(n->cgroups.v1[CGROUP_MEMORY], CGROUP_PATH, "%s/memory", house.folder);
	(void)snprintf(n->cgroups.v1[CGROUP_CPUACCT], CGROUP_PATH, "%s/cpu", house.folder);
	put("memory/hsup/" BOX "/memory.usage_in_bytes", "3000\n");
	put("memory/hsup/" BOX "/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n");
	put("memory/hsup/" BOX "/memory.oom_control", "under_oom 0\noom_kill 2\n");
	put("cpu/hsup/" BOX "/cpuacct.usage", "123456\n");
	(void)snprintf(n->cgroups.v1[CGROUP_PIDS], CGROUP_PATH, "%s/pids", house.folder);
	put("pids/hsup/" BOX "/pids.current", "9\n");
	driver_native.usage(house.driver, DYNO, 2);
	assert_int_equal(house.used.memory, 2000);
	assert_int_equal(house.used.cpu, 123456);
	assert_int_equal(house.used.processes, 9);
	assert_int_equal(house.used.memory_pressure, USAGE_UNKNOWN);
	/* Nobody is in it yet. */
	put("pids/hsup/" BOX "/pids.current", "0\n");
	native_find(n, DYNO, 2)->pid = getpid();
	driver_native.usage(house.driver, DYNO, 2);
	assert_in_range(house.used.memory, 100000, UINT32_MAX);
	assert_int_equal(house.used.cpu, 123456);
	ended((struct launch_child){DYNO, 2}, SIGKILL);
	assert_int_equal(house.exited, 1);
	assert_int_equal(house.exit.exit.kind, EXIT_SIGNAL);
	assert_true(house.exit.out_of_memory);
}

static void without_cgroups_its_processes_are_asked(void **state)
{
	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	started(start_of("true", NULL), getpid());
	driver_native.usage(house.driver, DYNO, 2);
	uint64_t alone = house.used.memory;
	assert_in_range(alone, 100000, UINT32_MAX);
	assert_true(house.used.cpu != UINT64_MAX);
	uint64_t processes = house.used.processes;
	pid_t child = init_with(getuid());
	driver_native.usage(house.driver, DYNO, 2);
	assert_true(house.used.memory > alone);
	assert_true(house.used.processes > processes);
	end_init(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_uid_says_where_it_is),
		TEST(its_address_is_told_though_it_was_asked_for),
		TEST(what_is_missing_is_told),
		TEST(without_root_its_network_can_be_passed_on),
		TEST(without_root_it_is_on_the_machine_s_network),
		TEST(without_a_network_it_is_nowhere),
		TEST(its_cgroups_know_what_it_uses),
		TEST(without_cgroups_its_processes_are_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
