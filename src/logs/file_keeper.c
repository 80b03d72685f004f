#include "logs/file_keeper.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "logs/file_pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE	   (3 << 13)
#define PACKED		   ".zst"
#define HALF		   ".zst.tmp"
#define NAMES_MAX	   100000

struct order {
	STAILQ_ENTRY(order) link;
	unsigned keep;
	bool compress;
	char path[];
};

struct file_keeper {
	pthread_t thread;
	bool begun;
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t news;
	STAILQ_HEAD(, order) orders; /* the first is being done */
	char *trouble;
};

/* ---- one order, in the thread ---- */

struct names {
	char **list;
	size_t n, cap;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

/* Those of rotated files: "FILE.STAMP", with what stands behind it; the newest first. */
static int list_names(int dir, const char *base, struct names *ret_names)
{
	size_t len = strlen(base);
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		fd_close(fd);
		return -errno;
	}
	for (const struct dirent *e; r == 0 && (e = readdir(d));) {
		const char *stamp = e->d_name + len + 1;

		if (strncmp(e->d_name, base, len) != 0 || e->d_name[len] != '.' ||
			strlen(stamp) < FILE_STAMP_LEN || !file_is_stamp(stamp))
			continue;
		const char *end = stamp + FILE_STAMP_LEN;
		if (*end && strcmp(end, PACKED) != 0 && strcmp(end, HALF) != 0)
			continue;
		r = mem_grow(&ret_names->list, &ret_names->cap, ret_names->n + 1, NAMES_MAX,
			sizeof(char *));
		char *name = r == 0 ? strdup(e->d_name) : NULL;
		if (name)
			ret_names->list[ret_names->n++] = name;
	}
	(void)closedir(d);
	if (ret_names->list)
		qsort(ret_names->list, ret_names->n, sizeof(char *), by_name);
	return r;
}

static bool ends_with(const char *name, const char *end)
{
	size_t a = strlen(name), b = strlen(end);

	return a >= b && strcmp(name + a - b, end) == 0;
}

/* "FILE.STAMP.zst.tmp" stands before "FILE.STAMP.zst", and this before "FILE.STAMP". */
static int tidy(
	struct file_keeper *k, int dir, struct names *names, size_t base, const struct order *o)
{
	char *newest = NULL; /* the stamp that was seen last */
	unsigned seen = 0;
	int r = 0;

	for (size_t i = 0; i < names->n && !k->stop; i++) {
		char *name = names->list[i], *stamp = name + base + 1;
		bool again = newest && memcmp(newest, stamp, FILE_STAMP_LEN) == 0;
		int r2 = 0;

		/* Half packed, or packed and not yet removed. */
		if (ends_with(name, HALF) || again) {
			(void)unlinkat(dir, name, 0);
			continue;
		}
		newest = stamp;
		if (seen++ >= o->keep)
			r2 = unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
		else if (o->compress && !ends_with(name, PACKED))
			r2 = file_pack(dir, name, &k->stop);
		r = r ? r : r2;
	}
	return r;
}

static int do_order(struct file_keeper *k, const struct order *o)
{
	struct names HSUP_CLEANUP(names_done) names = {0};
	const char *slash = strrchr(o->path, '/');
	char folder[PATH_MAX];

	if (!slash || (size_t)(slash - o->path) + 2 > sizeof folder)
		return -EINVAL;
	(void)snprintf(folder, sizeof folder, "%.*s/", (int)(slash - o->path), o->path);
	_cleanup_close_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = list_names(dir, slash + 1, &names);
	return r < 0 ? r : tidy(k, dir, &names, strlen(slash + 1), o);
}

static void *work(void *userdata)
{
	struct file_keeper *k = userdata;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	(void)pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		struct order *o = STAILQ_FIRST(&k->orders);

		if (!o) {
			(void)pthread_cond_wait(&k->news, &k->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&k->lock);
		int r = do_order(k, o);
		(void)pthread_mutex_lock(&k->lock);
		if (r < 0 && r != -ECANCELED && !k->trouble &&
			asprintf(&k->trouble,
				"what was rotated of log file %s cannot be kept in order: %s",
				o->path, err_name(r)) < 0)
			k->trouble = NULL;
		STAILQ_REMOVE_HEAD(&k->orders, link);
		free(o);
	}
	(void)pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* ---- in the loop ---- */

struct file_keeper *file_keeper_new(void)
{
	struct file_keeper *k = calloc(1, sizeof *k);

	if (!k)
		return NULL;
	(void)pthread_mutex_init(&k->lock, NULL);
	(void)pthread_cond_init(&k->news, NULL);
	STAILQ_INIT(&k->orders);
	return k;
}

struct file_keeper *file_keeper_free(struct file_keeper *k)
{
	if (!k)
		return NULL;
	(void)pthread_mutex_lock(&k->lock);
	k->stop = true;
	(void)pthread_cond_signal(&k->news);
	(void)pthread_mutex_unlock(&k->lock);
	if (k->begun)
		(void)pthread_join(k->thread, NULL);
	for (struct order *o; (o = STAILQ_FIRST(&k->orders));) {
		STAILQ_REMOVE_HEAD(&k->orders, link);
		free(o);
	}
	(void)pthread_mutex_destroy(&k->lock);
	(void)pthread_cond_destroy(&k->news);
	free(k->trouble);
	free(k);
	return NULL;
}

/* Signals are the loop's. */
static void begin(struct file_keeper *k)
{
	sigset_t all, before;

	if (k->begun)
		return;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	k->begun = pthread_create(&k->thread, NULL, work, k) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void file_keeper_order(struct file_keeper *k, const char *path, unsigned keep, bool compress)
{
	size_t len = strlen(path) + 1;
	struct order *o = calloc(1, sizeof *o + len), *other;

	if (!o)
		return;
	o->keep = keep;
	o->compress = compress;
	memcpy(o->path, path, len);
	(void)pthread_mutex_lock(&k->lock);
	/* One that waits does for both; the first may be at work already. */
	other = STAILQ_FIRST(&k->orders);
	while (other && (other = STAILQ_NEXT(other, link)))
		if (strcmp(other->path, path) == 0)
			break;
	if (other)
		free(o);
	else
		STAILQ_INSERT_TAIL(&k->orders, o, link);
	(void)pthread_cond_signal(&k->news);
	(void)pthread_mutex_unlock(&k->lock);
	begin(k);
}

char *file_keeper_trouble(struct file_keeper *k)
{
	(void)pthread_mutex_lock(&k->lock);
	char *trouble = TAKE_PTR(k->trouble);
	(void)pthread_mutex_unlock(&k->lock);
	return trouble;
}
