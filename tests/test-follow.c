/* drivers/docker/follow: every byte once, over breaks of the engine, full pipes, and kills around
 * every store that counts and every write. */
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
#include "drivers/docker/follow.h"
#include "fake/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define START  (UINT64_C(1795305811) * SECOND)

/* ---- the kill ---- */

static unsigned kill_at, calls; /* 0 = never */
static bool tears;		/* a kill before a write comes in the middle of it */
static unsigned ticks;

static void maybe_die(void)
{
	if (kill_at && ++calls == kill_at)
		(void)kill(getpid(), SIGKILL);
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	if (tears && calls + 1 == kill_at)
		(void)!__real_write(fd, data, n / 2 + 1);
	maybe_die();
	ssize_t result = __real_write(fd, data, n);
	int saved = errno;
	maybe_die();
	errno = saved;
	return result;
}

#define DYING_STORE(name, params, args)                                                            \
	void __real_##name params;                                                                 \
	void __wrap_##name params                                                                  \
	{                                                                                          \
		maybe_die();                                                                       \
		__real_##name args;                                                                \
		maybe_die();                                                                       \
	}

DYING_STORE(place_about, (struct place_stream * s, size_t held, size_t len), (s, held, len))
DYING_STORE(place_wrote, (struct place_stream * s, size_t n), (s, n))
DYING_STORE(place_set_mark, (struct place_stream * s, struct place_mark mark), (s, mark))

int __real_ioctl(int fd, unsigned long request, void *data);
int __wrap_ioctl(int fd, unsigned long request, void *data)
{
	maybe_die();
	return __real_ioctl(fd, request, data);
}

int __real_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *s, HSUP_UNUSED uint64_t usec)
{
	ticks++;
	return __real_sd_event_source_set_time_relative(s, 0);
}

/* ---- what outlives a supervisor ---- */

#define MOST ((size_t)1 << 20)

struct kept {
	size_t len[2]; /* of the pipes */
	char got[2][MOST];
};

struct stage {
	struct kept *kept;
	struct place *place;
	int pipes[2][2]; /* read end, write end */
	bool merged;
	unsigned reads_every; /* turns: how slow the reader is; 0 = it reads nothing */
	struct engine engine;
	/* Of one supervisor. */
	sd_event *loop;
	struct follow *follow;
	unsigned breaks;
	int broke_r;
	bool broken, over, lost;
	struct err err;
};

