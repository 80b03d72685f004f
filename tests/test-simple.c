/* The simple driver with the real launcher: each test starts one, whose supervisor is this program
 * again, with the name of a scenario; a scenario may have itself restarted, as a supervisor is. */
#include "base/clock.h"
#include "base/fd.h"
#include "drivers/simple_private.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DYNO	 4711
#define PATIENCE (20 * NSEC_PER_SEC)
#define TEXT	 4000

/* ---- the supervisor ---- */

struct seen {
	unsigned started, exited, adopted, ended[10];
	bool listed;
	struct dyno_exit exits[10], exit;
	uint64_t adopted_id;
	int pid, out, err, merged;
	char text[TEXT];
};

static struct seen seen;
static struct driver_context context;
static void *simple;
static char stdin_dir[200];

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
			exit(SUPERVISOR_EXIT_FATAL);                                               \
		}                                                                                  \
	} while (0)

static void on_started(void *u, uint64_t id, uint32_t generation, int pid, int out, int err)
{
	(void)u;
	MUST(id == DYNO && generation > 0);
	seen.started++;
	seen.pid = pid;
	seen.out = out;
	seen.err = err;
}

static void on_left(void *u, uint64_t id, uint32_t generation)
{
	(void)u;
	(void)generation;
	MUST(id == DYNO);
}

static void on_exited(void *u, uint64_t id, uint32_t generation, const struct driver_exit *e)
{
	(void)u;
	(void)generation;
	MUST(id == DYNO);
	seen.exited++;
	seen.exit = e->exit;
}

static void on_adopted(void *u, struct driver_entry *entry)
{
	(void)u;
	seen.adopted++;
	seen.adopted_id = entry->id;
	seen.out = entry->out;
	seen.err = entry->err;
}

static void on_adopt_done(void *u, int r)
{
	(void)u;
	MUST(r == 0);
	seen.listed = true;
}

static void on_exec_done(void *u, uint64_t id, const struct dyno_exit *e)
{
	(void)u;
	MUST(id < 10);
	seen.ended[id]++;
	seen.exits[id] = *e;
}

static const struct driver_events driver_events = {
	.started = on_started,
	.left = on_left,
	.exited = on_exited,
	.adopted = on_adopted,
	.adopt_done = on_adopt_done,
	.exec_done = on_exec_done,
};

static void on_shutdown(void *u, unsigned urgency, int signo)
{
	(void)u;
	(void)urgency;
	(void)signo;
	exit(SUPERVISOR_EXIT_STOP);
}

static void on_restart(void *u)
{
	(void)u;
}

static void on_lost(void *u, int r)
{
	(void)u;
	(void)r;
	exit(SUPERVISOR_EXIT_FATAL);
}

static const struct launch_events launch_events = {
	.shutdown = on_shutdown,
	.restart = on_restart,
	.lost = on_lost,
};

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		uint64_t _end = clock_now() + PATIENCE;                                            \
		while (!(condition)) {                                                             \
			MUST(clock_now() < _end);                                                  \
			MUST(sd_event_run(context.loop, 10000) >= 0);                              \
		}                                                                                  \
	} while (0)

static void wake_up(void)
{
	const char *fd = getenv(WIRE_FD_ENV);
	struct err err;

	MUST(fd);
	seen = (struct seen){.out = -1, .err = -1};
	(void)snprintf(stdin_dir, sizeof stdin_dir, "stdin");
	context = (struct driver_context){
		.shell = "/bin/sh", .stdin_dir = stdin_dir, .events = &driver_events};
	MUST(sd_event_new(&context.loop) >= 0);
	MUST(launch_open(context.loop, atoi(fd), &launch_events, NULL, &context.launch, &err) == 0);
	MUST(launch_can(context.launch) == (WIRE_CAN_STDIO | WIRE_CAN_NPROC | WIRE_CAN_KEEP));
	MUST(driver_simple.open(&context, &simple, &err) == 0);
	MUST(driver_simple.adopt(simple) == 0);
	UNTIL(seen.listed);
}

HSUP_NORETURN static void leave(int code)
{
	driver_simple.close(simple);
	if (code == SUPERVISOR_EXIT_DONE)
		MUST(launch_leave(context.launch, 0) == 0);
	(void)launch_close(context.launch);
	(void)sd_event_unref(context.loop);
	exit(code);
}

static struct process process;
static struct release release;
static char *command[] = {NULL, NULL};

static struct driver_start start_of(const char *line)
{
	static char type[] = "web";

	if (!process.type) {
		process_init(&process);
		process.type = type;
		process.args = command;
		process.n_args = 1;
	}
	command[0] = strdup(line);
	return (struct driver_start){
		.id = DYNO,
		.generation = 1,
		.name = "web.1",
		.instance = 1,
		.process = &process,
		.release = &release,
		.app = "shop",
		.tag = "tag",
		.tag_len = 3,
	};
}

