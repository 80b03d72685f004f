/* logs: a router that is killed around every store that counts and
 * every system call, and the one that goes on. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/fd.h"
#include "base/str.h"
#include "logs/carry_private.h"
#include "logs/router.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- the kill ---- */

static unsigned kill_at, calls; /* 0 = never */
static bool tears;		/* a kill before a write comes in the middle of it */
static bool terminals_refuse;	/* splice() */
static bool small_pipes;	/* the user has too many to get large ones */
static int shared_out = -1;	/* the launcher writes to it as well */

#define LAUNCHER "hsup-launcher: says something\n"

static void maybe_die(void)
{
	if (kill_at && ++calls == kill_at)
		(void)kill(getpid(), SIGKILL);
}

#define DYING(type, name, params, args)                                                            \
	type __real_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		maybe_die();                                                                       \
		type result = __real_##name args;                                                  \
		int saved = errno;                                                                 \
		maybe_die();                                                                       \
		errno = saved;                                                                     \
		return result;                                                                     \
	}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	if (tears && calls + 1 == kill_at)
		(void)__real_write(fd, data, n / 2);
	maybe_die();
	ssize_t result = __real_write(fd, data, n);
	int saved = errno;
	maybe_die();
	errno = saved;
	return result;
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list ap;

	va_start(ap, command);
	long arg = va_arg(ap, long);
	va_end(ap);
	if (command == F_SETPIPE_SZ && small_pipes) {
		errno = EPERM;
		return -1;
	}
	return __real_fcntl64(fd, command, arg);
}

