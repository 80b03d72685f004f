#include "supervisor/slug_job.h"

#include "base/clock.h"
#include "base/str.h"
#include "io/worker.h"

#include <errno.h>
#include <stdio.h>

#define SLACK (10 * NSEC_PER_MSEC / NSEC_PER_USEC) /* 0 would mean 250 ms to sd-event */

/* More than a socket holds, so that the last look takes all that is left; and an end to a helper
 * that talks for ever. */
#define PACKETS_AT_ONCE 1024

static void drop_attempt(struct slug_job *j)
{
	j->worker = worker_free(j->worker);
	j->again = sd_event_source_disable_unref(j->again);
}

struct slug_job *slug_job_free(struct slug_job *j)
{
	if (!j)
		return NULL;
	drop_attempt(j);
	sd_event_source_disable_unref(j->end);
	free(j->source);
	free(j->checksum);
	free(j);
	return NULL;
}

void slug_job_fail(struct slug_job *j, int error, const char *text, size_t len)
{
	j->answered = true;
	j->error = error;
	/* Printable by contract; but who wrote it has read an untrusted archive. */
	(void)str_printable(text, len, j->text, sizeof j->text);
}

static void over(struct slug_job *j)
{
	drop_attempt(j);
	j->end = sd_event_source_disable_unref(j->end);
	j->over(j);
}

/* ---- an attempt ---- */

static int on_again(sd_event_source *source, uint64_t usec, void *userdata);

static int call_later(struct slug_job *j, uint64_t delay)
{
	j->again = sd_event_source_disable_unref(j->again);
	return sd_event_add_time_relative(j->store->loop, &j->again, CLOCK_MONOTONIC,
		delay / NSEC_PER_USEC, SLACK, on_again, j);
}

int slug_job_answer_later(struct slug_job *j)
{
	int r = call_later(j, 0);

	j->answered = true;
	return r < 0 ? r : 0;
}

/* The helper has ended, or is to, without an answer. */
static void attempt_failed(struct slug_job *j, int error, const char *what)
{
	char text[200];
	uint64_t pause = j->patience->pause << (j->attempts - 1);

	drop_attempt(j);
	(void)snprintf(text, sizeof text, "the slug helper %s, %u times", what, j->attempts);
	if (j->attempts < LIMIT_HELPER_TRIES && call_later(j, pause) >= 0)
		return;
	slug_job_fail(j, error, text, strlen(text));
	over(j);
}

/* False when it is nothing that a helper may say. */
static bool take_packet(struct slug_job *j, const struct packet *p)
{
	struct job_progress progress;
	struct job_failed failed;
	const char *text;
	char digest[SLUG_DIGEST_SIZE];

	if (job_parse_progress(p, &progress) == 0)
		return true;
	if (job_parse_failed(p, &failed, &text) == 0) {
		slug_job_fail(j, -failed.error, text, failed.text_length);
		return true;
	}
	if (job_parse_done(p, &j->result) < 0)
		return false;
	(void)snprintf(digest, sizeof digest, "%.*s", SLUG_DIGEST_SIZE - 1, j->result.digest);
	j->answered = slug_store_has(j->store, digest);
	return j->answered;
}

/* One packet. False when there is none, or j may be gone. */
static bool receive(struct slug_job *j, struct worker *w, int socket)
{
	struct packet p;
	int r = job_receive(socket, false, &p);

	if (r == -EAGAIN || (j->answered && r <= 0))
		return false;
	if (r > 0 && !j->answered) {
		worker_touch(w);
		bool sound = take_packet(j, &p);
		packet_done(&p);
		if (sound)
			return true;
		r = -EBADMSG;
	}
	if (r > 0) { /* it has only to end now, and goes on talking */
		packet_done(&p);
		over(j);
	} else if (r == -EBADMSG) {
		attempt_failed(j, r, "said something malformed");
	} else { /* who has closed his end, or says nothing at all in so many words, is to go */
		worker_kill(w);
	}
	return false;
}

static void on_readable(void *userdata, struct worker *w, int socket)
{
	for (unsigned i = 0; i < PACKETS_AT_ONCE && receive(userdata, w, socket); i++)
		continue;
}

static void on_ended(void *userdata, struct worker *w, int status)
{
	struct slug_job *j = userdata;

	(void)w;
	if (j->answered)
		over(j);
	else if (status == -ETIMEDOUT)
		attempt_failed(j, -ETIMEDOUT, "was silent for too long and was killed");
	else
		attempt_failed(j, -EIO, "ended without an answer");
}

static int order(struct slug_job *j, struct err *err)
{
	size_t source_length = strlen(j->source);
	size_t checksum_length = j->checksum ? strlen(j->checksum) : 0;
	struct job_slug job = {
		.max_bytes = LIMIT_SLUG_BYTES,
		.max_entries = LIMIT_SLUG_ENTRIES,
		.max_download = LIMIT_SLUG_DOWNLOAD,
		.uid = j->store->uid,
		.gid = j->store->gid,
		.source_length = (uint16_t)source_length,
		.checksum_length = (uint16_t)checksum_length,
	};
	struct packet_part parts[] = {
		{&job, sizeof job}, {j->source, source_length}, {j->checksum, checksum_length}};

	if (source_length > LIMIT_SLUG_PATH || checksum_length > 200)
		return err_set(err, -ENAMETOOLONG, "the slug's source or checksum is too long");
	int r = job_send(
		worker_socket(j->worker), JOB_SLUG, parts, ARRAY_SIZE(parts), j->store->dir);
	/* One that has ended already is told of by its end. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET ? err_errno(err, r, "cannot order the slug")
							: 0;
}

static int attempt(struct slug_job *j, struct err *err)
{
	static const struct worker_events events = {on_readable, on_ended};
	char job[] = "--job", progress[] = "--progress";
	char *argv[] = {j->store->helper, job, j->progress_bar ? progress : NULL, NULL};

	j->attempts++;
	j->result = (struct job_done){0};
	int r = worker_start(j->store->loop, j->store->helper, argv, j->patience->silence, &events,
		j, &j->worker, err);
	if (r == 0)
		r = order(j, err);
	if (r < 0)
		j->worker = worker_free(j->worker);
	return r;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct slug_job *j = userdata;
	struct err err = {0};

	(void)source;
	(void)usec;
	j->again = sd_event_source_disable_unref(j->again);
	if (!j->answered && attempt(j, &err) < 0)
		slug_job_fail(j, err.code, err.text, strlen(err.text));
	if (j->answered)
		over(j);
	return 0;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct slug_job *j = userdata;
	char text[80];

	(void)source;
	(void)usec;
	(void)snprintf(text, sizeof text, "the slug was not ready within %.3g s",
		(double)j->patience->total / (double)NSEC_PER_SEC);
	if (!j->answered)
		slug_job_fail(j, -ETIMEDOUT, text, strlen(text));
	over(j);
	return 0;
}

int slug_job_begin(struct slug_job *j, struct err *err)
{
	int r = sd_event_add_time_relative(j->store->loop, &j->end, CLOCK_MONOTONIC,
		j->patience->total / NSEC_PER_USEC, SLACK, on_end, j);

	if (r < 0)
		return err_errno(err, r, "cannot watch the time");
	j->begun = clock_now();
	return attempt(j, err);
}
