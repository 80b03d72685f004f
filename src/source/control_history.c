/* The history as others see it, what comes from the operator without `new`, and what else is to be
 * known over all lives of the program. */
#include "base/clock.h"
#include "base/file.h"
#include "source/control_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define REMEMBER_BYTES ((size_t)1 << 20)

static void read_note(struct control_dir *c, struct source_version *v)
{
	_cleanup_free_ char *text = NULL;
	char path[48];
	size_t len;

	(void)snprintf(path, sizeof path, "releases/v%lld.note", (long long)v->version);
	if (file_read(c->dir, path, sizeof v->note, &text, &len) < 0)
		return;
	(void)snprintf(v->note, sizeof v->note, "%s", text);
	v->failed = strncmp(v->note, CONTROL_FAILED, strlen(CONTROL_FAILED)) == 0;
}

static void look_at(struct control_dir *c, DIR *d, const char *name, struct source_version *v)
{
	struct stat st;

	if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		v->wall_ns =
			(uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
	v->in_force = v->version == c->version;
	read_note(c, v);
}

/* Puts it into its place of the list, which is full when *n is max. */
static bool insert(struct source_version *list, size_t *n, size_t max, int64_t version,
	struct source_version **ret_place)
{
	size_t at = 0;

	while (at < *n && list[at].version > version)
		at++;
	if (at == max)
		return false;
	if (*n < max)
		(*n)++;
	memmove(&list[at + 1], &list[at], (*n - at - 1) * sizeof *list);
	list[at] = (struct source_version){.version = version};
	*ret_place = &list[at];
	return true;
}

size_t control_history(void *state, struct source_version *ret, size_t max)
{
	struct control_dir *c = state;
	DIR *d = c->dir < 0 ? NULL : control_open_history(c);
	struct source_version *place;
	size_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));) {
		int64_t version = control_version_of(e->d_name);

		if (version > 0 && insert(ret, &n, max, version, &place))
			look_at(c, d, e->d_name, place);
	}
	(void)closedir(d);
	return n;
}

int control_read(void *state, int64_t version, char **ret_text, size_t *ret_len, struct err *err)
{
	struct control_dir *c = state;
	char path[48];

	(void)snprintf(path, sizeof path, "releases/v%lld.json", (long long)version);
	int r = c->dir < 0 ? -ENOENT
			   : file_read(c->dir, path, LIMIT_RELEASE_BYTES, ret_text, ret_len);
	if (r == -ENOENT)
		return err_set(
			err, r, "there is no release v%lld in the history", (long long)version);
	return r < 0 ? err_errno(err, r, "release v%lld", (long long)version) : 0;
}

/* Durable before it is answered for, like one that was written to `new`: what crashes now finds it
 * again as a claim. */
static int write_claim(
	struct control_dir *c, const char *text, size_t len, uint64_t *ret_claim, struct err *err)
{
	char name[32];
	int r = control_ready(c, err);

	if (r < 0)
		return r;
	(void)control_claim_name(c->last_claim + 1, name);
	r = file_replace(c->scratch, name, text, len, 0600);
	if (r < 0)
		return err_errno(err, r, "%.300s/.hsup", c->path);
	*ret_claim = ++c->last_claim;
	return 0;
}

int control_submit(void *state, const char *text, size_t len, bool renumber, const char *note,
	int64_t *ret_version, struct release_errors *errors, struct err *err)
{
	HSUP_CLEANUP(release_unrefp) struct release *release = NULL;
	struct control_dir *c = state;
	_cleanup_free_ char *copy = NULL;
	uint64_t claim = 0;

	if (!c->events)
		return err_set(err, -EAGAIN, "releases are not taken yet");
	int r = release_parse(text, len, &release, errors);
	if (r == -EINVAL)
		return err_set(err, r, "the release is not valid");
	if (r == 0 && renumber) {
		release->version = control_next_version(c);
		r = release_text_renumber(text, len, release->version, &copy, &len);
	} else if (r == 0) {
		copy = malloc(len + 1);
		r = copy ? 0 : -ENOMEM;
		if (copy)
			memcpy(copy, text, len);
	}
	if (r < 0)
		return err_errno(err, r, "release");
	r = write_claim(c, copy, len, &claim, err);
	if (r < 0)
		return r;
	/* It overtakes what has not been looked at yet. */
	while (c->n_claims > 0) {
		control_remove_claim(c, c->claims[0]);
		control_forget_claim(c, 0);
	}
	int64_t version = release->version ? release->version : control_next_version(c);
	release->version = version;
	r = control_hand_over(c, claim, TAKE_PTR(copy), len, note, release);
	if (r < 0) {
		control_remove_claim(c, claim);
		return err_errno(err, r, "release");
	}
	release = NULL; /* its owner is the supervisor now, and may be done with it */
	*ret_version = version;
	return 0;
}

int control_remember(void *state, const char *key, const char *text, struct err *err)
{
	struct control_dir *c = state;
	int r = c->lock < 0 ? -EBUSY : control_ready(c, err);

	if (r == 0 && !*text) {
		int gone = file_remove_tree(c->scratch, key);
		r = gone == -ENOENT ? 0 : gone;
	} else if (r == 0) {
		r = file_replace(c->scratch, key, text, strlen(text), 0600);
	}
	return r < 0 ? err_errno(err, r, "%.200s/.hsup/%s", c->path, key) : 0;
}

int control_recall(void *state, const char *key, char **ret_text)
{
	struct control_dir *c = state;
	size_t len;
	int r = c->scratch < 0 ? -ENOENT
			       : file_read(c->scratch, key, REMEMBER_BYTES, ret_text, &len);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}