static void begin(const struct driver_start *start)
{
	struct err err;

	MUST(driver_simple.start(simple, start, &err) == 0);
	UNTIL(seen.started == 1);
}

/* What the dyno has written so far, until it holds this. */
static void read_until(const char *wanted)
{
	size_t len = strlen(seen.text);
	uint64_t end = clock_now() + PATIENCE;

	while (!strstr(seen.text, wanted)) {
		ssize_t n = read(seen.out, seen.text + len, TEXT - 1 - len);

		MUST(clock_now() < end);
		if (n <= 0) {
			(void)usleep(2000);
			continue;
		}
		len += (size_t)n;
		seen.text[len] = '\0';
	}
}

static void command_ends(uint64_t id, const struct driver_start *start, char *const *args, size_t n)
{
	struct driver_exec exec = {.id = id, .beside = start, .args = args, .n_args = n};
	struct err err;

	MUST(driver_simple.exec(simple, &exec, &err) == 0);
	UNTIL(seen.ended[id] == 1);
}

/* It is as the dyno is, and whatever it does, the dyno does not notice. */
static void scenario_exec(void)
{
	struct env_var vars[] = {{(char[]){"OWN"}, (char[]){"it's"}}};

	wake_up();
	process = (struct process){0};
	struct driver_start start = start_of("umask; env; sleep 1000");
	process.umask = 027;
	process.env = (struct env){vars, 1, 1};
	process.directory = (char[]){"/tmp"};
	start.notify_socket = "/nowhere/notify";
	begin(&start);
	read_until("DYNO=web.1\n");
	read_until("NOTIFY_SOCKET=/nowhere/notify\n");
	char port[40];
	struct driver_address where;
	assert_true(driver_simple.address(simple, DYNO, 1, &where));
	assert_string_equal(where.host, "");
	(void)snprintf(port, sizeof port, "PORT=%u\n", where.port);
	read_until(port);

	char line[400];
	(void)snprintf(line, sizeof line,
		"test $DYNO = web.1 && test PORT=$PORT = %.*s && test \"$OWN\" = \"it's\" && "
		"test -z \"$NOTIFY_SOCKET$HEROKU_DYNO_ID\" && test $(umask) = 0027 && "
		"test $PWD = /tmp && test $(pwd) = /tmp && "
		"test $HEROKU_APP_NAME = shop && echo not heard && exit 7",
		(int)strlen(port) - 1, port);
	command_ends(1, &start, (char *[]){line, NULL}, 1);
	MUST(seen.exits[1].kind == EXIT_CODE && seen.exits[1].value == 7);

	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"kill -9 $$"}, NULL};
	command_ends(2, &start, argv, 3);
	MUST(seen.exits[2].kind == EXIT_SIGNAL && seen.exits[2].value == SIGKILL);

	char *none[] = {(char[]){"/no/such/program"}, (char[]){"x"}, NULL};
	command_ends(3, &start, none, 2);
	MUST(seen.exits[3].kind == EXIT_STAGE && seen.exits[3].error == ENOENT);

	/* KILL, to all that it has started. */
	struct err err;
	struct driver_exec slow = {.id = 4,
		.beside = &start,
		.args = (char *[]){(char[]){"sleep 1000 | sleep 1000"}},
		.n_args = 1};
	MUST(driver_simple.exec(simple, &slow, &err) == 0);
	MUST(driver_simple.exec_kill(simple, 4) == 0);
	UNTIL(seen.ended[4] == 1);
	MUST(seen.exits[4].kind == EXIT_SIGNAL && seen.exits[4].value == SIGKILL);
	MUST(driver_simple.exec_kill(simple, 4) == 0);
	MUST(driver_simple.exec_kill(simple, 9) == 0);

	MUST(seen.started == 1 && seen.exited == 0 && kill(seen.pid, 0) == 0);
	MUST(driver_simple.signal(simple, DYNO, 1, SIGKILL) == 0);
	UNTIL(seen.exited == 1);
	leave(SUPERVISOR_EXIT_DONE);
}

static void on_raw_entry(void *u, struct launch_entry *entry)
{
	(void)u;
	(void)fprintf(stderr, "still there: %.*s\n", (int)entry->name_len, entry->name);
	exit(SUPERVISOR_EXIT_FATAL);
}

static void on_raw_end(void *u)
{
	(void)u;
	seen.listed = true;
}

static const struct launch_child_events raw_events = {
	.entry = on_raw_entry,
	.list_end = on_raw_end,
};

