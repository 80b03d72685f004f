/* The releases that are known: learned from the source, in force, forgotten. */
#include "supervisor/private.h"

#include "base/clock.h"

#include <errno.h>

struct known_release *release_known(struct supervisor *s, uint64_t handle)
{
	struct known_release *k = s->releases;

	while (k && k->handle != handle)
		k = k->next;
	return k;
}

struct known_release *release_learn(
	struct supervisor *s, struct release *release, struct submission *submission)
{
	struct known_release *k = calloc(1, sizeof *k);

	if (!k) {
		release_unref(release);
		if (submission)
			s->setup->source->reject(s->source_state, submission, "out of memory");
		return NULL;
	}
	k->owner = s;
	k->handle = ++s->last_handle;
	k->release = release;
	k->submission = submission;
	k->next = s->releases;
	s->releases = k;
	return k;
}

void release_end_submission(struct supervisor *s, struct known_release *k, const char *reason)
{
	struct submission *submission = TAKE_PTR(k->submission);

	if (!submission)
		return;
	if (reason)
		s->setup->source->reject(s->source_state, submission, reason);
	else
		s->setup->source->drop(s->source_state, submission);
}

void release_forget(struct supervisor *s, struct known_release *k)
{
	struct known_release **at = &s->releases;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	release_fetch_stop(k);
	release_end_submission(s, k, NULL);
	release_unref(k->release);
	free(k->formation);
	free(k);
}

/* ---- in force ---- */

static int on_restore_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *s = userdata;
	struct known_release *k = release_known(s, s->restoring);

	(void)source;
	(void)usec;
	if (!k || s->stopping)
		return 0;
	/* What is being made ready now comes back here if it fails. */
	if (s->preparing)
		return 0;
	if (!s->caught_up)
		release_prepare(s, k);
	else if (!s->in_force)
		feed(s, &(struct engine_event){.type = ENGINE_SUBMITTED, .release = k->handle});
	return 0;
}

/* The release in force cannot be made ready, perhaps because the network is not there yet at boot:
 * try again, later and later. Dynos that run already are left alone meanwhile; when none do, newer
 * submissions need not wait for it. */
void release_restore_later(struct supervisor *s)
{
	const struct known_release *k = release_known(s, s->restoring);

	if (!k)
		return;
	s->restore_wait = s->restore_wait ? 2 * s->restore_wait : 5 * NSEC_PER_SEC;
	if (s->restore_wait > 60 * NSEC_PER_SEC)
		s->restore_wait = 60 * NSEC_PER_SEC;
	router_note(s->router, NULL, "release v%lld in force is tried again in %.0f s",
		(long long)k->release->version, (double)s->restore_wait / 1e9);

	s->restore_again = sd_event_source_disable_unref(s->restore_again);
	(void)sd_event_add_time_relative(s->loop, &s->restore_again, CLOCK_MONOTONIC,
		s->restore_wait / NSEC_PER_USEC, 1000, on_restore_again, s);
	if (s->caught_up)
		feed(s, &(struct engine_event){
				.type = ENGINE_PREPARE_FAILED, .release = k->handle});
	else if (s->n_adopted == 0)
		supervisor_restored(s, NULL);
	else
		supervisor_begin_source(s);
}

int release_restore(struct supervisor *s, struct err *err)
{
	struct release *r = NULL, *settled = NULL;
	int found = s->setup->source->restore(s->source_state, &r, &settled, err);

	if (found <= 0)
		return found;
	/* `run` takes what is in force, settled or not. */
	if (!run_mode_lasts(s->options->mode))
		settled = release_unref(settled);
	s->had_settled = !settled;
	struct known_release *before = settled ? release_learn(s, settled, NULL) : NULL;
	struct known_release *k = release_learn(s, r, NULL);
	if (!k)
		return err_errno(err, -ENOMEM, "release in force");
	s->fallback = before ? before->handle : 0;
	s->restoring = k->handle;
	if (s->stopping)
		return 1;
	if (before)
		release_fetch(s, before);
	release_prepare(s, k);
	return 1;
}

/* Before the engine knows of anything: the release in force, the one before it, or a submission
 * that takes over because the one in force cannot be made ready. */