static void *shared(size_t size)
{
	/* cppcheck-suppress invalidFunctionArg */
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void stage_open(struct stage *s, bool merged)
{
	*s = (struct stage){.merged = merged, .reads_every = 1};
	s->kept = shared(sizeof *s->kept);
	s->place = shared(sizeof *s->place);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe2(s->pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(fcntl(s->pipes[i][1], F_SETPIPE_SZ, 4096), 4096);
	}
}

static void stage_close(struct stage *s)
{
	for (int i = 0; i < 4; i++)
		fd_close(s->pipes[i / 2][i % 2]);
	(void)munmap(s->kept, sizeof *s->kept);
	(void)munmap(s->place, sizeof *s->place);
}

static void broke(void *userdata, int r, const struct err *err)
{
	struct stage *s = userdata;

	s->broken = true;
	s->breaks++;
	s->broke_r = r;
	s->err = *err;
}

static void over(void *userdata, bool lost)
{
	struct stage *s = userdata;

	assert_false(s->over);
	s->over = true;
	s->lost = lost;
}

static void begin(struct stage *s, bool recovers)
{
	struct follow_setup setup = {
		.engine = &s->engine,
		.place = s->place,
		.container = "0123abcd",
		.out = fcntl(s->pipes[0][1], F_DUPFD_CLOEXEC, 3),
		.err = s->merged ? -1 : fcntl(s->pipes[1][1], F_DUPFD_CLOEXEC, 3),
		.recovers = recovers,
		.broke = broke,
		.over = over,
		.userdata = s,
	};
	struct err err = {0};

	assert_int_equal(sd_event_new(&s->loop), 0);
	setup.loop = s->engine.loop = s->loop;
	s->broken = s->over = s->lost = false;
	s->breaks = 0;
	assert_int_equal(follow_new(&setup, &s->follow, &err), 0);
}

static void leave(struct stage *s)
{
	s->follow = follow_free(s->follow);
	s->loop = sd_event_unref(s->loop);
}

static void go(struct stage *s)
{
	struct err err = {0};

	s->broken = false;
	assert_int_equal(follow_go(s->follow, &err), 0);
}

/* No kill comes between what is read and what is kept. */
static void read_pipes(struct stage *s)
{
	for (int i = 0; i < 2; i++) {
		struct kept *k = s->kept;
		ssize_t n = read(s->pipes[i][0], k->got[i] + k->len[i], MOST - k->len[i]);

		if (n > 0)
			k->len[i] += (size_t)n;
	}
}

/* Until nothing moves any more. */
static void run(struct stage *s)
{
	unsigned idle = 0;

	for (unsigned turn = 1; idle < 3 && !s->over && !s->broken; turn++) {
		size_t before = s->kept->len[0] + s->kept->len[1];

		idle = sd_event_run(s->loop, 0) > 0 ? 0 : idle + 1;
		if (s->reads_every > 0 && (turn % s->reads_every == 0 || idle > 0))
			read_pipes(s);
		if (s->kept->len[0] + s->kept->len[1] > before)
			idle = 0;
		assert_true(turn < 3000000);
	}
	if (s->reads_every > 0)
		read_pipes(s);
}

/* ---- the log ---- */

#define MESSAGES 120

static struct fake_message messages[MESSAGES];
static char texts[MESSAGES][3000];
static struct strbuf expected[3]; /* out, err, both in their order */

static void add_message(
	unsigned i, enum stream_which which, uint64_t stamp, unsigned padding, const char *tail)
{
	struct fake_message *m = &messages[i];
	int n = snprintf(texts[i], sizeof texts[i], "%u %0*d%s", i, (int)padding + 1, 0, tail);

	*m = (struct fake_message){which, stamp, texts[i], (size_t)n};
	(void)strbuf_add(&expected[which == STREAM_STDERR], m->text, m->len);
	(void)strbuf_add(&expected[2], m->text, m->len);
}

/* Stamps as dockerd gives them: never falling within a stream, several the same, and the two
 * streams not quite in order; short lines, and one that no pipe holds. Returns how many. */
static unsigned make_log(unsigned seed, unsigned n)
{
	uint64_t stamp[2] = {START, START};

	for (int i = 0; i < 3; i++)
		strbuf_reset(&expected[i]);
	for (unsigned i = 0; i < n; i++) {
		seed = seed * 1103515245U + 12345;
		unsigned which = (seed >> 9) % 3 == 0, kind = (seed >> 13) % 5;

		if (kind > 0)
			stamp[which] += kind * 1000;
		add_message(i, which ? STREAM_STDERR : STREAM_STDOUT, stamp[which],
			i == 17 ? 2900 : (seed >> 16) % 90, i + 1 == n ? "" : "\n");
	}
	return n;
}

/* One stream says nothing for minutes while the other goes on, and then something. */
static unsigned make_silent_log(unsigned seed, unsigned n)
{
	for (int i = 0; i < 3; i++)
		strbuf_reset(&expected[i]);
	for (unsigned i = 0; i < n; i++)
		add_message(i, (seed + i) % 12 < 10 ? STREAM_STDOUT : STREAM_STDERR,
			START + 50 * i * SECOND, i % 7, "\n");
	return n;
}

static void expect_all(struct stage *s)
{
	struct strbuf *out = s->merged ? &expected[2] : &expected[0];

	assert_int_equal(s->kept->len[0], out->len);
	assert_memory_equal(s->kept->got[0], out->data, out->len);
	assert_int_equal(s->kept->len[1], s->merged ? 0 : expected[1].len);
	assert_memory_equal(s->kept->got[1], expected[1].data, s->kept->len[1]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(s->place->streams[i].written, expected[i].len);
}

static void log_of(struct stage *s, unsigned n, unsigned piece)
{
	s->engine.messages = messages;
	s->engine.n_messages = n;
	s->engine.piece = piece;
	s->engine.ended = true;
}

/* ---- tests ---- */

static void once_through(void **state)
{
	static const unsigned pieces[] = {1, 3, 50, 0};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct stage s;

		stage_open(&s, i & 1);
		log_of(&s, make_log(i, MESSAGES), pieces[i / 2]);
		s.engine.drops_tail = 1;
		begin(&s, false);
		go(&s);
		run(&s);
		assert_true(s.broken && s.broke_r == 0 && !s.over);
		assert_true(s.kept->len[0] + s.kept->len[1] < expected[2].len);
		follow_finish(s.follow);
		s.broken = false;
		run(&s);
		assert_true(s.over && !s.lost && !s.engine.follows);
		leave(&s);
		expect_all(&s);
		stage_close(&s);
	}
}

/* What comes while it is followed is there at once, not with the next. */
static void as_it_comes(void **state)
{
	struct stage s;
	size_t sum[2] = {0};

	(void)state;
	stage_open(&s, false);
	log_of(&s, make_log(3, MESSAGES), 0);
	s.engine.ended = false;
	s.engine.n_messages = 0;
	begin(&s, false);
	go(&s);
	for (unsigned i = 0; i < MESSAGES; i++) {
		s.engine.n_messages = i + 1;
		fake_engine_wake(&s.engine);
		run(&s);
		sum[messages[i].which == STREAM_STDERR] += messages[i].len;
		assert_int_equal(s.kept->len[0], sum[0]);
		assert_int_equal(s.kept->len[1], sum[1]);
	}
	assert_int_equal(s.engine.calls, 1);
	leave(&s);
	expect_all(&s);
	stage_close(&s);
}

/* Nobody reads: the engine is paused, and what waits is bounded; nobody turns in vain. */
static void a_full_pipe(void **state)
{
	(void)state;
	for (int merged = 0; merged < 2; merged++) {
		struct stage s;
		static struct fake_message many[300];

		stage_open(&s, merged);
		(void)make_log(1, MESSAGES);
		for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
			many[i] = messages[17];
		for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
			many[i].stamp = START + i;
		s.engine = (struct engine){.messages = many, .n_messages = ARRAY_SIZE(many)};
		s.reads_every = 0;
		begin(&s, false);
		go(&s);
		run(&s);
		assert_int_equal(s.engine.pauses, 1);
		assert_true(s.engine.given > (64 << 10) && s.engine.given < (100 << 10));
		assert_int_equal(sd_event_run(s.loop, 0), 0);
		assert_int_equal(s.kept->len[0], 0);
		/* And goes on when somebody does. */
		s.engine.ended = true;
		s.reads_every = 1;
		run(&s);
		assert_true(s.broken && s.broke_r == 0);
		leave(&s);
		begin(&s, true);
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && !s.lost);
		assert_int_equal(s.kept->len[0] + s.kept->len[1], ARRAY_SIZE(many) * many[0].len);
		leave(&s);
		stage_close(&s);
	}
}

