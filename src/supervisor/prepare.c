/* Making a release ready: env files read, the slug fetched and unpacked, the driver's own (an
 * image, a root), a formation made. */
#include "supervisor/private.h"

#include "base/file.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define ENV_FILE_BYTES ((size_t)1 << 20)

static void submission_failed(struct supervisor *s, struct known_release *k, const char *why)
{
	uint64_t handle = k->handle;

	router_note(
		s->router, NULL, "release v%lld rejected: %s", (long long)k->release->version, why);
	record_text(s, RECORD_REFUSED, NULL, k->release->version, "%s", why);
	release_end_submission(s, k, why);
	if (s->caught_up) {
		feed(s, &(struct engine_event){.type = ENGINE_PREPARE_FAILED, .release = handle});
		release_refused(s);
	} else {
		release_forget(s, k);
		release_restore_later(s);
	}
}

static void prepare_failed(struct supervisor *s, struct known_release *k, const char *why)
{
	s->preparing = 0;
	if (!run_mode_lasts(s->options->mode)) {
		release_end_submission(s, k, why);
		one_off_failed(s, why);
	} else if (k->submission) {
		submission_failed(s, k, why);
	} else if (k->handle == s->fallback && !s->caught_up) {
		/* Then there is none to come back to; what is in force stands. */
		s->fallback = 0;
		release_forget(s, k);
		supervisor_restored(s, release_known(s, s->restoring));
	} else {
		router_note(s->router, NULL, "release v%lld in force cannot be made ready: %s",
			(long long)k->release->version, why);
		release_restore_later(s);
	}
}

static void warn_of_unknown_types(struct supervisor *s, const struct release *r)
{
	for (size_t i = 0; i < s->options->n_overrides; i++)
		if (!release_process(r, s->options->overrides[i].type))
			router_note(s->router, NULL,
				"warning: release v%lld has no process type \"%s\"",
				(long long)r->version, s->options->overrides[i].type);
}

/* Not again by each supervisor that takes over what runs. */
static void warn_of_what_is_lacking(struct supervisor *s, const struct known_release *k)
{
	char text[200];

	if ((k->submission || s->n_found_running == 0) &&
		driver_lacks(s->setup->driver, k->release, text, sizeof text))
		router_note(s->router, NULL, "warning: release v%lld: %s",
			(long long)k->release->version, text);
}

/* An app is what its folder is, and runs on whatever the daemon's own environment, options and
 * program are by now: they are for its next start. */
static void forget_how(struct formation *f)
{
	for (unsigned i = 0; i < f->n_types; i++)
		f->types[i].fingerprint = 1;
}

/* What the driver shows its dynos, when that is one thing for all of them; never 0. */
static uint64_t what_is_shown(const struct release *r)
{
	return hash_str(HASH_INIT, r->slug_path) | 1;
}

static void prepared(struct supervisor *s, struct known_release *k)
{
	s->preparing = 0;
	if (!run_mode_lasts(s->options->mode)) {
		one_off_ready(s, k);
		return;
	}
	k->formation = formation_new(k->release);
	if (!k->formation) {
		prepare_failed(s, k, "out of memory");
		return;
	}
	if (s->setup->driver->caps & DRIVER_ONE_SLUG)
		k->formation->alone = what_is_shown(k->release);
	if (s->options->mode == MODE_UP)
		forget_how(k->formation);
	warn_of_unknown_types(s, k->release);
	warn_of_what_is_lacking(s, k);
	if (!s->caught_up)
		release_restored(s, k);
	else
		feed(s, &(struct engine_event){.type = ENGINE_PREPARED,
				.release = k->handle,
				.formation = k->formation,
				.skip_phase = !k->submission});
}

/* The slug is there, if there is one. */
static void prepare_driver(struct supervisor *s, struct known_release *k)
{
	const struct driver *d = s->setup->driver;
	struct err err = {0};

	if (driver_refuses(d, k->release, &err) < 0)
		prepare_failed(s, k, err.text);
	else if (!d->prepare)
		prepared(s, k);
	else if (d->prepare(s->driver_state, k->handle, k->release, &err) < 0)
		prepare_failed(s, k, err.text);
}

void release_driver_prepared(struct supervisor *s, uint64_t handle, int r, const struct err *err)
{
	/* Of one that was given up meanwhile nobody wants to know. */
	struct known_release *k = handle == s->preparing ? release_known(s, handle) : NULL;

	if (k && r < 0)
		prepare_failed(s, k, err->text);
	else if (k)
		prepared(s, k);
}

/* Config vars of the document beat those of its files; among files the last one wins. */
static int merge_env(struct release *r, const struct env *from_files)
{
	for (size_t i = 0; i < from_files->n; i++) {
		const struct env_var *v = &from_files->vars[i];

		if (env_get(&r->env, v->name))
			continue;
		int e = env_set(&r->env, v->name, v->value);
		if (e < 0)
			return e;
	}
	return 0;
}

static int read_env_files(struct supervisor *s, struct release *r, struct err *err)
{
	struct env HSUP_CLEANUP(env_done) found = {0};

	for (size_t i = 0; i < r->n_env_files; i++) {
		const char *name = r->env_files[i];
		char path[4096];
		_cleanup_free_ char *text = NULL;
		size_t len;
		unsigned line = 0;

		(void)snprintf(path, sizeof path, "%s%s%s",
			name[0] == '/' ? "" : s->options->control_dir, name[0] == '/' ? "" : "/",
			name);
		int e = file_read(AT_FDCWD, path, ENV_FILE_BYTES, &text, &len);
		if (e == -EINVAL || e == -EISDIR)
			return err_set(
				err, e, "EnvFiles[%zu]: %.300s: is no regular file", i, path);
		if (e < 0)
			return err_errno(err, e, "EnvFiles[%zu]: %.300s", i, path);
		e = env_parse_file(&found, text, len, &line, err);
		if (e < 0)
			return err_wrap(err, "EnvFiles[%zu]: %.150s: line %u", i, name, line);
	}
	int e = merge_env(r, &found);
	return e < 0 ? err_errno(err, e, "EnvFiles") : 0;
}