/* The next supervisor gets the dyno, and not the command, which is ended. */
static void scenario_exec_left(void)
{
	wake_up();
	process = (struct process){0};
	struct driver_start start = start_of("sleep 1000");
	if (seen.adopted == 0) {
		struct driver_exec exec = {.id = 1,
			.beside = &start,
			.args = (char *[]){(char[]){"echo $$ >pid; sleep 1000 & wait"}},
			.n_args = 1};
		struct err err;

		begin(&start);
		MUST(driver_simple.exec(simple, &exec, &err) == 0);
		/* One that has ended, and nobody has acknowledged it. */
		exec.id = 2;
		exec.args = (char *[]){(char[]){"echo >ended"}};
		MUST(driver_simple.exec(simple, &exec, &err) == 0);
		struct stat st;
		uint64_t end = clock_now() + PATIENCE;
		while (stat("pid", &st) < 0 || st.st_size == 0 || stat("ended", &st) < 0) {
			MUST(clock_now() < end);
			(void)sd_event_run(context.loop, 1000);
		}
		leave(SUPERVISOR_EXIT_RESTART);
	}
	MUST(seen.adopted == 1 && seen.adopted_id == DYNO);
	FILE *f = fopen("pid", "r");
	int pid = 0;
	MUST(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
	(void)fclose(f);
	UNTIL(kill(-pid, 0) < 0 && errno == ESRCH);
	/* Its own commands may have the same numbers. */
	command_ends(1, &start, (char *[]){(char[]){"exit 3"}}, 1);
	MUST(seen.exits[1].value == 3 && seen.ended[2] == 0 && seen.exited == 0);
	MUST(driver_simple.signal(simple, DYNO, 1, SIGKILL) == 0);
	UNTIL(seen.exited == 1);
	MUST(driver_simple.release(simple, DYNO, 1) == 0);
	/* Nothing of all that is left in the launcher. */
	driver_simple.close(simple);
	launch_listen(context.launch, &raw_events, NULL);
	seen.listed = false;
	MUST(launch_list(context.launch) == 0);
	UNTIL(seen.listed);
	MUST(launch_leave(context.launch, 0) == 0);
	exit(SUPERVISOR_EXIT_DONE);
}

static int kept_out = -1;

static void on_kept_entry(void *u, struct launch_entry *e)
{
	(void)u;
	MUST(e->child.id == 77 && e->child.generation == 2);
	MUST(e->state == WIRE_ENTRY_KEPT && e->pid == 0 && e->err == -1);
	MUST(e->tag_len == 3 && memcmp(e->tag, "tag", 3) == 0);
	MUST(kept_out < 0);
	kept_out = e->out;
}

static const struct launch_child_events kept_events = {
	.entry = on_kept_entry,
	.list_end = on_raw_end,
};

/* What another driver has had kept is none of this one's dynos, and stays where it is. */
static void scenario_kept(void)
{
	const struct launch_child child = {.id = 77, .generation = 2};
	struct stat st;
	char text[8];

	wake_up();
	MUST(seen.adopted == 0);
	if (stat("kept", &st) < 0) {
		int fds[2];

		MUST(mkdir("kept", 0700) == 0);
		MUST(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
		MUST(write(fds[1], "bytes", 5) == 5);
		MUST(launch_keep(context.launch, child, "web.1", "tag", 3, fds[0], -1) == 0);
		leave(SUPERVISOR_EXIT_RESTART);
	}
	driver_simple.close(simple);
	launch_listen(context.launch, &kept_events, NULL);
	seen.listed = false;
	MUST(launch_list(context.launch) == 0);
	UNTIL(seen.listed);
	MUST(kept_out >= 0 && read(kept_out, text, sizeof text) == 5);
	MUST(memcmp(text, "bytes", 5) == 0);
	(void)close(kept_out);
	MUST(launch_ack(context.launch, child) == 0);
	launch_listen(context.launch, &raw_events, NULL);
	seen.listed = false;
	MUST(launch_list(context.launch) == 0);
	UNTIL(seen.listed);
	MUST(launch_leave(context.launch, 0) == 0);
	exit(SUPERVISOR_EXIT_DONE);
}

static void say(const char *text)
{
	_cleanup_close_ int fd = driver_simple.open_stdin(simple, DYNO, 1);

	MUST(fd > 2 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* No end of file between those who write, nor when the supervisor goes. */
static void scenario_stdin(void)
{
	struct stat st;

	wake_up();
	process = (struct process){0};
	struct driver_start start =
		start_of("while read -r line; do echo got $line; done; echo end");
	process.stdin_open = true;
	if (seen.adopted == 0) {
		MUST(driver_simple.open_stdin(simple, DYNO, 1) == -ENXIO);
		begin(&start);
		MUST(stat("stdin", &st) == 0 && (st.st_mode & 07777) == 0700);
		MUST(stat("stdin/4711.1", &st) == 0 && S_ISFIFO(st.st_mode) &&
			(st.st_mode & 07777) == 0600 && st.st_uid == geteuid());
		say("one\n");
		read_until("got one\n");
		say("two\nthr");
		read_until("got two\n");
		leave(SUPERVISOR_EXIT_RESTART);
	}
	say("ee\n");
	read_until("got three\n");
	MUST(!strstr(seen.text, "end"));
	MUST(driver_simple.open_stdin(simple, DYNO, 2) == -ENXIO);
	MUST(driver_simple.signal(simple, DYNO, 1, SIGKILL) == 0);
	UNTIL(seen.exited == 1);
	MUST(driver_simple.open_stdin(simple, DYNO, 1) == -ENXIO);
	driver_simple.close(simple);
	MUST(stat("stdin", &st) < 0 && errno == ENOENT);
	MUST(launch_leave(context.launch, 0) == 0);
	exit(SUPERVISOR_EXIT_DONE);
}

/* What cannot be started leaves no standard input behind. */
static void scenario_stdin_of_none(void)
{
	struct stat st;
	struct err err;

	wake_up();
	process = (struct process){0};
	struct driver_start start = start_of("true");
	process.stdin_open = true;
	process.directory = (char[]){"/no/such/directory"};
	MUST(driver_simple.start(simple, &start, &err) == 0);
	UNTIL(seen.exited == 1);
	MUST(seen.exit.kind == EXIT_STAGE);
	MUST(stat("stdin/4711.1", &st) < 0 && errno == ENOENT);
	/* Nobody may put something else in its place, either. */
	MUST(symlink("/etc/passwd", "stdin/4711.2") == 0);
	start.generation = 2;
	MUST(driver_simple.start(simple, &start, &err) == -EEXIST);
	MUST(strstr(err.text, "Stdin"));
	MUST(driver_simple.open_stdin(simple, DYNO, 2) == -ELOOP);
	MUST(unlink("stdin/4711.2") == 0);
	leave(SUPERVISOR_EXIT_DONE);
}

static void scenario_merged(void)
{
	wake_up();
	process = (struct process){0};
	struct driver_start start =
		start_of("n=0; while [ $n -lt 100 ]; do echo out $n; echo err $n >&2; "
			 "n=$((n+1)); done; echo \"$WATCHDOG_USEC\"; "
			 "echo ${NOTIFY_SOCKET-none}");
	process.redirect_stderr = true;
	start.watchdog_usec = 5000000;
	begin(&start);
	MUST(seen.out >= 0 && seen.err == -1);
	read_until("5000000\nnone\n");
	const char *at = seen.text;
	for (int i = 0; i < 100; i++) {
		char pair[40];
		int n = snprintf(pair, sizeof pair, "out %d\nerr %d\n", i, i);

		MUST(strncmp(at, pair, (size_t)n) == 0);
		at += n;
	}
	UNTIL(seen.exited == 1);
	leave(SUPERVISOR_EXIT_DONE);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{"exec", scenario_exec},
	{"exec-left", scenario_exec_left},
	{"kept", scenario_kept},
	{"stdin", scenario_stdin},
	{"stdin-of-none", scenario_stdin_of_none},
	{"merged", scenario_merged},
};

static int supervise(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			scenarios[i].run();
	return SUPERVISOR_EXIT_FATAL;
}

/* ---- the tests ---- */

static void succeeds(const char *scenario)
{
	char folder[] = "/tmp/hsup-simple-XXXXXX", self[400], remove[100];
	const char *launcher = getenv("HSUP_LAUNCHER");
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int status;

	assert_non_null(launcher);
	assert_true(n > 0);
	self[n] = '\0';
	assert_non_null(mkdtemp(folder));
	pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		if (launcher && chdir(folder) == 0)
			(void)execl(launcher, "hsup-launcher", "--", self, scenario, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)snprintf(remove, sizeof remove, "rm -rf %s", folder);
	assert_int_equal(system(remove), 0);
	assert_int_equal(status, 0);
}

#define SCENARIO(function, name)                                                                   \
	static void function(void **state)                                                         \
	{                                                                                          \
		(void)state;                                                                       \
		succeeds(name);                                                                    \
	}

SCENARIO(commands_run_beside_a_dyno, "exec")
SCENARIO(commands_are_not_adopted, "exec-left")
SCENARIO(what_is_kept_for_others_is_left_alone, "kept")
SCENARIO(a_standard_input_stays_open, "stdin")
SCENARIO(a_standard_input_of_who_never_was, "stdin-of-none")
SCENARIO(both_outputs_in_one, "merged")

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_beside_a_dyno),
		cmocka_unit_test(commands_are_not_adopted),
		cmocka_unit_test(what_is_kept_for_others_is_left_alone),
		cmocka_unit_test(a_standard_input_stays_open),
		cmocka_unit_test(a_standard_input_of_who_never_was),
		cmocka_unit_test(both_outputs_in_one),
	};

	if (argc > 1 && getenv(WIRE_FD_ENV))
		return supervise(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
