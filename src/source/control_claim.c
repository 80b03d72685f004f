/* Claiming: never a half-written document, never a lost one.
 *
 * A read lease is given only on a file that nobody has open for writing. `new` is looked at first:
 * a writer who has it open will close it, and that wakes us. Then it is renamed to a name of its
 * own, which no later submission can touch, and looked at again under that name: a writer who
 * opened it just before the rename still has it, and his close is told of .hsup/claim-N. (One who
 * is inside open(2) at that very moment, with the name resolved and the file not yet open, is seen
 * at the latest when he closes: a claim that was written to counts as submitted again.) Where
 * leases cannot be had, the close itself is all there is to go by. */
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/str.h"
#include "source/control_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- who is writing ---- */

bool control_has_writer(int fd)
{
	/* Who opens it for writing while we have the lease waits for us, and we would get SIGIO,
	 * which ends a process by default; SIGURG is ignored by default. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN; /* EACCES: not our file; EINVAL: no leases here */
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Never waits for a FIFO, never follows a link; -1 also when it is no regular file. */
int control_open_regular(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
}

static bool is_being_written(int dir, const char *name)
{
	_cleanup_close_ int fd = control_open_regular(dir, name);

	return fd >= 0 && control_has_writer(fd);
}

/* ---- the list ---- */

static void deliver_later(struct control_dir *c)
{
	if (c->deliver)
		(void)sd_event_source_set_enabled(c->deliver, SD_EVENT_ONESHOT);
}

void control_forget_claim(struct control_dir *c, unsigned at)
{
	c->n_claims--;
	memmove(&c->claims[at], &c->claims[at + 1], (c->n_claims - at) * sizeof c->claims[0]);
}

void control_remove_claim(struct control_dir *c, uint64_t claim)
{
	char name[32];

	(void)file_remove_tree(c->scratch, control_claim_name(claim, name));
}

static void add_claim(struct control_dir *c, uint64_t claim)
{
	if (c->n_claims == CLAIMS_MAX) {
		control_notice(c, NOTICE_WARNING,
			"a submission was dropped: %d newer ones came before its writer closed it",
			CLAIMS_MAX);
		control_remove_claim(c, c->claims[0]);
		control_forget_claim(c, 0);
	}
	c->claims[c->n_claims++] = claim;
	deliver_later(c);
}

/* Renames to the next claim. */
static int claim(struct control_dir *c, int dir, const char *name)
{
	char to[32];

	(void)control_claim_name(c->last_claim + 1, to);
	if (renameat(dir, name, c->scratch, to) < 0)
		return -errno;
	add_claim(c, ++c->last_claim);
	return 0;
}

void control_claim_new(struct control_dir *c, enum claim_when when)
{
	struct stat st;
	struct err err = {0};

	if (c->dir < 0 || fstatat(c->dir, "new", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	/* A name that appears is told before its writer has it open. Only what nobody will close is
	 * taken now: a second link to a whole file, and what is no file at all. */
	if (when == CLAIM_CREATED && S_ISREG(st.st_mode) && st.st_nlink == 1)
		return;
	if (is_being_written(c->dir, "new"))
		return;

	int r = control_ready(c, &err);
	if (r == 0)
		r = claim(c, c->dir, "new");
	if (r < 0 && r != -ENOENT)
		control_notice(c, NOTICE_ERROR, "%s/new cannot be taken: %s", c->path,
			*err.text ? err.text : err_name(r));
}

static struct submission *find_submission(struct control_dir *c, uint64_t number)
{
	struct submission *s;

	LIST_FOREACH (s, &c->submissions, link)
		if (s->claim == number)
			return s;
	return NULL;
}

void control_claim_closed(struct control_dir *c, const char *name)
{
	uint64_t number;

	if (c->scratch < 0 || strncmp(name, "claim-", 6) != 0 ||
		parse_u64(name + 6, UINT64_MAX, &number) < 0)
		return;
	struct submission *s = find_submission(c, number);
	/* With the same bytes it is the close that we did not wait for. */
	if (s && !control_has_bytes(c->scratch, name, s->text, s->len))
		(void)claim(c, c->scratch, name);
	deliver_later(c);
}

bool control_claim_end(struct control_dir *c, uint64_t number, bool keep_file)
{
	char name[32];

	if (c->scratch < 0)
		return false;
	(void)control_claim_name(number, name);
	if (is_being_written(c->scratch, name) && claim(c, c->scratch, name) == 0)
		return true;
	if (!keep_file)
		control_remove_claim(c, number);
	return false;
}

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

void control_claim_leftovers(struct control_dir *c)
{
	int fd = openat(c->scratch, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t found[CLAIMS_MAX], number;
	size_t n = 0;

	if (!d) {
		fd_close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, "claim-", 6) != 0 ||
			parse_u64(e->d_name + 6, UINT64_MAX / 2, &number) < 0)
			continue;
		if (number > c->last_claim)
			c->last_claim = number;
		/* The directory was moved away and back. */
		if (find_submission(c, number))
			continue;
		if (n == CLAIMS_MAX) {
			uint64_t older = number < found[0] ? number : found[0];

			control_remove_claim(c, older);
			if (number < found[0])
				continue;
			found[0] = number;
		} else {
			found[n++] = number;
		}
		qsort(found, n, sizeof found[0], compare);
	}
	(void)closedir(d);
	c->last_leftover = c->last_claim;
	for (size_t i = 0; i < n; i++)
		add_claim(c, found[i]);
}