static void a_slow_reader(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct stage s;

		stage_open(&s, i & 1);
		log_of(&s, make_log(i, MESSAGES), 500);
		s.reads_every = 1 + i * 20;
		begin(&s, false);
		go(&s);
		run(&s);
		leave(&s);
		begin(&s, true);
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && !s.lost);
		leave(&s);
		expect_all(&s);
		stage_close(&s);
	}
}

/* Broken off behind every byte, again and again; each time a little more comes. */
static void broken_off(void **state)
{
	(void)state;
	for (unsigned every = 1; every < 9000; every += 1 + every / 7) {
		struct stage s;

		stage_open(&s, every & 1);
		log_of(&s, make_log(every, 60), 200);
		begin(&s, false);
		for (unsigned k = 0; k < 400 && (!s.broken || s.broke_r < 0); k++) {
			s.engine.breaks = 150 + every * (1 + k / 10);
			go(&s);
			run(&s);
			assert_true(s.broken && (s.broke_r == 0 || s.broke_r == -ECONNRESET));
		}
		s.engine.breaks = 0;
		s.broken = false;
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && !s.lost);
		leave(&s);
		expect_all(&s);
		stage_close(&s);
	}
}

/* What was read long ago is not read again: also when one stream says nothing. */
static void from_the_marks_on(void **state)
{
	(void)state;
	for (int merged = 0; merged < 2; merged++) {
		struct stage s;

		stage_open(&s, merged);
		for (int i = 0; i < 3; i++)
			strbuf_reset(&expected[i]);
		for (unsigned i = 0; i < MESSAGES; i++)
			add_message(i, i == 4 ? STREAM_STDERR : STREAM_STDOUT,
				START + i * 10 * SECOND, 20, "\n");
		log_of(&s, MESSAGES, 0);
		s.engine.ended = false;
		s.engine.n_messages = 0;
		begin(&s, false);
		go(&s);
		for (unsigned i = 0; i < MESSAGES; i++) {
			s.engine.n_messages = i + 1;
			fake_engine_wake(&s.engine);
			run(&s);
		}
		leave(&s);
		begin(&s, true);
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && !s.lost);
		assert_in_range(s.engine.since, START + (MESSAGES - 20) * 10 * SECOND,
			START + (MESSAGES - 1) * 10 * SECOND);
		leave(&s);
		expect_all(&s);
		stage_close(&s);
	}
}

