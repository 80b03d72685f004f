#include "supervisor/slug_store.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLUG_USER "hsup-slug"
#define NOBODY	  65534
#define CALM	  (2 * NSEC_PER_SEC)   /* before the trash is removed */
#define SLACK	  (10 * NSEC_PER_MSEC) /* of that timer; 0 would mean 250 ms to sd-event */

bool slug_store_is_digest(const char *name)
{
	return strlen(name) == SLUG_DIGEST_SIZE - 1 &&
	       strspn(name, "0123456789abcdef") == SLUG_DIGEST_SIZE - 1;
}

bool slug_store_has(const struct slug_store *s, const char *digest)
{
	struct stat st;

	return fstatat(s->dir, digest, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* ---- the folder ---- */

/* "<name made safe>-<hash of the absolute path>": two apps never share a folder. */
static int app_key(const char *app_path, char *ret_key, size_t size)
{
	if (!app_path) {
		(void)snprintf(ret_key, size, "run");
		return 0;
	}
	_cleanup_free_ char *real = realpath(app_path, NULL);
	if (!real)
		return -errno;
	char name[40];
	(void)snprintf(name, sizeof name, "%s", strrchr(real, '/') + 1);
	for (char *p = name; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || *p == '-';
		if (!plain)
			*p = '_';
	}
	(void)snprintf(
		ret_key, size, "%s-%016llx", name, (unsigned long long)hash_str(HASH_INIT, real));
	return 0;
}

/* Every directory of path that is missing; those in front of `private_from` for all to list. */
static int make_directories(char *path, size_t private_from)
{
	for (char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		int r = mkdir(path, (size_t)(p - path) > private_from ? 0711 : 0755);
		*p = c;
		if (r < 0 && errno != EEXIST)
			return -errno;
		if (c == '\0')
			return 0;
	}
}

static void find_user(struct slug_store *s, bool shared)
{
	s->uid = s->gid = UINT32_MAX;
	if (geteuid() != 0) {
		if (shared) {
			s->uid = geteuid();
			s->gid = getegid();
		}
		return;
	}
	const struct passwd *user = getpwnam(SLUG_USER);
	s->uid = user ? user->pw_uid : NOBODY;
	s->gid = user ? user->pw_gid : NOBODY;
}

static int open_folder(
	struct slug_store *s, const char *state_dir, const char *key, struct err *err)
{
	_cleanup_free_ char *state = NULL;

	if (state_dir[0] == '/') {
		state = strdup(state_dir);
	} else {
		char cwd[PATH_MAX];

		if (!getcwd(cwd, sizeof cwd))
			return err_errno(err, -errno, "cannot tell the working directory");
		if (asprintf(&state, "%s/%s", cwd, state_dir) < 0)
			state = NULL;
	}
	if (!state || asprintf(&s->path, "%s/apps/%s/slugs", state, key) < 0) {
		s->path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	int r = make_directories(s->path, strlen(state));
	if (r < 0)
		return err_errno(err, r, "cannot make %s", s->path);
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dir < 0)
		return err_errno(err, -errno, "%s", s->path);
	if (s->uid == UINT32_MAX || s->uid == geteuid() || fchown(s->dir, s->uid, s->gid) == 0)
		return 0;
	if (errno != EINVAL)
		return err_errno(err, -errno, "cannot give %s to the user of the slugs", s->path);
	/* Root of a user namespace that has no such user: the helper stays who we are. */
	s->uid = s->gid = UINT32_MAX;
	return 0;
}

/* ---- what is to go ---- */

static int on_calm(sd_event_source *source, uint64_t usec, void *userdata);

static void arm_calm(struct slug_store *s)
{
	if (!s->calm)
		(void)sd_event_add_time_relative(s->loop, &s->calm, CLOCK_MONOTONIC,
			CALM / NSEC_PER_USEC, SLACK / NSEC_PER_USEC, on_calm, s);
}

/* The line of a remover says nothing; it is watched for its end. */
static void on_remover_readable(void *userdata, struct worker *w, int socket)
{
	(void)userdata;
	(void)w;
	(void)socket;
}

static void on_remover_ended(void *userdata, struct worker *w, int status)
{
	struct slug_store *s = userdata;

	(void)status;
	s->remover = worker_free(w);
}

/* The files belong to another user and there may be many: a helper removes them. */
static int on_calm(sd_event_source *source, uint64_t usec, void *userdata)
{
	static const struct worker_events events = {on_remover_readable, on_remover_ended};
	struct slug_store *s = userdata;
	char remove[] = "--remove";
	char *argv[] = {s->helper, remove, s->path, NULL};

	(void)source;
	(void)usec;
	s->calm = sd_event_source_disable_unref(s->calm);
	if (s->busy || s->remover)
		arm_calm(s);
	else if (worker_start(s->loop, s->helper, argv, 0, &events, s, &s->remover, NULL) < 0)
		s->remover = NULL;
	return 0;
}

/* Renames what `goes` says to a trash name, if nobody else uses the folder. */
static void throw_away(struct slug_store *s,
	bool (*goes)(const char *name, const char *const *kept), const char *const *kept)
{
	bool any = false;

	/* Not atomic: a failure may have lost the shared lock as well, so it is taken again below.
	 */
	bool alone = flock(s->dir, LOCK_EX | LOCK_NB) == 0;
	int fd = alone ? openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		(void)fd_close(fd);
	for (struct dirent *e; d && (e = readdir(d));) {
		char trash[400];

		if (strncmp(e->d_name, ".trash-", 7) == 0) {
			any = true;
		} else if (goes(e->d_name, kept)) {
			(void)snprintf(trash, sizeof trash, ".trash-%s-%llx", e->d_name,
				(unsigned long long)clock_now());
			any |= renameat(s->dir, e->d_name, s->dir, trash) == 0;
		}
	}
	if (d)
		(void)closedir(d);
	(void)flock(s->dir, LOCK_SH | LOCK_NB);
	if (any)
		arm_calm(s);
}

static bool is_leftover(const char *name, const char *const *kept)
{
	(void)kept;
	return strncmp(name, ".tmp-", 5) == 0;
}

static bool is_old(const char *name, const char *const *kept)
{
	for (int i = 0; i < 2; i++) {
		if (kept[i] && strcmp(name, kept[i]) == 0)
			return false;
	}
	return slug_store_is_digest(name);
}

void slug_store_drop_leftovers(struct slug_store *s)
{
	throw_away(s, is_leftover, NULL);
}

void slug_store_keep(struct slug_store *s, const char *current, const char *previous)
{
	const char *const kept[2] = {current, previous};

	throw_away(s, is_old, kept);
}

/* ---- open and close ---- */

int slug_store_open(struct slug_store *s, sd_event *loop, const char *state_dir,
	const char *app_path, const char *helper, bool shared, struct err *err)
{
	char key[80];

	*s = (struct slug_store){.dir = -1, .loop = sd_event_ref(loop), .helper = strdup(helper)};
	int r = s->helper ? 0 : err_set(err, -ENOMEM, "out of memory");
	if (r == 0) {
		find_user(s, shared);
		r = app_key(app_path, key, sizeof key);
		if (r < 0)
			(void)err_errno(err, r, "%s", app_path);
	}
	if (r == 0)
		r = open_folder(s, state_dir, key, err);
	if (r < 0) {
		slug_store_close(s);
		return r;
	}
	slug_store_drop_leftovers(s);
	return 0;
}

void slug_store_close(struct slug_store *s)
{
	s->remover = worker_free(s->remover);
	s->calm = sd_event_source_disable_unref(s->calm);
	s->loop = sd_event_unref(s->loop);
	s->dir = fd_close(s->dir);
	free(TAKE_PTR(s->path));
	free(TAKE_PTR(s->helper));
}
