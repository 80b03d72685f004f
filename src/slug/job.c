#include "slug/job.h"

#include "base/fd.h"
#include "base/file.h"
#include "slug/feed.h"
#include "slug/fetch.h"
#include "slug/source.h"
#include "slug/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".tmp-"
#define NAME_SIZE 32

/* A job in progress. */
struct run {
	const struct job *job;
	struct source source;
	char wanted[DIGEST_HEX + 1]; /* of the checksum; "" = none */
	int packed;
	uint64_t packed_size;
	char name[NAME_SIZE]; /* of the directory in work; "" = none yet */
	int work;
	struct feed *feed;
};

static int random_name(char ret_name[NAME_SIZE])
{
	uint64_t r;

	if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
		return -EIO;
	(void)snprintf(ret_name, NAME_SIZE, TEMPORARY "%016llx", (unsigned long long)r);
	return 0;
}

static bool is_digest(const char *name)
{
	return strlen(name) == DIGEST_HEX && strspn(name, "0123456789abcdef") == DIGEST_HEX;
}

static bool has_slug(int target, const char *digest)
{
	struct stat st;

	return fstatat(target, digest, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static DIR *open_listing(int target)
{
	int fd = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		(void)fd_close(fd);
	return d;
}

static bool has_any_slug(int target)
{
	DIR *d = open_listing(target);
	bool found = false;

	/* A directory that cannot be listed may hold one. */
	if (!d)
		return true;
	for (struct dirent *e; !found && (e = readdir(d));)
		found = is_digest(e->d_name);
	(void)closedir(d);
	return found;
}

static int open_local(struct run *u, struct err *err)
{
	/* O_NONBLOCK: a FIFO is refused below, not waited on. */
	u->packed = open(u->source.where, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return u->packed < 0 ? err_errno(err, -errno, "cannot open it") : 0;
}

/* A file without a name: whatever happens to us, it is gone. */
static int open_nameless(int target)
{
	char name[NAME_SIZE];
	int fd = openat(target, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd < 0 ? -errno : fd;
	int r = random_name(name);
	if (r < 0)
		return r;
	fd = openat(target, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	(void)unlinkat(target, name, 0);
	return fd;
}

static int fetch_source(struct run *u, struct err *err)
{
	const struct job *j = u->job;

	u->packed = open_nameless(j->target);
	if (u->packed < 0)
		return err_errno(err, u->packed, "cannot make a file in the target directory");
	struct fetch f = {
		.url = u->source.where,
		.file = u->packed,
		.max_bytes = j->max_download,
		.tries = j->tries,
		.low_speed_seconds = j->low_speed_seconds,
		.report = j->report,
		.stop = j->stop,
	};
	return fetch(&f, err);
}

/* The packed file as a descriptor, with no more rights than it takes: a local one is opened as who
 * we were started as, which is the operator or the supervisor; the web is met as who we become. */
static int get_packed(struct run *u, struct err *err)
{
	const struct job *j = u->job;
	struct stat st;
	int r = u->source.is_url ? 0 : open_local(u, err);

	if (r == 0)
		r = sandbox_become(j->uid, j->gid, err);
	/* A change of user has cleared it. */
	if (r == 0 && j->dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		r = err_errno(err, -errno, "cannot bind my life to my parent's");
	if (r == 0 && u->source.is_url)
		r = fetch_source(u, err);
	if (r < 0)
		return r;

	if (fstat(u->packed, &st) < 0)
		return err_errno(err, -errno, "cannot look at it");
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "not a regular file");
	if ((uint64_t)st.st_size > j->max_download)
		return err_set(err, -EFBIG, "the slug is larger than %llu bytes",
			(unsigned long long)j->max_download);
	u->packed_size = (uint64_t)st.st_size;
	return 0;
}

static int check_digest(const struct run *u, const char *digest, struct err *err)
{
	if (u->wanted[0] && strcmp(u->wanted, digest) != 0)
		return err_set(err, -EKEYREJECTED, "wrong checksum: it is SHA256:%s, not SHA256:%s",
			digest, u->wanted);
	return 0;
}

/* Hashes before anything is unpacked when that can spare work: with a checksum, a wrong file is
 * never even parsed; without one, it may be here already. Otherwise the pass that unpacks hashes
 * alone. (0.12 s for 200 MB with SHA instructions, a tenth of the unpack.) Returns 1 when it is
 * here. */
static int hash_first(const struct run *u, char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	if (!u->wanted[0] && !has_any_slug(u->job->target))
		return 0;
	int r = digest_of_fd(u->packed, ret_digest);
	if (r < 0)
		return err_errno(err, r, "cannot read it");
	r = check_digest(u, ret_digest, err);
	if (r < 0)
		return r;
	return has_slug(u->job->target, ret_digest);
}

static int make_work(struct run *u, struct err *err)
{
	int r = random_name(u->name);

	if (r < 0) {
		u->name[0] = '\0';
		return err_errno(err, r, "cannot get a random number");
	}
	if (mkdirat(u->job->target, u->name, 0755) < 0) {
		r = -errno;
		u->name[0] = '\0';
		return err_errno(err, r, "cannot make a directory in the target directory");
	}
	u->work = openat(u->job->target, u->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return u->work < 0 ? err_errno(err, -errno, "cannot open the new directory") : 0;
}

static int on_tick(void *userdata, struct err *err)
{
	struct run *u = userdata;

	if (*u->job->stop || u->job->report->gone)
		return err_set(err, -ECANCELED, "interrupted");
	report_progress(u->job->report, JOB_UNPACKING, feed_packed(u->feed), u->packed_size);
	return 0;
}

/* From "work" or "work/app" to the digest's name. Nothing is flushed to the disk for it: one fsync
 * a file would cost more than all the rest, and syncfs waits for what everybody else has written. A
 * slug can always be had again; hsup does not promise it over a power cut. */
static int put_into_place(struct run *u, const char *digest, bool in_app, struct err *err)
{
	int from = in_app ? u->work : u->job->target;
	const char *name = in_app ? "app" : u->name;

	_cleanup_close_ int slug =
		openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Dynos of other users pass through it, whatever mode the archive gives its root. */
	if (slug < 0 || fchmod(slug, 0755) < 0)
		return err_errno(err, -errno, "cannot open what was unpacked");
	if (renameat2(from, name, u->job->target, digest, RENAME_NOREPLACE) < 0) {
		/* Somebody else was faster: theirs is as good. */
		if (errno == EEXIST)
			return 0;
		return err_errno(err, -errno, "cannot put the slug into place");
	}
	if (!in_app)
		u->name[0] = '\0';
	return 0;
}

static int unpack_and_place(
	struct run *u, const char *hashed, struct job_done *done, struct err *err)
{
	const struct job *j = u->job;
	struct unpack_result result;
	char digest[DIGEST_HEX + 1];

	int r = make_work(u, err);
	if (r == 0)
		r = sandbox_file_size(j->limits.max_bytes, err);
	if (r == 0)
		r = sandbox_unpack(j->target, u->work, err);
	if (r == 0)
		r = feed_open(u->packed, &u->feed, err);
	if (r == 0)
		r = sandbox_seal(err);
	if (r < 0)
		return r;

	feed_start(u->feed);
	r = unpack(u->feed, u->work, &j->limits, on_tick, u, &result, err);
	if (r < 0)
		return r;
	r = feed_digest(u->feed, digest);
	if (r < 0)
		return err_errno(err, r, "cannot hash it");
	if (hashed[0] && strcmp(hashed, digest) != 0)
		return err_set(err, -EBUSY, "the file was changed while it was read");
	r = put_into_place(u, digest, result.in_app, err);
	if (r < 0)
		return r;
	memcpy(done->digest, digest, sizeof done->digest);
	done->unpacked = result.bytes;
	done->entries = result.entries;
	return 0;
}

static int run(struct run *u, struct job_done *done, struct err *err)
{
	const struct job *j = u->job;
	char hashed[DIGEST_HEX + 1] = "";

	if (j->checksum && j->checksum[0] && digest_parse(j->checksum, u->wanted) < 0)
		return err_set(err, -EINVAL, "the checksum must be SHA256: and 64 hex digits");
	/* The name of a slug's directory is what its packed bytes hashed to. */
	if (u->wanted[0] && has_slug(j->target, u->wanted)) {
		memcpy(done->digest, u->wanted, sizeof done->digest);
		done->cached = 1;
		return 0;
	}
	int r = get_packed(u, err);
	if (r < 0)
		return r;
	done->packed = u->packed_size;
	r = hash_first(u, hashed, err);
	if (r == 1) {
		memcpy(done->digest, hashed, sizeof done->digest);
		done->cached = 1;
		return 0;
	}
	return r < 0 ? r : unpack_and_place(u, hashed, done, err);
}

int job_run(const struct job *j, struct job_done *ret_done, struct err *err)
{
	struct run u = {.job = j, .packed = -1, .work = -1};
	struct job_done done = {0};

	int r = source_parse(j->source, &u.source, err);
	if (r < 0)
		return r;
	r = run(&u, &done, err);
	(void)feed_close(u.feed);
	(void)fd_close(u.packed);
	(void)fd_close(u.work);
	if (u.name[0])
		(void)file_remove_tree(j->target, u.name);
	if (r < 0)
		(void)err_wrap(err, "%s", u.source.shown);
	else
		*ret_done = done;
	source_done(&u.source);
	return r;
}
