#include "supervisor/slugs.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "io/worker.h"
#include "supervisor/slug_store.h"
#include "wire/job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define SILENCE (120 * NSEC_PER_SEC) /* the helper tells of its progress ten times a second */

struct slugs {
	struct slug_store store;
	bool progress_bar;

	/* The job that runs, if any: while `done` is set. */
	struct worker *worker;
	sd_event_source *deferred; /* an answer that needs no worker */
	void (*done)(void *userdata, const struct slug_result *result);
	void *userdata;
	uint64_t begun;
	bool answered;
	int error;
	char text[500];
	struct job_done result;
};

struct slugs *slugs_open(sd_event *loop, const char *state_dir, const char *app_path,
	const char *helper, bool progress_bar, struct err *err)
{
	struct slugs *s = calloc(1, sizeof *s);

	if (!s) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	s->progress_bar = progress_bar;
	if (slug_store_open(&s->store, loop, state_dir, app_path, helper, err) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

struct slugs *slugs_close(struct slugs *s)
{
	if (!s)
		return NULL;
	slugs_cancel(s);
	slug_store_close(&s->store);
	free(s);
	return NULL;
}

void slugs_keep(struct slugs *s, const char *current, const char *previous)
{
	/* A job in progress may be about to answer with one of the others. */
	if (!s->done)
		slug_store_keep(&s->store, current, previous);
}

/* Tells the answer and forgets the job first, so that the callback may order the next. */
static void finish(struct slugs *s)
{
	void (*done)(void *userdata, const struct slug_result *result) = s->done;
	void *userdata = s->userdata;
	char digest[SLUG_DIGEST_SIZE], path[PATH_MAX], text[sizeof s->text];
	struct slug_result r = {.error = s->error, .took_ns = clock_now() - s->begun};

	if (s->error == 0) {
		(void)snprintf(
			digest, sizeof digest, "%.*s", SLUG_DIGEST_SIZE - 1, s->result.digest);
		(void)snprintf(path, sizeof path, "%s/%s", s->store.path, digest);
		r.digest = digest;
		r.path = path;
		r.cached = s->result.cached != 0;
		r.packed = s->result.packed;
		r.unpacked = s->result.unpacked;
		r.entries = s->result.entries;
	} else {
		memcpy(text, s->text, sizeof text);
		r.text = text;
	}
	s->done = NULL;
	s->store.busy = false;
	done(userdata, &r);
}

static void answer_error(struct slugs *s, int error, const char *text, size_t len)
{
	s->answered = true;
	s->error = error;
	/* Printable by contract; but who wrote it has read an untrusted archive. */
	(void)str_printable(text, len, s->text, sizeof s->text);
}

static void take_packet(struct slugs *s, const struct packet *p)
{
	struct job_progress progress;
	struct job_failed failed;
	const char *text;
	char digest[SLUG_DIGEST_SIZE];

	if (s->answered || job_parse_progress(p, &progress) == 0)
		return;
	if (job_parse_failed(p, &failed, &text) == 0) {
		answer_error(s, -failed.error, text, failed.text_length);
		return;
	}
	if (job_parse_done(p, &s->result) < 0)
		return;
	(void)snprintf(digest, sizeof digest, "%.*s", SLUG_DIGEST_SIZE - 1, s->result.digest);
	if (slug_store_has(&s->store, digest))
		s->answered = true;
}

static void on_readable(void *userdata, struct worker *w, int socket)
{
	static const char broken[] = "the slug helper said something malformed";
	struct slugs *s = userdata;
	struct packet p;
	int r;

	while ((r = job_receive(socket, false, &p)) > 0) {
		worker_touch(w);
		take_packet(s, &p);
		packet_done(&p);
	}
	if (r == -EBADMSG && !s->answered)
		answer_error(s, -EBADMSG, broken, strlen(broken));
}

static void on_ended(void *userdata, struct worker *w, int status)
{
	static const char silent[] = "the slug helper was silent for too long and was killed";
	static const char mute[] = "the slug helper ended without an answer";
	struct slugs *s = userdata;

	s->worker = worker_free(w);
	if (!s->answered && status == -ETIMEDOUT)
		answer_error(s, -ETIMEDOUT, silent, strlen(silent));
	if (!s->answered)
		answer_error(s, -EIO, mute, strlen(mute));
	/* A helper that was killed leaves what it had begun. */
	if (s->error)
		slug_store_drop_leftovers(&s->store);
	finish(s);
}

static int on_deferred(sd_event_source *source, void *userdata)
{
	struct slugs *s = userdata;

	(void)source;
	s->deferred = sd_event_source_disable_unref(s->deferred);
	finish(s);
	return 0;
}

/* Absolute, unless it is an address. The caller frees. */
static char *absolute_source(const char *source, const char *base)
{
	char cwd[PATH_MAX], *joined;

	if (source[0] == '/' || strstr(source, "://"))
		return strdup(source);
	if (!base || base[0] != '/') {
		if (!getcwd(cwd, sizeof cwd))
			return NULL;
		if (base)
			return asprintf(&joined, "%s/%s/%s", cwd, base, source) < 0 ? NULL : joined;
		base = cwd;
	}
	return asprintf(&joined, "%s/%s", base, source) < 0 ? NULL : joined;
}

static int order(struct slugs *s, const char *source, const char *checksum, struct err *err)
{
	size_t checksum_length = checksum ? strlen(checksum) : 0;
	struct job_slug job = {
		.max_bytes = LIMIT_SLUG_BYTES,
		.max_entries = LIMIT_SLUG_ENTRIES,
		.max_download = LIMIT_SLUG_DOWNLOAD,
		.uid = s->store.uid,
		.gid = s->store.gid,
		.source_length = (uint16_t)strlen(source),
		.checksum_length = (uint16_t)checksum_length,
	};
	struct packet_part parts[] = {
		{&job, sizeof job}, {source, strlen(source)}, {checksum, checksum_length}};

	if (strlen(source) > LIMIT_SLUG_PATH || checksum_length > 200)
		return err_set(err, -ENAMETOOLONG, "the slug's source or checksum is too long");
	int r = job_send(
		worker_socket(s->worker), JOB_SLUG, parts, ARRAY_SIZE(parts), s->store.dir);
	return r < 0 ? err_errno(err, r, "cannot order the slug") : 0;
}

int slugs_prepare(struct slugs *s, const char *source, const char *base, const char *checksum,
	const char *expected_digest, void (*done)(void *userdata, const struct slug_result *result),
	void *userdata, struct err *err)
{
	static const struct worker_events events = {on_readable, on_ended};
	char job[] = "--job", progress[] = "--progress";
	char *argv[] = {s->store.helper, job, s->progress_bar ? progress : NULL, NULL};

	if (s->done)
		return err_set(err, -EBUSY, "a slug is being prepared already");
	s->begun = clock_now();
	s->answered = false;
	s->error = 0;
	s->result = (struct job_done){0};
	if (expected_digest && slug_store_is_digest(expected_digest) &&
		slug_store_has(&s->store, expected_digest)) {
		int r = sd_event_add_defer(s->store.loop, &s->deferred, on_deferred, s);
		if (r < 0)
			return err_errno(err, r, "cannot defer an answer");
		memcpy(s->result.digest, expected_digest, sizeof s->result.digest);
		s->result.cached = 1;
	} else {
		_cleanup_free_ char *absolute = absolute_source(source, base);
		if (!absolute)
			return err_set(err, -ENOMEM, "out of memory");
		int r = worker_start(
			s->store.loop, s->store.helper, argv, SILENCE, &events, s, &s->worker, err);
		if (r < 0)
			return r;
		r = order(s, absolute, checksum, err);
		if (r < 0) {
			s->worker = worker_free(s->worker);
			return r;
		}
	}
	s->done = done;
	s->userdata = userdata;
	s->store.busy = true;
	return 0;
}

void slugs_cancel(struct slugs *s)
{
	bool begun = s->worker != NULL;

	s->worker = worker_free(s->worker);
	s->deferred = sd_event_source_disable_unref(s->deferred);
	s->done = NULL;
	s->store.busy = false;
	if (begun)
		slug_store_drop_leftovers(&s->store);
}

static uint64_t note_key(const char *source, const char *checksum)
{
	return hash_str(hash_str(HASH_INIT, source), checksum);
}

void slugs_remember(struct slugs *s, const char *source, const char *checksum, const char *digest)
{
	slug_store_note(&s->store, note_key(source, checksum), digest);
}

bool slugs_recall(const struct slugs *s, unsigned which, const char *source, const char *checksum,
	char ret_digest[SLUG_DIGEST_SIZE])
{
	return slug_store_noted(&s->store, which, note_key(source, checksum), ret_digest);
}
