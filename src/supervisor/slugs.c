#include "supervisor/slugs.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "io/worker.h"
#include "supervisor/slug_job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const struct slug_patience default_patience = {
	.silence = 120 * NSEC_PER_SEC, /* the helper tells of its progress ten times a second */
	.total = LIMIT_JOB_SECONDS * NSEC_PER_SEC,
	.pause = NSEC_PER_SEC / 5,
};

TAILQ_HEAD(slug_jobs, slug_job);

struct slugs {
	struct slug_store store;
	bool progress_bar;
	struct slug_patience patience;
	struct slug_jobs jobs;
	size_t n_jobs;
	bool leftovers; /* a helper was killed: what it had begun is still there */
};

struct slugs *slugs_open(sd_event *loop, const char *state_dir, const char *app_path,
	const char *helper, bool shared, bool progress_bar, struct err *err)
{
	struct slugs *s = calloc(1, sizeof *s);

	if (!s) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	s->progress_bar = progress_bar;
	s->patience = default_patience;
	TAILQ_INIT(&s->jobs);
	if (slug_store_open(&s->store, loop, state_dir, app_path, helper, shared, err) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

struct slugs *slugs_close(struct slugs *s)
{
	if (!s)
		return NULL;
	while (!TAILQ_EMPTY(&s->jobs))
		slugs_cancel(s, TAILQ_FIRST(&s->jobs));
	slug_store_close(&s->store);
	free(s);
	return NULL;
}

void slugs_set_patience(struct slugs *s, const struct slug_patience *patience)
{
	s->patience = *patience;
}

void slugs_keep(struct slugs *s, const char *current, const char *previous)
{
	/* A job in progress may be about to answer with one of the others. */
	if (s->n_jobs == 0)
		slug_store_keep(&s->store, current, previous);
}

/* ---- the queue ---- */

static void enter(struct slugs *s, struct slug_job *j)
{
	TAILQ_INSERT_TAIL(&s->jobs, j, link);
	s->n_jobs++;
	s->store.busy = true;
}

static void leave(struct slugs *s, struct slug_job *j)
{
	TAILQ_REMOVE(&s->jobs, j, link);
	s->n_jobs--;
	s->store.busy = s->n_jobs > 0;
	/* What another has begun has a name of the same kind. */
	if (!s->leftovers || s->n_jobs > 0)
		return;
	s->leftovers = false;
	slug_store_drop_leftovers(&s->store);
}

static bool is_same(const struct slug_job *a, const struct slug_job *b)
{
	if (strcmp(a->source, b->source) != 0)
		return false;
	if (!a->checksum || !b->checksum)
		return a->checksum == b->checksum;
	return strcmp(a->checksum, b->checksum) == 0;
}

/* May it begin? Not two of the same slug at once: the second will find it there. */
static bool has_turn(const struct slugs *s, const struct slug_job *j)
{
	const struct slug_job *other;
	unsigned running = 0;

	TAILQ_FOREACH(other, &s->jobs, link)
	{
		running += other->attempts > 0;
		if (other->attempts > 0 && other->source && is_same(other, j))
			return false;
	}
	return running < LIMIT_HELPERS;
}

static int begin(struct slugs *s, struct slug_job *j, struct err *err)
{
	const struct slug_job *other;

	/* Two bars on one terminal are none. */
	j->progress_bar = s->progress_bar;
	TAILQ_FOREACH(other, &s->jobs, link)
	if (other != j && other->attempts > 0)
		j->progress_bar = false;
	return slug_job_begin(j, err);
}

static void begin_waiting(struct slugs *s)
{
	struct slug_job *j;
	struct err err = {0};

	TAILQ_FOREACH(j, &s->jobs, link)
	{
		if (j->answered || j->attempts > 0 || !has_turn(s, j) || begin(s, j, &err) == 0)
			continue;
		slug_job_fail(j, err.code, err.text, strlen(err.text));
		if (slug_job_answer_later(j) < 0)
			continue; /* its total time is running: then it ends */
	}
}

static void tell(const struct slugs *s, const struct slug_job *j)
{
	char digest[SLUG_DIGEST_SIZE], path[PATH_MAX];
	struct slug_result r = {.error = j->error, .took_ns = clock_now() - j->begun};

	if (j->error == 0) {
		(void)snprintf(
			digest, sizeof digest, "%.*s", SLUG_DIGEST_SIZE - 1, j->result.digest);
		(void)snprintf(path, sizeof path, "%s/%s", s->store.path, digest);
		r.digest = digest;
		r.path = path;
		r.cached = j->result.cached != 0;
		r.packed = j->result.packed;
		r.unpacked = j->result.unpacked;
		r.entries = j->result.entries;
	} else {
		r.text = j->text;
	}
	j->done(j->userdata, &r);
}

/* Forgets the job before it tells the answer, so that the callback may order the next. */
static void on_over(struct slug_job *j)
{
	struct slugs *s = j->owner;

	s->leftovers |= j->error != 0 || j->attempts > 1;
	leave(s, j);
	begin_waiting(s);
	tell(s, j);
	slug_job_free(j);
}

/* ---- orders ---- */

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

static void job_freep(struct slug_job **j)
{
	slug_job_free(*j);
}

static int answer_known(struct slugs *s, struct slug_job *j, const char *digest, struct err *err)
{
	memcpy(j->result.digest, digest, sizeof j->result.digest);
	j->result.cached = 1;
	int r = slug_job_answer_later(j);
	if (r < 0)
		return err_errno(err, r, "cannot defer an answer");
	enter(s, j);
	return 0;
}

static int queue(struct slugs *s, struct slug_job *j, struct err *err)
{
	if (has_turn(s, j)) {
		int r = begin(s, j, err);

		if (r < 0)
			return r;
	}
	enter(s, j);
	return 0;
}

int slugs_prepare(struct slugs *s, const char *source, const char *base, const char *checksum,
	const char *expected_digest, slug_done_fn *done, void *userdata, struct slug_job **ret_job,
	struct err *err)
{
	if (s->n_jobs == LIMIT_JOBS)
		return err_set(err, -EBUSY, "%d slugs are being prepared already", LIMIT_JOBS);
	HSUP_CLEANUP(job_freep) struct slug_job *j = calloc(1, sizeof *j);
	if (!j)
		return err_set(err, -ENOMEM, "out of memory");
	j->owner = s;
	j->store = &s->store;
	j->patience = &s->patience;
	j->over = on_over;
	j->done = done;
	j->userdata = userdata;
	j->begun = clock_now();
	j->source = absolute_source(source, base);
	j->checksum = checksum ? strdup(checksum) : NULL;
	if (!j->source || (checksum && !j->checksum))
		return err_set(err, -ENOMEM, "out of memory");

	bool known = expected_digest && slug_store_is_digest(expected_digest) &&
		     slug_store_has(&s->store, expected_digest);
	int r = known ? answer_known(s, j, expected_digest, err) : queue(s, j, err);
	if (r < 0)
		return r;
	*ret_job = TAKE_PTR(j);
	return 0;
}

struct slug_job *slugs_cancel(struct slugs *s, struct slug_job *j)
{
	if (!j)
		return NULL;
	s->leftovers |= j->attempts > 0;
	/* First, so that nothing of it is written any more when its leftovers are dropped. */
	j->worker = worker_free(j->worker);
	leave(s, j);
	slug_job_free(j);
	begin_waiting(s);
	return NULL;
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