static bool is_local(const char *slug)
{
	return strncmp(slug, "http://", 7) != 0 && strncmp(slug, "https://", 8) != 0;
}

static void say_slug(struct supervisor *s, const struct slug_result *result)
{
	if (s->options->mode == MODE_RUN && !s->options->verbose)
		return;
	if (result->cached)
		router_note(s->router, NULL, "slug %.12s is unpacked already", result->digest);
	else
		router_note(s->router, NULL,
			"slug %.12s unpacked: %.1f MB, %llu files, %.1f MB of disk, in %.2f s",
			result->digest, (double)result->packed / 1e6,
			(unsigned long long)result->entries, (double)result->unpacked / 1e6,
			(double)result->took_ns / 1e9);
}

/* Who goes back wants what ran then; without its slug it did not, unless nothing here has one. */
static bool may_lack_slug(struct supervisor *s, const struct known_release *k)
{
	const struct release *now = operate_release(s);

	return !(s->setup->driver->caps & DRIVER_NEEDS_SLUG) &&
	       (!k->going_back || (now && now->slug && !now->slug_digest));
}

static void slug_failed(
	struct supervisor *s, struct known_release *k, const struct slug_result *result)
{
	char why[600];

	if (result->error == -ENOENT && is_local(k->release->slug) && may_lack_slug(s, k)) {
		router_note(s->router, NULL,
			"warning: slug %s does not exist: running with the environment only",
			k->release->slug);
		prepare_driver(s, k);
		return;
	}
	(void)snprintf(why, sizeof why, "Slug: %s", result->text);
	prepare_failed(s, k, why);
}

static int take_slug(struct release *r, const struct slug_result *result)
{
	char *digest = strdup(result->digest), *path = strdup(result->path);

	if (!digest || !path) {
		free(digest);
		free(path);
		return -ENOMEM;
	}
	free(r->slug_digest);
	free(r->slug_path);
	r->slug_digest = digest;
	r->slug_path = path;
	return 0;
}

static void on_slug(void *userdata, const struct slug_result *result)
{
	struct known_release *k = userdata;
	struct supervisor *s = k->owner;
	bool its_turn = s->preparing == k->handle;

	k->slug = NULL;
	if (result->error < 0) {
		/* Before its turn that is no answer: it is tried again then. */
		if (its_turn)
			slug_failed(s, k, result);
		return;
	}
	if (take_slug(k->release, result) < 0) {
		if (its_turn)
			prepare_failed(s, k, "out of memory");
		return;
	}
	say_slug(s, result);
	if (its_turn)
		prepare_driver(s, k);
	else
		k->fetched = true;
}

static bool needs_slug(const struct supervisor *s, const struct release *r)
{
	/* A dry run changes nothing on disk. */
	return r->slug && !(s->setup->driver->caps & DRIVER_DRY);
}

static int order_slug(struct supervisor *s, struct known_release *k, struct err *err)
{
	const struct release *r = k->release;
	char digest[65];

	/* A submission is fetched, whatever lay at its source before; the release in force is what
	 * it was when it was committed. */
	bool known = !k->submission && slugs_recall(s->slugs, k->handle == s->fallback, r->slug,
					       r->slug_checksum, digest);
	return slugs_prepare(s->slugs, r->slug, s->options->control_dir, r->slug_checksum,
		known ? digest : NULL, on_slug, k, &k->slug, err);
}

void release_fetch(struct supervisor *s, struct known_release *k)
{
	struct err err = {0};

	/* It is tried again when its turn comes. */
	if (needs_slug(s, k->release) && order_slug(s, k, &err) < 0)
		k->slug = NULL;
}

/* The operator's, whatever the release says of the same place. */
static int add_binds(const struct supervisor *s, struct release *r, struct err *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < s->options->n_binds; i++)
		e = release_bind(r, &s->options->binds[i]);
	return e < 0 ? err_errno(err, e, "--bind") : 0;
}

void release_prepare(struct supervisor *s, struct known_release *k)
{
	struct release *r = k->release;
	struct err err = {0};

	s->preparing = k->handle;
	if (add_binds(s, r, &err) < 0 || read_env_files(s, r, &err) < 0) {
		prepare_failed(s, k, err.text);
		return;
	}
	if (k->slug) /* on its way: on_slug() goes on */
		return;
	if (!needs_slug(s, r) || k->fetched) {
		k->fetched = false;
		prepare_driver(s, k);
		return;
	}
	if (order_slug(s, k, &err) < 0)
		prepare_failed(s, k, err.text);
}

void release_fetch_stop(struct known_release *k)
{
	if (k->slug)
		k->slug = slugs_cancel(k->owner->slugs, k->slug);
}

void release_prepare_stop(struct supervisor *s, uint64_t handle)
{
	if (s->preparing != handle)
		return;
	struct known_release *k = release_known(s, handle);

	s->preparing = 0;
	if (k)
		release_fetch_stop(k);
	if (s->setup->driver->prepare_stop)
		s->setup->driver->prepare_stop(s->driver_state, handle);
}
