#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "supervisor/slugs.h"
#include "wire/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MS(n)	    ((uint64_t)(n)*NSEC_PER_MSEC)
#define SOCKET	    3
#define DIGEST_CHAR 'd'

/* ---- the helper: this program itself, started by the one that tests ---- */

static char digest_of[65];

static void say(enum job_type type, const void *body, size_t size, const char *text)
{
	struct packet_part parts[] = {{body, size}, {text, text ? strlen(text) : 0}};

	(void)!job_send(SOCKET, type, parts, text ? 2 : 1, -1);
}

static void say_done(void)
{
	struct job_done done = {.packed = 7};

	memcpy(done.digest, digest_of, sizeof done.digest);
	say(JOB_DONE, &done, sizeof done, NULL);
}

static void say_progress(void)
{
	struct job_progress progress = {.phase = JOB_FETCHING};

	say(JOB_PROGRESS, &progress, sizeof progress, NULL);
}

/* What it does is the name of the slug it is told to make ready; every start leaves a line in the
 * file "starts" of the slugs' folder. */
static int stub(void)
{
	struct packet p;
	struct job_slug job;
	const char *source, *checksum;
	char what[100];

	if (job_receive(SOCKET, true, &p) <= 0 ||
		job_parse_slug(&p, &job, &source, &checksum) < 0 || p.n_fds != 1)
		return 99;
	(void)snprintf(what, sizeof what, "%.*s", job.source_length, source);
	const char *how = strrchr(what, '/') + 1;
	int log = openat(p.fds[0], "starts", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char line[120];
	int n = snprintf(line, sizeof line, "%s\n", how);
	(void)!write(log, line, (size_t)n);
	off_t starts = lseek(log, 0, SEEK_CUR) / n;

	memset(digest_of, DIGEST_CHAR, 64);
	if (strcmp(how, "well") == 0) {
		(void)mkdirat(p.fds[0], digest_of, 0700);
		say_progress();
		say_done();
	} else if (strcmp(how, "told") == 0) {
		static const char text[] = "no such thing";
		struct job_failed failed = {.error = ENOENT, .text_length = sizeof text - 1};

		say(JOB_FAILED, &failed, sizeof failed, text);
	} else if (strcmp(how, "third") == 0) {
		(void)mkdirat(p.fds[0], ".tmp-left", 0700);
		if (starts < 3)
			(void)kill(getpid(), SIGKILL);
		(void)mkdirat(p.fds[0], digest_of, 0700);
		say_done();
	} else if (strcmp(how, "garbage") == 0) {
		(void)!send(SOCKET, "\0\1\2\3garbage", 11, 0);
		(void)pause();
	} else if (strcmp(how, "half") == 0) {
		struct job_done done = {.packed = 7};
		say(JOB_DONE, &done, sizeof done / 2, NULL);
		(void)pause();
	} else if (strcmp(how, "empty") == 0) {
		(void)!send(SOCKET, "", 0, 0);
		(void)pause();
	} else if (strcmp(how, "large") == 0) {
		static char large[3 * LIMIT_PACKET];
		(void)!send(SOCKET, large, sizeof large, 0);
		(void)pause();
	} else if (strcmp(how, "lies") == 0) {
		say_done(); /* and there is nothing */
		(void)pause();
	} else if (strcmp(how, "closes") == 0) {
		(void)close(SOCKET);
		(void)pause();
	} else if (strcmp(how, "silent") == 0) {
		(void)pause();
	} else if (strcmp(how, "busy") == 0) { /* never comes to an end */
		for (;; (void)usleep(5000))
			say_progress();
	} else if (strcmp(how, "flood") == 0) {
		for (;;)
			say_progress();
	} else if (strcmp(how, "talks-on") == 0) {
		(void)mkdirat(p.fds[0], digest_of, 0700);
		say_done();
		for (;;)
			say_progress();
	} else if (strncmp(how, "held-", 5) == 0) {
		while (faccessat(p.fds[0], "go", F_OK, 0) < 0)
			(void)usleep(5000);
		(void)mkdirat(p.fds[0], digest_of, 0700);
		say_done();
	} else if (strcmp(how, "slow") == 0 || strncmp(how, "slow-", 5) == 0) {
		(void)usleep(200000);
		(void)mkdirat(p.fds[0], digest_of, 0700);
		say_done();
	}
	return 0; /* "mute": without a word */
}

/* ---- the house ---- */

static struct house {
	sd_event *loop;
	struct slugs *slugs;
	char folder[32], store[300];
	unsigned answers, waiting;
	int errors[LIMIT_JOBS];
	char text[500];
	bool cached;
	uint64_t ticks;
} house;

static char self[] = "/proc/self/exe";
static char helper[4096];

static int set_up(void **state)
{
	struct err err = {0};

	(void)state;
	house = (struct house){.folder = "/tmp/hsup-slugs-XXXXXX"};
	assert_non_null(mkdtemp(house.folder));
	assert_true(sd_event_new(&house.loop) >= 0);
	house.slugs =
		slugs_open(house.loop, house.folder, house.folder, helper, false, false, &err);
	assert_non_null(house.slugs);
	/* (Nobody is silent, however busy the machine is, but who is meant to be.) */
	slugs_set_patience(house.slugs,
		&(struct slug_patience){.silence = MS(30000), .total = MS(50000), .pause = MS(20)});
	return 0;
}

static int tear_down(void **state)
{
	char command[100];

	(void)state;
	slugs_close(house.slugs);
	sd_event_unref(house.loop);
	(void)snprintf(command, sizeof command, "rm -rf %s", house.folder);
	assert_int_equal(system(command), 0);
	return 0;
}

static void on_done(void *userdata, const struct slug_result *result)
{
	const char *slash = result->path ? strrchr(result->path, '/') : NULL;

	(void)userdata;
	house.waiting--;
	house.errors[house.answers++] = result->error;
	house.cached = result->cached;
	if (result->error)
		(void)snprintf(house.text, sizeof house.text, "%s", result->text);
	if (slash)
		(void)snprintf(house.store, sizeof house.store, "%.*s", (int)(slash - result->path),
			result->path);
}

static struct slug_job *order(const char *how)
{
	struct slug_job *job = NULL;
	struct err err = {0};

	assert_int_equal(
		slugs_prepare(house.slugs, how, "/stub", NULL, NULL, on_done, NULL, &job, &err), 0);
	assert_non_null(job);
	house.waiting++;
	return job;
}

static void run(void)
{
	uint64_t end = clock_now() + 60 * NSEC_PER_SEC;

	while (house.waiting > 0) {
		assert_true(sd_event_run(house.loop, 100000) >= 0);
		assert_true(clock_now() < end);
	}
}

/* How often a helper was started for it; NULL: for anything. */
static unsigned starts(const char *how)
{
	char command[400], line[100];
	unsigned n = 0;

	(void)snprintf(
		command, sizeof command, "cat %s/apps/*/slugs/starts 2>/dev/null", house.folder);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		n += !how || strcmp(line, how) == 0;
	}
	(void)pclose(f);
	return n;
}