static void expect_less(struct stage *s, size_t fewest)
{
	const struct kept *k = s->kept;
	const struct fake_message *m = &messages[39];

	assert_in_range(k->len[0] + k->len[1], fewest, expected[2].len - 1);
	assert_memory_equal(k->got[0] + k->len[0] - m->len, m->text, m->len);
}

/* The clock of the engine is set back in the middle: a break behind it reads all again. A break
 * before it has the engine leave out what is stamped with the past, but nothing else. */
static void clock_set_back(void **state)
{
	(void)state;
	for (unsigned at = 0; at <= 40; at++) {
		struct stage s;

		stage_open(&s, at & 1);
		for (int i = 0; i < 3; i++)
			strbuf_reset(&expected[i]);
		for (unsigned i = 0; i < 40; i++)
			add_message(i, i % 4 == 0 ? STREAM_STDERR : STREAM_STDOUT,
				START + (i < 15		 ? 100 + i
						: i < 20 ? i
							 : 70 + i * 3) *
						SECOND,
				20, "\n");
		log_of(&s, 40, 0);
		begin(&s, false);
		for (int k = 0; k < 2; k++) {
			s.engine.breaks = at > 0 && k == 0 ? at * 61 : 500;
			go(&s);
			run(&s);
			assert_true(s.broken);
		}
		s.engine.breaks = 0;
		leave(&s);
		begin(&s, true);
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && !s.lost);
		leave(&s);
		if (at > 16)
			expect_all(&s);
		else
			expect_less(&s, expected[2].len - 20 * messages[39].len);
		stage_close(&s);
	}
}

/* The log was turned over while nobody followed: what is gone is gone, what is there comes whole.
 */
static void turned_over(void **state)
{
	struct stage s;
	size_t len;

	(void)state;
	stage_open(&s, true);
	for (int i = 0; i < 3; i++)
		strbuf_reset(&expected[i]);
	for (unsigned i = 0; i < 40; i++)
		add_message(i, STREAM_STDOUT, START + i * SECOND, 20, "\n");
	log_of(&s, 10, 0);
	begin(&s, false);
	go(&s);
	run(&s);
	len = s.kept->len[0];
	leave(&s);
	s.engine.messages = messages + 20;
	s.engine.n_messages = 20;
	begin(&s, true);
	follow_finish(s.follow);
	run(&s);
	leave(&s);
	assert_int_equal(s.kept->len[0] - len, messages[20].len * 20);
	assert_memory_equal(s.kept->got[0] + len, messages[20].text, messages[20].len);
	stage_close(&s);
}

