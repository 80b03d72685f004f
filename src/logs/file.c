#include "logs/file.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/parse.h"
#include "logs/dests.h"
#include "logs/file_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY  NSEC_PER_SEC
#define RETRY_EVERY NSEC_PER_SEC
#define TEXT_BYTES  512

void log_file_configure(struct log_file *f, const struct log_options *o)
{
	f->format = (struct format){.kind = o->format, .app = f->format.app};
	f->max_bytes = o->max_bytes;
	f->max_age = o->max_age;
	f->keep = o->keep;
	f->compress = o->compress;
	f->mode = o->mode ? (mode_t)o->mode : 0640;
}

struct log_file *log_file_new(const char *path, const struct log_options *o, const char *app,
	struct file_keeper *keeper, void (*say)(void *userdata, const char *text), void *userdata)
{
	struct log_file *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->path = strdup(path);
	if (!f->path) {
		free(f);
		return NULL;
	}
	f->refs = 1;
	f->fd = -1;
	f->format.app = app;
	log_file_configure(f, o);
	f->uid = (uid_t)-1;
	f->gid = (gid_t)-1;
	f->keeper = keeper;
	f->say = say;
	f->userdata = userdata;
	/* What an earlier supervisor left half done. */
	if (keeper)
		file_keeper_order(keeper, path, f->keep, f->compress);
	return f;
}

struct log_file *log_file_free(struct log_file *f)
{
	if (!f)
		return NULL;
	fd_close(f->fd);
	free(f->path);
	free(f);
	return NULL;
}

static int find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user = getpwnam(name);
	unsigned number;

	if (user) {
		*ret_uid = user->pw_uid;
		*ret_gid = user->pw_gid;
		return 0;
	}
	if (parse_uint(name, INT_MAX, &number) < 0)
		return -ENOENT;
	user = getpwuid(number);
	*ret_uid = number;
	*ret_gid = user ? user->pw_gid : (gid_t)-1;
	return 0;
}

int log_file_owner(const char *text, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
	char name[64];
	size_t len = strcspn(text, ":");
	unsigned number;
	uid_t uid;
	gid_t gid;

	(void)snprintf(name, sizeof name, "%.*s", (int)len, text);
	if (find_user(name, &uid, &gid) < 0)
		return err_set(err, -ENOENT, "there is no user '%s'", name);
	if (text[len]) {
		const struct group *group = getgrnam(text + len + 1);

		if (!group && parse_uint(text + len + 1, INT_MAX, &number) < 0)
			return err_set(err, -ENOENT, "there is no group '%s'", text + len + 1);
		gid = group ? group->gr_gid : number;
	}
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

/* ---- trouble ---- */

void log_file_trouble(struct log_file *f, int code, const char *what)
{
	char text[TEXT_BYTES];

	f->retry_at = clock_now() + RETRY_EVERY;
	f->fd = fd_close(f->fd);
	if (f->trouble == code)
		return;
	f->trouble = code;
	(void)snprintf(text, sizeof text,
		"error: log file %s cannot be %s: %s; its lines are dropped and counted until it "
		"can",
		f->path, what, err_name(code));
	f->say(f->userdata, text);
}

static void drop(struct log_file *f, const char *data, size_t len)
{
	if (f->dropped == 0)
		f->dropped_since = clock_wall();
	for (const char *end = data + len; (data = memchr(data, '\n', (size_t)(end - data)));
		data++) {
		f->dropped++;
		f->dropped_all++;
	}
}

/* The file itself says first what it lacks. False when it cannot even do that. */
static bool tell_dropped(struct log_file *f)
{
	char text[L10_BYTES], line[1024];

	if (f->dropped == 0)
		return true;
	struct log_line l = dests_l10(f->dropped, f->dropped_since, text);
	if (format_need(&f->format, &l) > sizeof line)
		return true;
	size_t len = (size_t)(format_line(&f->format, &l, line) - line);
	ssize_t wrote = write(f->fd, line, len);
	if (wrote == (ssize_t)len) {
		f->size += len;
		return true;
	}
	int code = wrote < 0 ? -errno : -ENOSPC;
	if (wrote > 0)
		(void)ftruncate(f->fd, (off_t)f->size);
	log_file_trouble(f, code, "written");
	return false;
}

static void went_well(struct log_file *f)
{
	char text[TEXT_BYTES];

	if (!f->trouble)
		return;
	(void)snprintf(text, sizeof text, "log file %s is written again; %llu lines were dropped",
		f->path, (unsigned long long)f->dropped);
	f->trouble = 0;
	f->dropped = 0;
	f->say(f->userdata, text);
}

/* ---- open ---- */

static uint64_t birth(int fd)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) == 0 && (x.stx_mask & STATX_BTIME))
		return (uint64_t)x.stx_btime.tv_sec * NSEC_PER_SEC + x.stx_btime.tv_nsec;
	return clock_wall();
}