/* ---- tests ---- */

static void told_is_final(void **state)
{
	(void)state;
	(void)order("well");
	run();
	assert_int_equal(house.errors[0], 0);
	(void)order("told");
	run();
	assert_int_equal(house.errors[1], -ENOENT);
	assert_string_equal(house.text, "no such thing");
	assert_int_equal(starts("told"), 1);
}

static void one_without_an_answer_is_tried_again(void **state)
{
	(void)state;
	(void)order("third");
	run();
	assert_int_equal(house.errors[0], 0);
	assert_int_equal(starts("third"), 3);
	/* What those that were killed had begun is gone. */
	char left[400];
	(void)snprintf(left, sizeof left, "%s/.tmp-left", house.store);
	assert_int_equal(access(left, F_OK), -1);
}

static void but_not_for_ever(void **state)
{
	static const struct {
		const char *how;
		int error;
		const char *text;
	} faults[] = {
		{"mute", -EIO, "the slug helper ended without an answer, 3 times"},
		{"closes", -EIO, "the slug helper ended without an answer, 3 times"},
		{"empty", -EIO, "the slug helper ended without an answer, 3 times"},
		{"garbage", -EBADMSG, "the slug helper said something malformed, 3 times"},
		{"half", -EBADMSG, "the slug helper said something malformed, 3 times"},
		{"large", -EBADMSG, "the slug helper said something malformed, 3 times"},
		{"lies", -EBADMSG, "the slug helper said something malformed, 3 times"},
		{"silent", -ETIMEDOUT,
			"the slug helper was silent for too long and was killed, 3 times"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		uint64_t begun = clock_now();

		if (strcmp(faults[i].how, "silent") == 0)
			slugs_set_patience(house.slugs,
				&(struct slug_patience){
					.silence = MS(1000), .total = MS(20000), .pause = MS(20)});
		(void)order(faults[i].how);
		run();
		if (strcmp(house.text, faults[i].text) != 0)
			fail_msg("%s: %s", faults[i].how, house.text);
		assert_int_equal(house.errors[i], faults[i].error);
		assert_int_equal(starts(faults[i].how), LIMIT_HELPER_TRIES);
		assert_true(clock_now() - begun >= MS(20 + 40)); /* it does not spin */
	}
	slugs_set_patience(house.slugs,
		&(struct slug_patience){.silence = MS(30000), .total = MS(50000), .pause = MS(20)});
	(void)order("well");
	run();
	assert_int_equal(house.errors[ARRAY_SIZE(faults)], 0);
}

static void a_job_has_its_time(void **state)
{
	(void)state;
	slugs_set_patience(house.slugs,
		&(struct slug_patience){.silence = MS(10000), .total = MS(400), .pause = MS(20)});
	(void)order("busy");
	(void)order("flood");
	run();
	assert_int_equal(house.errors[0], -ETIMEDOUT);
	assert_int_equal(house.errors[1], -ETIMEDOUT);
	assert_string_equal(house.text, "the slug was not ready within 0.4 s");
	assert_int_equal(starts(NULL), 2);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)usec;
	(void)userdata;
	house.ticks++;
	(void)sd_event_source_set_time_relative(source, 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void one_that_talks_on_stops_nothing(void **state)
{
	sd_event_source *tick = NULL;

	(void)state;
	assert_true(sd_event_add_time_relative(
			    house.loop, &tick, CLOCK_MONOTONIC, 0, 1, on_tick, NULL) >= 0);
	(void)order("talks-on");
	run();
	assert_int_equal(house.errors[0], 0);
	slugs_set_patience(house.slugs,
		&(struct slug_patience){.silence = MS(10000), .total = MS(500), .pause = MS(20)});
	house.ticks = 0;
	(void)order("flood");
	run();
	assert_true(house.ticks > 10);
	sd_event_source_disable_unref(tick);
}

static void several_at_once_in_their_order(void **state)
{
	static const char *const names[] = {
		"held-1", "held-2", "held-3", "held-4", "held-5", "held-6", "held-7", "held-8"};
	char command[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)order(names[i]);
	while (starts(NULL) < LIMIT_HELPERS)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	for (int i = 0; i < 20; i++)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	assert_int_equal(starts("held-4"), 1);
	assert_int_equal(starts("held-5"), 0);
	(void)snprintf(command, sizeof command, "for d in %s/apps/*/slugs; do : > $d/go; done",
		house.folder);
	assert_int_equal(system(command), 0);
	run();
	assert_int_equal(house.answers, 8);
	assert_int_equal(starts(NULL), 8);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(house.errors[i], 0);
}

static void a_bad_one_takes_nothing_with_it(void **state)
{
	(void)state;
	(void)order("garbage");
	(void)order("mute");
	(void)order("slow");
	(void)order("well");
	run();
	assert_int_equal(house.errors[0], 0);
	unsigned well = 0;
	for (unsigned i = 0; i < 4; i++)
		well += house.errors[i] == 0;
	assert_int_equal(well, 2);
}

static void the_same_slug_is_made_once_at_a_time(void **state)
{
	(void)state;
	(void)order("slow");
	(void)order("slow");
	while (starts(NULL) < 1)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	for (int i = 0; i < 20; i++)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	assert_int_equal(starts(NULL), house.answers + 1);
	run();
	assert_int_equal(house.answers, 2);
}

static void cancelled_at_any_time(void **state)
{
	struct slug_job *jobs[6];

	(void)state;
	jobs[0] = order("silent");
	jobs[1] = order("garbage");
	jobs[2] = order("busy");
	jobs[3] = order("mute");
	jobs[4] = order("well"); /* waits */
	jobs[5] = order("slow"); /* waits */
	house.waiting = 1;
	assert_null(slugs_cancel(house.slugs, jobs[5]));
	for (int i = 0; i < 5; i++)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	assert_null(slugs_cancel(house.slugs, jobs[0])); /* its place goes to the one that waits */
	assert_null(slugs_cancel(house.slugs, jobs[2]));
	while (starts("well") == 0)
		assert_true(sd_event_run(house.loop, 1000) >= 0);
	assert_int_equal(starts("slow"), 0);
	assert_null(slugs_cancel(house.slugs, NULL));
	/* The others end when the house is closed. */
}

static void no_more_than_may_wait(void **state)
{
	struct slug_job *job = NULL;
	struct err err = {0};
	char name[20];

	(void)state;
	for (unsigned i = 0; i < LIMIT_JOBS; i++) {
		(void)snprintf(name, sizeof name, "slow-%u", i);
		(void)order(name);
	}
	assert_int_equal(
		slugs_prepare(house.slugs, "x", "/stub", NULL, NULL, on_done, NULL, &job, &err),
		-EBUSY);
	assert_null(job);
}

static void a_helper_that_is_missing(void **state)
{
	struct slug_job *job = NULL;
	struct err err = {0};

	(void)state;
	slugs_close(house.slugs);
	house.slugs = slugs_open(
		house.loop, house.folder, house.folder, "/nonexistent/helper", false, false, &err);
	assert_non_null(house.slugs);
	assert_int_equal(
		slugs_prepare(house.slugs, "x", "/stub", NULL, NULL, on_done, NULL, &job, &err),
		-ENOENT);
	assert_null(job);
	assert_non_null(strstr(err.text, "/nonexistent/helper"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(told_is_final),
		TEST(one_without_an_answer_is_tried_again),
		TEST(but_not_for_ever),
		TEST(a_job_has_its_time),
		TEST(one_that_talks_on_stops_nothing),
		TEST(several_at_once_in_their_order),
		TEST(a_bad_one_takes_nothing_with_it),
		TEST(the_same_slug_is_made_once_at_a_time),
		TEST(cancelled_at_any_time),
		TEST(no_more_than_may_wait),
		TEST(a_helper_that_is_missing),
	};

	if (argc > 1 && strcmp(argv[1], "--job") == 0)
		return stub();
	if (argc > 1) /* --remove: not what is tested here */
		return 0;
	if (readlink(self, helper, sizeof helper - 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