static void bad_bytes(const char *raw, size_t len, int r, const char *says)
{
	struct stage s;

	stage_open(&s, false);
	s.engine = (struct engine){.raw = raw, .raw_len = len};
	begin(&s, false);
	go(&s);
	run(&s);
	assert_true(s.broken);
	assert_int_equal(s.broke_r, r);
	assert_non_null(strstr(s.err.text, says));
	assert_non_null(strstr(s.err.text, "container 0123abcd"));
	assert_int_equal(s.kept->len[0], 0);
	s.broken = false;
	follow_finish(s.follow);
	run(&s);
	assert_true(s.over && s.lost);
	leave(&s);
	stage_close(&s);
}

static void no_log_at_all(void **state)
{
	(void)state;
#define BAD(text, r, says) bad_bytes(text, sizeof text - 1, r, says)
	BAD("{\"message\":\"x\"}", -EBADMSG, "no stream of frames");
	BAD("\1\0\0\0\0\0\0\5hello", -EBADMSG, "without the time");
	BAD("\1\0\0\0\0\0\0\11"
	    "2026-11-2"
	    "\1\0\0\0\0\0\0\1",
		-EBADMSG, "without the time");
	BAD("\3\0\0\0\0\0\0\11"
	    "Error: x\n",
		-EIO, "the engine says: Error: x");
	BAD("\1\0\0\0\0\0\0\77"
	    "2026-11-22T00:03:31Z ",
		-ECONNRESET, "middle of a frame");
	BAD("\1\0\0", -ECONNRESET, "middle of a frame");
}

/* At the end: an engine that is gone is waited for, for a time; one that comes back is asked. */
static void gone_at_the_end(void **state)
{
	static const int refuses[] = {0, -ECONNREFUSED, -EIO, -ENOENT};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refuses); i++) {
		struct stage s;

		stage_open(&s, false);
		log_of(&s, make_log(9, 20), 0);
		s.engine.down = i == 0;
		s.engine.refuses = refuses[i];
		begin(&s, false);
		ticks = 0;
		follow_finish(s.follow);
		run(&s);
		assert_true(s.over && s.lost && !s.broken);
		if (refuses[i] == -ENOENT)
			assert_int_equal(s.engine.calls, 1);
		else
			assert_in_range(ticks, 40, 42);
		leave(&s);
		stage_close(&s);
	}
}

static void back_at_the_end(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, false);
	log_of(&s, make_log(9, 60), 0);
	s.engine.down = true;
	begin(&s, false);
	ticks = 0;
	follow_finish(s.follow);
	while (ticks < 30)
		(void)sd_event_run(s.loop, 0);
	s.engine.down = false;
	s.engine.breaks = 2000;
	while (ticks < 50)
		(void)sd_event_run(s.loop, 0);
	s.engine.breaks = 0;
	run(&s);
	assert_true(s.over && !s.lost);
	leave(&s);
	expect_all(&s);
	stage_close(&s);
}

/* It answers and gives nothing; then it is found gone. */
static void hangs_at_the_end(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct stage s;

		stage_open(&s, false);
		log_of(&s, make_log(9, 20), 0);
		s.engine.hangs = true;
		begin(&s, false);
		ticks = 0;
		follow_finish(s.follow);
		while (ticks < 3)
			(void)sd_event_run(s.loop, 0);
		s.engine.down = down;
		run(&s);
		assert_true(s.over && s.lost);
		assert_int_equal(s.engine.cancelled, 1);
		assert_in_range(ticks, down ? 40 : 480, down ? 45 : 483);
		leave(&s);
		stage_close(&s);
	}
}