DYING(ssize_t, read, (int fd, void *data, size_t n), (fd, data, n))
DYING(ssize_t, pread64, (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
DYING(ssize_t, send, (int fd, const void *data, size_t n, int flags), (fd, data, n, flags))
DYING(ssize_t, tee, (int in, int out, size_t n, unsigned flags), (in, out, n, flags))
ssize_t __real_splice(int in, off_t *a, int out, off_t *b, size_t n, unsigned flags);
ssize_t __wrap_splice(int in, off_t *a, int out, off_t *b, size_t n, unsigned flags)
{
	if (terminals_refuse && isatty(out)) {
		errno = EINVAL;
		return -1;
	}
	maybe_die();
	ssize_t result = __real_splice(in, a, out, b, n, flags);
	int saved = errno;
	maybe_die();
	errno = saved;
	return result;
}

DYING(int, ioctl, (int fd, unsigned long request, void *data), (fd, request, data))

#define DYING_STORE(name, params, args)                                                            \
	void __real_##name params;                                                                 \
	void __wrap_##name params                                                                  \
	{                                                                                          \
		maybe_die();                                                                       \
		__real_##name args;                                                                \
		maybe_die();                                                                       \
	}

DYING_STORE(carry_set_fill, (struct carry * c, uint32_t len, uint32_t n), (c, len, n))
DYING_STORE(carry_set_taking, (struct carry * c), (c))
DYING_STORE(carry_set_out, (struct carry * c), (c))
DYING_STORE(carry_set_done, (struct carry * c, uint32_t take, uint32_t done), (c, take, done))
DYING_STORE(carry_set_left, (struct carry * c, uint32_t piece, uint32_t start, uint32_t len),
	(c, piece, start, len))
DYING_STORE(carry_set_place,
	(struct carry * c, uint32_t piece, uint64_t dev, uint64_t ino, uint64_t at),
	(c, piece, dev, ino, at))
DYING(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
	(a, from, b, to, flags))
void __real_carry_set_file(struct carry *c, uint64_t at, uint64_t len);
void __wrap_carry_set_file(struct carry *c, uint64_t at, uint64_t len)
{
	maybe_die();
	__real_carry_set_file(c, at, len);
	/* Between the look and the write. */
	if (shared_out >= 0 && len > 0)
		(void)!__real_write(shared_out, LAUNCHER, strlen(LAUNCHER));
	maybe_die();
}

/* ---- the stage: what outlives a router ---- */

#define TAPS 3
#define REST "unfinished"

enum out_kind {
	OUT_LOGFILE,
	OUT_PIPE,
	OUT_STALLED,
	OUT_FILE,
	OUT_APPEND,
	OUT_SOCKET,
	OUT_TERMINAL
};

struct stage {
	enum out_kind kind;
	int carry[3];
	int taps[TAPS][2];
	unsigned n_taps, n_lines[TAPS];
	char folder[40]; /* OUT_LOGFILE */
	int out[2];	 /* where it is read, where it is written */
	struct strbuf got;
};

static int double_ended(void)
{
	char path[40];
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	if (small_pipes)
		assert_int_equal(__real_fcntl64(fd, F_SETPIPE_SZ, 4096), 4096);
	close(p[0]);
	close(p[1]);
	return fd;
}

static void new_pipes(struct stage *s)
{
	for (int i = 1; i < 3; i++) {
		fd_close(s->carry[i]);
		s->carry[i] = double_ended();
	}
}

/* Of all lengths, one that no write to a pipe holds whole among them. */
static int make_line(char *to, size_t size, unsigned tap, unsigned number)
{
	int padding = number == 17 && tap == 0 ? 6000 : (int)(number * 37 % 150);

	return snprintf(to, size, "%u %u %0*d;\n", tap, number, padding + 1, 0);
}

static void fill_tap(struct stage *s, unsigned tap, size_t bytes)
{
	char line[7000];

	for (size_t sum = 0; sum < bytes;) {
		int n = make_line(line, sizeof line, tap, s->n_lines[tap]++);

		assert_int_equal(write(s->taps[tap][1], line, (size_t)n), n);
		sum += (size_t)n;
	}
	assert_int_equal(write(s->taps[tap][1], REST, strlen(REST)), (int)strlen(REST));
}

static void open_out(struct stage *s)
{
	struct termios raw = {0};
	char path[] = "/tmp/test-carry-XXXXXX";

	switch (s->kind) {
	case OUT_PIPE:
	case OUT_STALLED:
		assert_int_equal(pipe2(s->out, O_CLOEXEC), 0);
		assert_true(__real_fcntl64(s->out[1], F_SETPIPE_SZ,
				    s->kind == OUT_PIPE ? 1 << 20 : 4 << 12) > 0);
		break;
	case OUT_SOCKET:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->out), 0);
		break;
	case OUT_TERMINAL:
		cfmakeraw(&raw);
		assert_int_equal(openpty(&s->out[0], &s->out[1], NULL, &raw, NULL), 0);
		break;
	case OUT_LOGFILE:
		strcpy(s->folder, "/tmp/test-carry-XXXXXX");
		assert_non_null(mkdtemp(s->folder));
		s->out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		s->out[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
		break;
	case OUT_FILE:
	case OUT_APPEND:
		s->out[0] = mkstemp(path);
		assert_true(s->out[0] >= 0);
		s->out[1] = open(path, O_WRONLY | (s->kind == OUT_APPEND ? O_APPEND : 0));
		assert_true(s->out[1] >= 0);
		unlink(path);
		break;
	}
	assert_int_equal(fd_nonblock(s->out[0], true), 0);
}

static void stage_open(struct stage *s, enum out_kind kind, unsigned n_taps, size_t bytes)
{
	*s = (struct stage){.kind = kind, .n_taps = n_taps, .carry = {-1, -1, -1}};
	s->carry[0] = memfd_create("carry", MFD_CLOEXEC);
	assert_true(s->carry[0] >= 0);
	new_pipes(s);
	open_out(s);
	for (unsigned i = 0; i < n_taps; i++) {
		assert_int_equal(pipe2(s->taps[i], O_CLOEXEC | O_NONBLOCK), 0);
		fill_tap(s, i, bytes);
	}
}

/* Those of the log, the oldest first. */
static int list_log(const struct stage *s, glob_t *ret)
{
	char pattern[80];

	(void)snprintf(pattern, sizeof pattern, "%s/log.*", s->folder);
	assert_int_not_equal(glob(pattern, 0, NULL, ret), GLOB_NOSPACE);
	(void)snprintf(pattern, sizeof pattern, "%s/log", s->folder);
	return glob(pattern, GLOB_APPEND, NULL, ret);
}

static void remove_log(const struct stage *s)
{
	glob_t g = {0};

	(void)list_log(s, &g);
	for (size_t i = 0; i < g.gl_pathc; i++)
		assert_int_equal(unlink(g.gl_pathv[i]), 0);
	globfree(&g);
	assert_int_equal(rmdir(s->folder), 0);
}

static size_t read_log(struct stage *s)
{
	char data[65536];
	size_t before = s->got.len;
	glob_t g = {0};

	(void)list_log(s, &g);
	strbuf_reset(&s->got);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		int fd = open(g.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		assert_true(fd >= 0);
		for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
			assert_int_equal(strbuf_add(&s->got, data, (size_t)n), 0);
		close(fd);
		assert_true(s->got.len == 0 || s->got.data[s->got.len - 1] == '\n' ||
			    i == g.gl_pathc - 1);
	}
	globfree(&g);
	return s->got.len - before;
}

static void stage_close(struct stage *s)
{
	if (s->folder[0])
		remove_log(s);
	/* Shared with others: not ours to change. */
	assert_false(fcntl(s->out[1], F_GETFL) & O_NONBLOCK);
	for (unsigned i = 0; i < 3; i++)
		close(s->carry[i]);
	for (unsigned i = 0; i < s->n_taps; i++) {
		close(s->taps[i][0]);
		close(s->taps[i][1]);
	}
	close(s->out[0]);
	close(s->out[1]);
	strbuf_done(&s->got);
}

/* Reads what came out; how much. */
static size_t stage_read(struct stage *s)
{
	char data[65536];
	size_t before = s->got.len;

	if (s->folder[0])
		return read_log(s);
	for (ssize_t n; (n = read(s->out[0], data, sizeof data)) > 0;)
		assert_int_equal(strbuf_add(&s->got, data, (size_t)n), 0);
	return s->got.len - before;
}

/* ---- one life of a router ---- */

struct life {
	sd_event *loop;
	struct router *router;
	struct carry *carry; /* the router's */
	struct tap *taps[TAPS];
};

static bool life_begin(struct life *l, const struct stage *s)
{
	struct err err = {0};
	int fds[3];

	*l = (struct life){0};
	for (int i = 0; i < 3; i++)
		fds[i] = fcntl(s->carry[i], F_DUPFD_CLOEXEC, 3);
	l->carry = carry_open(fds);
	if (!l->carry || sd_event_new(&l->loop) < 0)
		return false;
	struct sink *sink = s->folder[0] ? sink_none_new(l->carry)
					 : sink_terminal_new(s->out[1], false, NULL, l->carry);
	l->router = sink ? router_new(l->loop, sink, &err) : NULL;
	if (!l->router || !s->folder[0])
		return l->router;
	/* Small: some files are full in the middle of what is written at once. */
	const struct log_options o = {.max_bytes = 20000, .keep = 1000};
	char path[60];
	(void)snprintf(path, sizeof path, "%s/log", s->folder);
	return router_add_file(l->router, path, &o, &err) == 0;
}

static bool life_tap(struct life *l, const struct stage *s, unsigned i)
{
	char name[20];

	(void)snprintf(name, sizeof name, "web.%u", i);
	return router_tap(l->router, name, 0, STREAM_OUT, fcntl(s->taps[i][0], F_DUPFD_CLOEXEC, 3),
		       &l->taps[i]) == 0;
}

static void life_run(struct life *l)
{
	while (sd_event_run(l->loop, 0) > 0)
		;
}

static void life_end(struct life *l)
{
	router_free(l->router);
	sd_event_unref(l->loop);
}

static unsigned born; /* lives so far */

static bool run_router(const struct stage *s)
{
	struct life l;

	if (!life_begin(&l, s) || carry_refused(l.carry))
		return false;
	/* In another order than before. */
	for (unsigned i = 0; i < s->n_taps; i++)
		if (!life_tap(&l, s, born % 2 ? i : s->n_taps - 1 - i))
			return false;
	router_adopted(l.router);
	life_run(&l);
	return true;
}

/* True when it lived as long as there was something to do. */
static bool live(const struct stage *s, unsigned at)
{
	int status = 0;

	born++;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		kill_at = at;
		_exit(run_router(s) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(status, 0);
	return true;
}

/* Every line once and in order; with `again`, at least once: of a tap, some lines in a row up to
 * the last one may come a second time. */
static void check_lines(const struct stage *s, bool again)
{
	unsigned next[TAPS] = {0}, repeat[TAPS] = {0}, until[TAPS] = {0};
	unsigned tap, number;
	char line[7000];

	for (const char *at = s->got.data, *end; at && *at; at = end + 1) {
		end = strchr(at, '\n');
		assert_non_null(end);
		/* Alone, or behind what a kill has left of a line of ours. */
		const char *launcher = strstr(at, LAUNCHER);
		if (launcher && launcher < end)
			continue;
		const char *text = memchr(at, ' ', (size_t)(end - at));
		text = strstr(text ? text : at, "]: ");
		assert_true(text && text < end);
		assert_int_equal(sscanf(text, "]: %u %u ", &tap, &number), 2);
		assert_true(tap < s->n_taps);
		int n = make_line(line, sizeof line, tap, number);
		assert_int_equal(end + 1 - (text + 3), n);
		assert_memory_equal(text + 3, line, n);
		if (again && number < next[tap] && !until[tap]) {
			repeat[tap] = number;
			until[tap] = next[tap];
		}
		if (repeat[tap] < until[tap]) {
			assert_int_equal(number, repeat[tap]++);
			continue;
		}
		assert_int_equal(number, next[tap]);
		next[tap]++;
	}
	for (unsigned i = 0; i < s->n_taps; i++) {
		int held = 0;

		assert_int_equal(next[i], s->n_lines[i]);
		assert_int_equal(ioctl(s->taps[i][0], FIONREAD, &held), 0);
		assert_int_equal(held, strlen(REST));
	}
}

/* A fork of what is sanitized takes long. */
#ifdef __SANITIZE_ADDRESS__
#define STEP 7
#else
#define STEP 1
#endif

enum { NEW_PIPES = 1, TEARS = 2, SMALL_PIPES = 4, SHARED = 8 };

/* It says of each kill what it does about it. */
static bool live_shared(const struct stage *s, unsigned at)
{
	bool whole = live(s, at);

	if (shared_out >= 0 && !whole)
		assert_int_equal(
			__real_write(shared_out, LAUNCHER, strlen(LAUNCHER)), strlen(LAUNCHER));
	return whole;
}

/* For each n: a router that is killed at its n-th step, one that is killed early, while it goes on
 * with what the first left, and as many as it takes to the end. */
static void kill_everywhere(enum out_kind kind, unsigned n_taps, size_t bytes, unsigned flags)
{
	unsigned kills = 0;
	bool whole = false;

	tears = flags & TEARS;
	small_pipes = flags & SMALL_PIPES;

	for (unsigned n = 1; !whole; n += STEP) {
		struct stage s;
		unsigned early = n * 7 % 101, lives = 0;

		stage_open(&s, kind, n_taps, bytes);
		shared_out = flags & SHARED ? s.out[1] : -1;
		whole = live_shared(&s, n);
		kills += !whole;
		(void)stage_read(&s);
		if (flags & NEW_PIPES)
			new_pipes(&s);
		kills += early && !live_shared(&s, early);
		(void)stage_read(&s);
		do {
			assert_true(lives++ < 200);
			assert_true(live(&s, 0));
		} while (stage_read(&s));
		check_lines(&s, flags & NEW_PIPES);
		stage_close(&s);
	}
	assert_true(kills * STEP > 20);
	tears = small_pipes = false;
	shared_out = -1;
}

static void one_tap(void **state)
{
	(void)state;
	kill_everywhere(OUT_PIPE, 1, 50000, 0);
}

static void three_taps(void **state)
{
	(void)state;
	kill_everywhere(OUT_PIPE, 3, 30000, 0);
}

static void pipes_too_small_for_all(void **state)
{
	(void)state;
	kill_everywhere(OUT_PIPE, 3, 9000, SMALL_PIPES);
}

static void a_stalled_sink(void **state)
{
	(void)state;
	kill_everywhere(OUT_STALLED, 3, 30000, 0);
}

static void a_log_file_that_is_rotated(void **state)
{
	(void)state;
	kill_everywhere(OUT_LOGFILE, 3, 25000, 0);
	kill_everywhere(OUT_LOGFILE, 3, 25000, TEARS);
	kill_everywhere(OUT_LOGFILE, 3, 12000, NEW_PIPES);
}

static void a_file(void **state)
{
	(void)state;
	kill_everywhere(OUT_FILE, 3, 50000, 0);
	kill_everywhere(OUT_FILE, 3, 50000, TEARS);
}

static void a_file_to_append_to(void **state)
{
	(void)state;
	kill_everywhere(OUT_APPEND, 3, 50000, 0);
	kill_everywhere(OUT_APPEND, 3, 50000, TEARS);
}

static void a_file_that_the_launcher_writes_to_as_well(void **state)
{
	(void)state;
	for (unsigned kind = OUT_FILE; kind <= OUT_APPEND; kind++) {
		kill_everywhere(kind, 3, 50000, SHARED);
		kill_everywhere(kind, 3, 50000, SHARED | TEARS);
	}
}

static void a_socket(void **state)
{
	(void)state;
	kill_everywhere(OUT_SOCKET, 3, 50000, 0);
}

static void a_terminal(void **state)
{
	(void)state;
	kill_everywhere(OUT_TERMINAL, 2, 10000, 0);
}

static void the_launcher_too(void **state)
{
	(void)state;
	kill_everywhere(OUT_PIPE, 3, 12000, NEW_PIPES);
	kill_everywhere(OUT_STALLED, 3, 12000, NEW_PIPES);
	kill_everywhere(OUT_FILE, 3, 12000, NEW_PIPES);
}

/* ---- what else may be found ---- */

static struct journal *map_journal(const struct stage *s)
{
	struct journal *j =
		mmap(NULL, sizeof *j, PROT_READ | PROT_WRITE, MAP_SHARED, s->carry[0], 0);

	assert_true(j != MAP_FAILED);
	return j;
}

/* Leaves three taps of which nothing is taken, and all that they have to say in the journal. */
static void leave_all_to_take(struct stage *s)
{
	static unsigned n = 1;

	stage_open(s, OUT_PIPE, 3, 500);
	for (;; n++) {
		struct journal *j;
		bool done;

		assert_false(live(s, n));
		j = map_journal(s);
		done = (uint32_t)j->fill == 3;
		munmap(j, sizeof *j);
		if (done)
			break;
		stage_close(s);
		stage_open(s, OUT_PIPE, 3, 500);
	}
	assert_int_equal(stage_read(s), 0);
}

/* Until all the old pipes are there, no new line comes from any, but what hsup says does. */
static void a_tap_that_never_comes(void **state)
{
	struct stage s;
	struct life l;

	(void)state;
	leave_all_to_take(&s);
	assert_true(life_begin(&l, &s));
	router_note(l.router, NULL, "hello");
	for (unsigned i = 1; i < 3; i++)
		assert_true(life_tap(&l, &s, i));
	assert_int_equal(write(s.taps[1][1], "\n", 1), 1);
	life_run(&l);
	router_flush(l.router, UINT64_MAX / 2);
	assert_true(stage_read(&s) > 0);
	const char *hello = strstr(s.got.data, "hsup[supervisor]: hello\n");
	assert_non_null(hello);
	assert_non_null(strstr(s.got.data, "app[web.0]: 0 0 "));
	assert_null(strstr(s.got.data, REST));

	/* Killed now, all is as before: the next one finds the first tap. */
	life_end(&l);
	assert_true(live(&s, 0));
	strbuf_reset(&s.got);
	assert_true(stage_read(&s) > 0);
	assert_non_null(strstr(s.got.data, "app[web.1]: " REST "\n"));
	assert_int_equal(carry_held(s.taps[0][0]), strlen(REST));
	stage_close(&s);

	/* And without it nothing stops. */
	leave_all_to_take(&s);
	assert_true(life_begin(&l, &s));
	assert_true(life_tap(&l, &s, 1));
	assert_int_equal(write(s.taps[1][1], "\n", 1), 1);
	router_adopted(l.router);
	life_run(&l);
	assert_true(stage_read(&s) > 0);
	assert_non_null(strstr(s.got.data, "app[web.1]: " REST "\n"));
	life_end(&l);
	stage_close(&s);
}

/* The app itself may read from its own pipe. */
static void a_tap_that_somebody_else_emptied(void **state)
{
	struct stage s;
	char data[4096];

	(void)state;
	leave_all_to_take(&s);
	for (unsigned i = 0; i < 3; i++)
		while (read(s.taps[i][0], data, sizeof data) > 0)
			;
	assert_int_equal(write(s.taps[1][1], "one\n", 4), 4);
	assert_true(live(&s, 0));
	assert_int_equal(write(s.taps[1][1], "two\n", 4), 4);
	assert_true(live(&s, 0));
	assert_true(stage_read(&s) > 0);
	assert_non_null(strstr(s.got.data, "app[web.1]: two\n"));
	stage_close(&s);
}

static void begin_and_refuse(const struct stage *s)
{
	struct life l;

	assert_true(life_begin(&l, s));
	assert_non_null(carry_refused(l.carry));
	for (unsigned i = 0; i < s->n_taps; i++)
		assert_true(life_tap(&l, s, i));
	life_run(&l);
	life_end(&l);
}

static void another_layout(void **state)
{
	struct stage s;

	(void)state;
	leave_all_to_take(&s);
	struct journal *j = map_journal(&s);
	j->layout++;
	begin_and_refuse(&s);
	assert_int_equal(j->layout, CARRY_LAYOUT);
	(void)stage_read(&s);
	/* From the pipes, which still had all. */
	check_lines(&s, false);
	munmap(j, sizeof *j);
	stage_close(&s);
}

/* Whatever stands there: no crash, no loop, and the next line comes. */
static void garbage(void **state)
{
	unsigned refused = 0;

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 300; round++) {
		struct stage s;
		struct life l;

		leave_all_to_take(&s);
		struct journal *j = map_journal(&s);
		unsigned char *bytes = (unsigned char *)j;
		for (unsigned i = 0; i < 1 + round % 5; i++)
			bytes[random() % (long)(offsetof(struct journal, takes) +
						 4 * sizeof(struct take))] ^=
				(unsigned char)(1 + random() % 255);
		(void)alarm(60);
		assert_true(life_begin(&l, &s));
		refused += carry_refused(l.carry) != NULL;
		for (unsigned i = 0; i < 3; i++)
			assert_true(life_tap(&l, &s, i));
		router_adopted(l.router);
		life_run(&l);
		assert_int_equal(write(s.taps[2][1], "\nlast\n", 6), 6);
		life_run(&l);
		(void)stage_read(&s);
		assert_non_null(strstr(s.got.data ? s.got.data : "", "app[web.2]: last\n"));
		life_end(&l);
		munmap(j, sizeof *j);
		stage_close(&s);
	}
	(void)alarm(0);
	assert_true(refused > 50);
}

static void not_what_it_should_be(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, OUT_PIPE, 3, 500);
	int file = s.carry[0];
	s.carry[0] = s.carry[1];
	begin_and_refuse(&s);
	(void)stage_read(&s);
	check_lines(&s, false);
	s.carry[0] = file;
	stage_close(&s);
}