static int open_file(struct log_file *f)
{
	struct stat st;
	int r;

	/* A FIFO would be waited for, and a link may lead to what is not ours to write. */
	_cleanup_close_ int fd = open(f->path,
		O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size == 0) {
		r = file_give(fd, f->uid, f->gid);
		if (r < 0)
			return r;
		if (fchmod(fd, f->mode) < 0)
			return -errno;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = (uint64_t)st.st_size;
	f->born = birth(fd);
	f->looked_at = clock_now();
	f->fd = TAKE_FD(fd);
	return 0;
}

int log_file_open(struct log_file *f)
{
	if (f->fd >= 0)
		return 0;
	if (f->trouble && clock_now() < f->retry_at)
		return f->trouble;
	int r = open_file(f);
	if (r < 0)
		log_file_trouble(f, r, "opened");
	return r;
}

void log_file_reopen(struct log_file *f)
{
	f->fd = fd_close(f->fd);
	f->retry_at = 0;
}

/* logrotate and people move files; what is written then goes to the one of that name. */
static void look_for_it(struct log_file *f)
{
	uint64_t now = clock_now();
	struct stat st;

	if (f->fd < 0 || now - f->looked_at < LOOK_EVERY)
		return;
	f->looked_at = now;
	if (lstat(f->path, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino)
		f->fd = fd_close(f->fd);
}

static bool is_old(const struct log_file *f)
{
	uint64_t now = clock_wall();

	return f->max_age && f->fd >= 0 && f->size > 0 && now > f->born &&
	       now - f->born >= f->max_age;
}

bool log_file_tick(struct log_file *f)
{
	look_for_it(f);
	if (is_old(f))
		(void)log_file_rotate(f);
	return f->trouble || (f->max_age && f->size > 0);
}

/* ---- out ---- */

/* How much of it goes into this file, whole lines; 0 = none: the next one takes it. */
static size_t fits(const struct log_file *f, const char *data, size_t len)
{
	if (f->max_bytes == 0 || f->size + len <= f->max_bytes)
		return len;
	size_t room = f->max_bytes > f->size ? f->max_bytes - f->size : 0;
	const char *end = room ? memrchr(data, '\n', room) : NULL;
	if (!end && f->size == 0)
		end = memchr(data, '\n', len);
	return end ? (size_t)(end + 1 - data) : f->size == 0 ? len : 0;
}

/* Of a write that the disk had room for in part, whole lines stay. */
static size_t cut_back(struct log_file *f, const char *data, size_t wrote)
{
	const char *end = memrchr(data, '\n', wrote);
	size_t whole = end ? (size_t)(end + 1 - data) : 0;

	if (whole < wrote && ftruncate(f->fd, (off_t)(f->size + whole)) < 0)
		return wrote;
	return whole;
}

static int write_piece(struct log_file *f, struct carry *c, const char *data, size_t len)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0) {
		f->fd = fd_close(f->fd);
		return 0;
	}
	/* Somebody may have cut it short. */
	f->size = (uint64_t)st.st_size;
	carry_file_note(c, f->dev, f->ino, f->size);
	ssize_t n = write(f->fd, data, len);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if ((size_t)n == len) {
		carry_file_wrote(c, len);
		f->size += len;
		return (int)len;
	}
	/* The next write says why. */
	ssize_t more = write(f->fd, data + n, len - (size_t)n);
	int code = more < 0 ? -errno : 0;
	size_t whole = cut_back(f, data, (size_t)(n + (more > 0 ? more : 0)));
	carry_file_wrote(c, whole);
	f->size += whole;
	return code ? code : (int)whole;
}

static bool ready(struct log_file *f)
{
	look_for_it(f);
	if (is_old(f))
		(void)log_file_rotate(f);
	if (log_file_open(f) < 0 || !tell_dropped(f))
		return false;
	went_well(f);
	return true;
}

void log_file_out(void *file, struct carry *c, const char *data, size_t len)
{
	struct log_file *f = file;
	const char *end = data + len;

	while (data < end) {
		if (!ready(f))
			break;
		size_t piece = fits(f, data, (size_t)(end - data));
		if (piece == 0) {
			if (log_file_rotate(f) < 0)
				break;
			continue;
		}
		uint64_t before = f->size;
		int n = write_piece(f, c, data, piece);
		if (n < 0) {
			data += f->size > before ? f->size - before : 0;
			log_file_trouble(f, n, "written");
			break;
		}
		data += n;
	}
	if (data < end) {
		drop(f, data, (size_t)(end - data));
		carry_file_wrote(c, (size_t)(end - data));
	}
}