void release_restored(struct supervisor *s, struct known_release *k)
{
	struct known_release *before = release_known(s, s->fallback);
	struct err err = {0};

	if (k->submission) {
		struct submission *submission = TAKE_PTR(k->submission);

		if (s->setup->source->commit(s->source_state, submission, &err) < 0) {
			router_note(s->router, NULL, "release rejected: %s", err.text);
			release_forget(s, k);
			release_restore_later(s);
			return;
		}
		release_committed(s, k);
		s->restore_again = sd_event_source_disable_unref(s->restore_again);
		supervisor_restored(s, k);
	} else if (k->handle == s->restoring && before) {
		release_prepare(s, before);
	} else {
		supervisor_restored(s, release_known(s, s->restoring));
	}
}

static void keep_slugs(struct supervisor *s)
{
	struct known_release *k = release_known(s, s->in_force);

	if (k && s->setup->driver->keep)
		s->setup->driver->keep(s->driver_state, k->release);
	if (!s->slugs)
		return;
	slugs_keep(s->slugs, k ? k->release->slug_digest : NULL, s->previous_digest);
}

/* Everything but the release in force and what is on its way in. */
static void forget_old(struct supervisor *s)
{
	for (struct known_release *k = s->releases, *next; k; k = next) {
		next = k->next;
		if (k->handle != s->in_force && !k->submission && k->handle != s->preparing)
			release_forget(s, k);
	}
}

void release_committed(struct supervisor *s, const struct known_release *k)
{
	const struct release *r = k->release;

	if (r->slug && r->slug_digest && s->slugs)
		slugs_remember(s->slugs, r->slug, r->slug_checksum, r->slug_digest);
	logs_changed(s, k->release);
}

void release_settled(struct supervisor *s, uint64_t handle)
{
	struct known_release *before = release_known(s, s->in_force);

	if (before && before->handle != handle) {
		free(s->previous_digest);
		s->previous_digest =
			before->release->slug_digest ? strdup(before->release->slug_digest) : NULL;
	}
	s->in_force = handle;
	s->setup->source->settled(s->source_state);
	forget_old(s);
	keep_slugs(s);
}

void release_rolled_back(struct supervisor *s, uint64_t failed, uint64_t previous)
{
	struct known_release *k = release_known(s, failed);

	struct known_release *back = release_known(s, previous);

	s->in_force = previous;
	if (back)
		release_committed(s, back);
	if (k)
		release_forget(s, k);
	keep_slugs(s);
}

/* ---- what the source says ---- */

static void on_submitted(void *userdata, struct submission *submission, struct release *release)
{
	struct supervisor *s = userdata;
	struct known_release *k = release_learn(s, release, submission);

	if (!k)
		return;
	k->going_back = s->going_back;
	if (!run_mode_lasts(s->options->mode)) {
		/* The newest wins here too. */
		if (s->one_off)
			release_forget(s, s->one_off);
		s->one_off = k;
		return;
	}
	record_text(s, RECORD_SUBMITTED, NULL, release->version, "%s", "");
	if (s->options->mode == MODE_START)
		router_note(
			s->router, NULL, "release v%lld submitted", (long long)release->version);
	if (!s->caught_up) {
		/* The newest wins, over the one that waits to be made ready as well. */
		struct known_release *earlier = release_known(s, s->preparing);

		release_prepare_stop(s, s->preparing);
		if (earlier && earlier->submission)
			release_forget(s, earlier);
		release_prepare(s, k);
		return;
	}
	feed(s, &(struct engine_event){.type = ENGINE_SUBMITTED, .release = k->handle});
}

/* With --oneshot there is nobody to submit another one. */
void release_refused(struct supervisor *s)
{
	if (s->options->oneshot && !s->in_force && !s->preparing)
		supervisor_leave(s, 1);
}

static void on_notice(void *userdata, enum notice_level level, const char *text)
{
	struct supervisor *s = userdata;

	router_note(s->router, NULL, "%s%s",
		level >= NOTICE_ERROR	  ? "error: "
		: level == NOTICE_WARNING ? "warning: "
					  : "",
		text);
	if (level == NOTICE_REFUSED)
		record_text(s, RECORD_REFUSED, NULL, 0, "%s", text);
	if (level == NOTICE_REFUSED && run_mode_lasts(s->options->mode))
		release_refused(s);
}

const struct source_events supervisor_source_events = {
	.submitted = on_submitted,
	.notice = on_notice,
};