static void count_done(void *userdata)
{
	++*(unsigned *)userdata;
}

/* Its bytes are taken, but its owner may forget it only when they are out. */
static void the_end_of_a_tap_waits_for_the_sink(void **state)
{
	struct stage s;
	struct life l;
	unsigned done = 0;

	(void)state;
	stage_open(&s, OUT_STALLED, 1, 40000);
	assert_true(life_begin(&l, &s));
	assert_true(life_tap(&l, &s, 0));
	router_finish(l.router, l.taps[0], count_done, &done);
	life_run(&l);
	assert_true(carry_held(s.taps[0][0]) < 40000);
	assert_int_equal(done, 0);
	for (unsigned tries = 0; tries < 1000 && !done; tries++) {
		assert_true(stage_read(&s) > 0);
		life_run(&l);
	}
	assert_true(done);
	(void)stage_read(&s);
	assert_non_null(strstr(s.got.data, "app[web.0]: " REST "\n"));
	life_end(&l);
	stage_close(&s);
}

static void a_reader_that_is_gone(void **state)
{
	struct stage s;
	struct life l;

	(void)state;
	stage_open(&s, OUT_PIPE, 3, 50000);
	close(s.out[0]);
	assert_true(life_begin(&l, &s));
	for (unsigned i = 0; i < 3; i++)
		assert_true(life_tap(&l, &s, i));
	life_run(&l);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(carry_held(s.taps[i][0]), strlen(REST));
	life_end(&l);
	s.out[0] = -1;
	stage_close(&s);

	/* The same before the old pipes are there. */
	leave_all_to_take(&s);
	close(s.out[0]);
	assert_true(life_begin(&l, &s));
	life_run(&l);
	for (unsigned i = 0; i < 3; i++)
		assert_true(life_tap(&l, &s, i));
	router_adopted(l.router);
	life_run(&l);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(carry_held(s.taps[i][0]), strlen(REST));
	life_end(&l);
	s.out[0] = -1;
	stage_close(&s);
}

