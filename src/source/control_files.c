#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "source/control_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

char *control_claim_name(uint64_t number, char ret_name[32])
{
	(void)snprintf(ret_name, 32, "claim-%llu", (unsigned long long)number);
	return ret_name;
}

/* ---- rejected, last_error ---- */

static void write_last_error(struct control_dir *c, const char *reason)
{
	size_t len = strlen(reason);
	_cleanup_free_ char *lines = malloc(len + 2);

	if (!lines)
		return;
	memcpy(lines, reason, len);
	lines[len] = '\n';
	/* 0600: what is quoted from a document may be a secret. */
	if (file_replace(c->dir, "last_error", lines, len + 1, 0600) == 0)
		return;
	/* An old one would explain the new `rejected` wrongly, and may be in the way (a directory,
	 * a full disk). */
	(void)file_remove_tree(c->dir, "last_error");
	if (file_replace(c->dir, "last_error", lines, len + 1, 0600) < 0)
		(void)unlinkat(c->dir, "last_error", 0);
}

static int rename_to_rejected(struct control_dir *c, const char *name)
{
	struct stat st;

	/* Only the owner may read what may hold secrets; a file with a second name is also somebody
	 * else's, and keeps its mode. */
	if (fstatat(c->scratch, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		st.st_nlink == 1)
		(void)fchmodat(c->scratch, name, 0600, 0);
	if (renameat(c->scratch, name, c->dir, "rejected") == 0)
		return 0;
	if (errno != EISDIR && errno != ENOTDIR && errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	/* A directory and a file do not replace each other. */
	(void)file_remove_tree(c->dir, "rejected");
	return renameat(c->scratch, name, c->dir, "rejected") < 0 ? -errno : 0;
}

void control_reject_text(struct control_dir *c, const char *text, size_t len, const char *reason)
{
	if (file_replace(c->dir, "rejected", text, len, 0600) < 0) {
		(void)file_remove_tree(c->dir, "rejected");
		if (file_replace(c->dir, "rejected", text, len, 0600) < 0)
			control_notice(c, NOTICE_WARNING,
				"the rejected release could not be kept as %s/rejected", c->path);
	}
	write_last_error(c, reason);
}

void control_reject_claim(
	struct control_dir *c, uint64_t claim, const char *text, size_t len, const char *reason)
{
	char name[32];

	/* A rename, as a full disk may be the reason. */
	(void)control_claim_name(claim, name);
	if (control_claim_end(c, claim, true) || rename_to_rejected(c, name) < 0) {
		if (text) {
			control_reject_text(c, text, len, reason);
			(void)unlinkat(c->scratch, name, 0);
			return;
		}
		(void)file_remove_tree(c->scratch, name);
	}
	write_last_error(c, reason);
}

/* ---- history ---- */

int64_t control_version_of(const char *name)
{
	char digits[24];
	uint64_t version;
	size_t len = strlen(name);

	if (len < 7 || len > 26 || name[0] != 'v' || strcmp(name + len - 5, ".json") != 0)
		return 0;
	memcpy(digits, name + 1, len - 6);
	digits[len - 6] = '\0';
	return parse_u64(digits, INT64_MAX, &version) == 0 ? (int64_t)version : 0;
}

static void version_path(int64_t version, char ret_path[48])
{
	(void)snprintf(ret_path, 48, "releases/v%lld.json", (long long)version);
}

static void note_path(int64_t version, char ret_path[48])
{
	(void)snprintf(ret_path, 48, "releases/v%lld.note", (long long)version);
}

DIR *control_open_history(struct control_dir *c)
{
	int fd = openat(c->dir, "releases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		fd_close(fd);
	return d;
}

int64_t control_last_version(struct control_dir *c)
{
	DIR *d = control_open_history(c);
	int64_t last = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));) {
		int64_t version = control_version_of(e->d_name);
		last = version > last ? version : last;
	}
	(void)closedir(d);
	return last;
}

bool control_has_bytes(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t n;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (unsigned long long)st.st_size == len &&
	       file_read(dir, name, LIMIT_RELEASE_BYTES, &data, &n) == 0 && n == len &&
	       memcmp(data, text, len) == 0;
}

int64_t control_find_version(struct control_dir *c, const char *text, size_t len)
{
	DIR *d = control_open_history(c);
	int64_t found = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));) {
		int64_t version = control_version_of(e->d_name);

		if (version > found && control_has_bytes(dirfd(d), e->d_name, text, len))
			found = version;
	}
	(void)closedir(d);
	return found;
}

/* Not fsynced: what a power failure spoils here, restore() writes again from `loaded`. */
int control_stage_history(struct control_dir *c, const char *text, size_t len)
{
	_cleanup_close_ int fd = openat(
		c->scratch, "history", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, len);
	if (r < 0)
		(void)unlinkat(c->scratch, "history", 0);
	return r;
}

void control_write_note(struct control_dir *c, int64_t version, const char *note)
{
	char path[48];

	note_path(version, path);
	if (!*note || file_replace(c->dir, path, note, strlen(note), 0600) < 0)
		(void)unlinkat(c->dir, path, 0);
}

/* Removes the lowest version but `keep` while there are too many. */
static void prune(struct control_dir *c, int64_t keep)
{
	for (;;) {
		DIR *d = control_open_history(c);
		int64_t lowest = INT64_MAX;
		unsigned n = 0;
		char path[48];

		if (!d)
			return;
		for (struct dirent *e; (e = readdir(d));) {
			int64_t version = control_version_of(e->d_name);

			n += version > 0;
			if (version > 0 && version != keep && version < lowest)
				lowest = version;
		}
		(void)closedir(d);
		version_path(lowest, path);
		if (n <= LIMIT_HISTORY || unlinkat(c->dir, path, 0) < 0)
			return;
		note_path(lowest, path);
		(void)unlinkat(c->dir, path, 0);
	}
}

int control_add_history(struct control_dir *c, int64_t version, const char *note)
{
	char path[48];

	version_path(version, path);
	(void)mkdirat(c->dir, "releases", 0700);
	if (renameat(c->scratch, "history", c->dir, path) < 0) {
		int r = -errno;

		(void)unlinkat(c->scratch, "history", 0);
		return r;
	}
	control_write_note(c, version, note ? note : "");
	prune(c, version);
	return 0;
}
