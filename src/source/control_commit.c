#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "source/control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void control_submission_free(struct submission *s)
{
	LIST_REMOVE(s, link);
	free(s->text);
	free(s);
}

static void remember(struct control_dir *c, char *text, size_t len)
{
	free(c->in_force);
	c->in_force = text;
	c->in_force_len = len;
}

/* ---- cold start ---- */

/* Gives the release in force its place in the history (a crash may have come between, or the
 * directory is one of Go hsup's), and its number when it says none. */
static void number_restored(struct control_dir *c, struct release *r)
{
	int64_t version = control_find_version(c, c->in_force, c->in_force_len);

	if (version == 0) {
		version = r->version ? r->version : control_last_version(c) + 1;
		if (c->lock >= 0 && control_stage_history(c, c->in_force, c->in_force_len) == 0 &&
			control_add_history(c, version, NULL) < 0)
			control_notice(c, NOTICE_WARNING,
				"the history in %s/releases cannot be written", c->path);
	}
	if (r->version == 0)
		r->version = version;
	c->version = version;
}

static int set_aside(struct control_dir *c, const char *why, struct err *err)
{
	if (c->lock < 0)
		return err_set(err, -EBADMSG, "%.200s/loaded is damaged: %.200s", c->path, why);
	if (renameat(c->dir, "loaded", c->dir, "loaded.bad") < 0) {
		(void)file_remove_tree(c->dir, "loaded.bad");
		if (renameat(c->dir, "loaded", c->dir, "loaded.bad") < 0)
			return err_errno(err, -errno,
				"%.300s/loaded is damaged and cannot be set aside", c->path);
	}
	control_notice(c, NOTICE_ERROR,
		"%s/loaded is damaged (%s): set aside as loaded.bad, nothing of it "
		"runs; submit a release again",
		c->path, why);
	return 0;
}

/* NULL when there is none, or none that could be read: then there is nothing to come back to. */
static struct release *read_settled(struct control_dir *c)
{
	struct release_errors errors = {0};
	_cleanup_free_ char *text = NULL;
	struct release *release = NULL;
	size_t len = 0;

	if (c->lock < 0 || c->settled ||
		file_read(c->scratch, "settled", LIMIT_RELEASE_BYTES, &text, &len) < 0)
		return NULL;
	int r = release_parse(text, len, &release, &errors);
	release_errors_done(&errors);
	return r < 0 ? NULL : release;
}

int control_restore(
	void *state, struct release **ret_release, struct release **ret_settled, struct err *err)
{
	struct control_dir *c = state;
	struct release_errors errors = {0};
	_cleanup_free_ char *text = NULL;
	struct release *release;
	size_t len;
	char why[500];

	if (c->dir < 0)
		return err_set(err, -ENOENT, "control directory %.300s is gone", c->path);
	int r = file_read(c->dir, "loaded", LIMIT_RELEASE_BYTES, &text, &len);
	if (r == -ENOENT)
		return 0;
	if (r == -EFBIG || r == -EISDIR || r == -EINVAL)
		return set_aside(c,
			r == -EFBIG ? "it is larger than a release may be" : "it is no file", err);
	if (r < 0)
		return err_errno(err, r, "%.300s/loaded", c->path);

	r = release_parse(text, len, &release, &errors);
	if (r == -EINVAL && errors.n > 0)
		(void)release_error_format(&errors.list[0], why, sizeof why);
	release_errors_done(&errors);
	if (r == -EINVAL)
		return set_aside(c, why, err);
	if (r < 0)
		return err_errno(err, r, "%.300s/loaded", c->path);

	remember(c, TAKE_PTR(text), len);
	number_restored(c, release);
	/* Nothing written down: it was in force before anybody did (Go hsup's directory), or it was
	 * the very first and there is none before it to come back to. */
	if (c->lock >= 0 && faccessat(c->scratch, "settled", F_OK, 0) < 0)
		control_settled(c);
	c->settled = control_has_bytes(c->scratch, "settled", c->in_force, c->in_force_len);
	*ret_settled = read_settled(c);
	*ret_release = release;
	return 1;
}

/* ---- what becomes of a submission ---- */

static int make_loaded(struct control_dir *c, struct submission *s, struct err *err)
{
	int r = control_ready(c, err);

	if (r < 0)
		return r;
	r = control_stage_history(c, s->text, s->len);
	if (r == 0) {
		/* The commit: this rename, and nothing before or after it. */
		r = file_replace(c->dir, "loaded", s->text, s->len, 0600);
		if (r < 0)
			(void)unlinkat(c->scratch, "history", 0);
	}
	return r < 0 ? err_errno(err, r, "loaded: cannot write") : 0;
}