/* A terminal that splice() cannot feed gets its lines all the same. */
static void a_terminal_of_an_old_kernel(void **state)
{
	struct stage s;
	unsigned lives = 0;

	(void)state;
	stage_open(&s, OUT_TERMINAL, 2, 10000);
	terminals_refuse = true;
	do {
		assert_true(lives++ < 200);
		assert_true(live(&s, 0));
	} while (stage_read(&s));
	terminals_refuse = false;
	check_lines(&s, false);
	stage_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_tap),
		cmocka_unit_test(three_taps),
		cmocka_unit_test(pipes_too_small_for_all),
		cmocka_unit_test(a_stalled_sink),
		cmocka_unit_test(a_log_file_that_is_rotated),
		cmocka_unit_test(a_file),
		cmocka_unit_test(a_file_to_append_to),
		cmocka_unit_test(a_file_that_the_launcher_writes_to_as_well),
		cmocka_unit_test(a_socket),
		cmocka_unit_test(a_terminal),
		cmocka_unit_test(the_launcher_too),
		cmocka_unit_test(a_tap_that_never_comes),
		cmocka_unit_test(a_tap_that_somebody_else_emptied),
		cmocka_unit_test(another_layout),
		cmocka_unit_test(garbage),
		cmocka_unit_test(not_what_it_should_be),
		cmocka_unit_test(the_end_of_a_tap_waits_for_the_sink),
		cmocka_unit_test(a_reader_that_is_gone),
		cmocka_unit_test(a_terminal_of_an_old_kernel),
	};

	/* As the supervisor does. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