/* A reader that is slow at the end is waited for as long as it takes. */
static void full_at_the_end(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, false);
	log_of(&s, make_log(9, MESSAGES), 0);
	s.reads_every = 0;
	begin(&s, false);
	ticks = 0;
	follow_finish(s.follow);
	while (ticks < 2000)
		(void)sd_event_run(s.loop, 0);
	assert_false(s.over);
	s.reads_every = 1;
	run(&s);
	assert_true(s.over && !s.lost);
	leave(&s);
	expect_all(&s);
	stage_close(&s);
}

static void nobody_reads_it(void **state)
{
	struct stage s;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	stage_open(&s, false);
	log_of(&s, make_log(9, 20), 0);
	s.pipes[0][0] = fd_close(s.pipes[0][0]);
	begin(&s, false);
	follow_finish(s.follow);
	run(&s);
	assert_true(s.over && s.lost);
	assert_int_equal(s.kept->len[1], expected[1].len);
	leave(&s);
	stage_close(&s);
}

/* ---- kills ---- */

static bool lives(struct stage *s, bool recovers, unsigned at)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		kill_at = at;
		calls = 0;
		begin(s, recovers);
		for (unsigned k = 0; k < 3; k++) {
			s->engine.breaks = k < 2 ? 3000 + 1500 * k : 0;
			go(s);
			run(s);
		}
		s->broken = false;
		follow_finish(s->follow);
		run(s);
		_exit(s->over && !s->lost ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
	return WIFEXITED(status);
}

/* Returns whether the first one came to its end. */
static bool killed(unsigned at, bool merged, bool slow, unsigned second, bool silent)
{
	struct stage s;

	stage_open(&s, merged);
	if (silent)
		log_of(&s, make_silent_log(5, 60), 100);
	else
		log_of(&s, make_log(5, 60), 700);
	s.engine.drops_tail = 2;
	s.reads_every = slow ? 40 : 1;
	bool whole = lives(&s, false, at);
	for (unsigned k = 0; !whole && k < 3; k++)
		if (lives(&s, true, k < 2 ? second : 0))
			break;
	expect_all(&s);
	stage_close(&s);
	return whole;
}

/* A fork with a sanitizer's memory takes ten times as long. */
#ifdef __SANITIZE_ADDRESS__
#define KILL_STEP 9
#else
#define KILL_STEP 1
#endif

static void killed_anywhere(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 8; how++) {
		unsigned at = 1 + how % KILL_STEP;

		tears = how & 4;
		while (!killed(at, how & 1, how & 2, 1 + at * 7 % 23, false))
			at += KILL_STEP;
		assert_true(at > 100);
	}
}

static void killed_behind_a_silence(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 8; how++) {
		unsigned at = 1 + how % KILL_STEP;

		tears = how & 4;
		while (!killed(at, how & 1, how & 2, 1 + at * 7 % 23, true))
			at += KILL_STEP;
		assert_true(at > 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_through),
		cmocka_unit_test(as_it_comes),
		cmocka_unit_test(a_full_pipe),
		cmocka_unit_test(a_slow_reader),
		cmocka_unit_test(broken_off),
		cmocka_unit_test(from_the_marks_on),
		cmocka_unit_test(clock_set_back),
		cmocka_unit_test(turned_over),
		cmocka_unit_test(no_log_at_all),
		cmocka_unit_test(gone_at_the_end),
		cmocka_unit_test(back_at_the_end),
		cmocka_unit_test(hangs_at_the_end),
		cmocka_unit_test(full_at_the_end),
		cmocka_unit_test(nobody_reads_it),
		cmocka_unit_test(killed_anywhere),
		cmocka_unit_test(killed_behind_a_silence),
	};
	int r = cmocka_run_group_tests_name("follow", tests, NULL, NULL);

	for (int i = 0; i < 3; i++)
		strbuf_done(&expected[i]);
	return r;
}