int control_commit(void *state, struct submission *s, struct err *err)
{
	struct control_dir *c = state;
	struct err local = {0};
	int r = make_loaded(c, s, &local);

	if (r < 0) {
		if (err)
			*err = local;
		control_reject(c, s, local.text);
		return r;
	}
	if (control_add_history(c, s->version, s->note) < 0)
		control_notice(c, NOTICE_WARNING, "v%lld is missing in %s/releases: cannot write",
			(long long)s->version, c->path);
	(void)file_remove_tree(c->dir, "last_error");
	(void)file_remove_tree(c->dir, "rejected");
	c->settled = false;
	remember(c, TAKE_PTR(s->text), s->len);
	c->version = s->version;
	(void)control_claim_end(c, s->claim, false);
	control_submission_free(s);
	return 0;
}

void control_reject(void *state, struct submission *s, const char *reason)
{
	struct control_dir *c = state;

	if (c->dir >= 0)
		control_reject_claim(c, s->claim, s->text, s->len, reason);
	control_submission_free(s);
}

void control_drop(void *state, struct submission *s)
{
	(void)control_claim_end(state, s->claim, false);
	control_submission_free(s);
}

/* ---- afterwards ---- */

/* Replaces a file durably, on a full disk by a second name for a file of the same bytes. */
static int put_back(struct control_dir *c, const char *text, size_t len)
{
	int r = file_replace(c->dir, "loaded", text, len, 0600);

	if (r == 0)
		return 0;
	(void)unlinkat(c->dir, "loaded.tmp", 0);
	if (linkat(c->scratch, "settled", c->dir, "loaded.tmp", 0) < 0)
		return r;
	if (renameat(c->dir, "loaded.tmp", c->dir, "loaded") < 0) {
		r = -errno;
		(void)unlinkat(c->dir, "loaded.tmp", 0);
		return r;
	}
	return fsync(c->dir) < 0 ? -errno : 0;
}

void control_settled(void *state)
{
	struct control_dir *c = state;
	_cleanup_free_ char *old = NULL;
	size_t len = 0;

	if (!c->in_force)
		return;
	c->settled = true;
	if (control_ready(c, NULL) < 0)
		return;
	if (file_read(c->scratch, "settled", LIMIT_RELEASE_BYTES, &old, &len) == 0 &&
		len == c->in_force_len && memcmp(old, c->in_force, len) == 0)
		return;
	int r = file_replace(c->scratch, "settled", c->in_force, c->in_force_len, 0600);
	if (r < 0)
		control_notice(c, NOTICE_WARNING,
			"cannot write down that the release has settled: %s/.hsup/settled: %s",
			c->path, err_name(r));
}

/* So that nobody goes back to it. */
static void note_failed(struct control_dir *c, const char *reason)
{
	char note[100];

	(void)snprintf(note, sizeof note, CONTROL_FAILED "%s", reason);
	control_write_note(c, c->version, note);
}

int control_roll_back(void *state, const char *reason, struct err *err)
{
	struct control_dir *c = state;
	_cleanup_free_ char *text = NULL;
	size_t len;

	int r = control_ready(c, err);
	if (r < 0)
		return r;
	r = file_read(c->scratch, "settled", LIMIT_RELEASE_BYTES, &text, &len);
	if (r < 0)
		return err_errno(err, r, "no release to come back to: .hsup/settled");
	/* First the failed one is kept: cut short here, it is still in force and is tried again. */
	if (c->in_force)
		control_reject_text(c, c->in_force, c->in_force_len, reason);
	if (c->version)
		note_failed(c, reason);
	r = put_back(c, text, len);
	if (r < 0)
		return err_errno(err, r, "loaded: cannot write");
	remember(c, TAKE_PTR(text), len);
	c->version = control_find_version(c, c->in_force, c->in_force_len);
	c->settled = true;
	return 0;
}

void control_rewrite(struct control_dir *c)
{
	int r = file_replace(c->dir, "loaded", c->in_force, c->in_force_len, 0600);

	if (r < 0)
		control_notice(c, NOTICE_WARNING,
			"the release in force cannot be written: %s/loaded: %s", c->path,
			err_name(r));
	if (c->settled)
		control_settled(c);
}
