/* From a claim to a submission: read, checked, handed over; or rejected. */
#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "source/control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

static const char *kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link (it is not followed: copy the file)";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

/* 0; -EAGAIN somebody writes; -ENOENT gone; -EBADMSG with the reason. */
static int read_claim(struct control_dir *c, uint64_t number, char **ret_text, size_t *ret_len,
	char *why, size_t why_size)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	char name[32];

	(void)control_claim_name(number, name);
	if (fstatat(c->scratch, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -ENOENT;
	if (!S_ISREG(st.st_mode)) {
		(void)snprintf(why, why_size, "new: must be a file, not %s", kind(st.st_mode));
		return -EBADMSG;
	}
	_cleanup_close_ int fd = control_open_regular(c->scratch, name);
	int r = fd < 0 ? -errno : 0;
	if (r == 0 && control_has_writer(fd))
		return -EAGAIN;
	if (r == 0)
		r = file_read_fd(fd, LIMIT_RELEASE_BYTES, &text, &len);
	if (r == 0 && len > 0) {
		*ret_text = TAKE_PTR(text);
		*ret_len = len;
		return 0;
	}
	if (r == -ENOENT || r == -EAGAIN) /* EAGAIN: it grew; its writer will close it */
		return r;
	if (r == 0) {
		(void)snprintf(why, why_size, "new: is empty");
	} else if (r == -EFBIG) {
		(void)snprintf(
			why, why_size, "new: is larger than %zu MiB", LIMIT_RELEASE_BYTES >> 20);
	} else {
		(void)snprintf(why, why_size, "new: cannot be read: %s", err_name(r));
	}
	return -EBADMSG;
}

static void reject_document(struct control_dir *c, uint64_t number, const char *text, size_t len,
	const struct release_errors *errors)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) lines = STRBUF((size_t)1 << 20);
	char line[700];

	for (size_t i = 0; i < errors->n; i++) {
		(void)release_error_format(&errors->list[i], line, sizeof line);
		(void)strbuf_printf(&lines, "%s%s", i ? "\n" : "", line);
	}
	if (errors->more)
		(void)strbuf_puts(&lines, "\nand more");
	control_reject_claim(c, number, text, len, lines.data ? lines.data : "not a release");

	if (errors->n > 0)
		(void)release_error_format(&errors->list[0], line, sizeof line);
	if (errors->n > 1)
		control_notice(c, NOTICE_REFUSED,
			"release rejected with %zu%s errors (all in %s/last_error): %s", errors->n,
			errors->more ? " and more" : "", c->path, line);
	else
		control_notice(c, NOTICE_REFUSED, "release rejected: %s", line);
}

/* Unique among what is on its way, so that no two get one name in the history. */
int64_t control_next_version(struct control_dir *c)
{
	int64_t last = control_last_version(c);
	struct submission *s;

	LIST_FOREACH (s, &c->submissions, link)
		last = s->version > last ? s->version : last;
	return last < INT64_MAX ? last + 1 : last;
}

int control_hand_over(struct control_dir *c, uint64_t number, char *text, size_t len,
	const char *note, struct release *release)
{
	struct submission *s = calloc(1, sizeof *s);

	if (!s) {
		free(text);
		return -ENOMEM;
	}
	if (release->version == 0)
		release->version = control_next_version(c);
	s->claim = number;
	s->version = release->version;
	s->text = text;
	s->len = len;
	(void)snprintf(s->note, sizeof s->note, "%s", note ? note : "");
	LIST_INSERT_HEAD(&c->submissions, s, link);
	c->events->submitted(c->userdata, s, release);
	return 0;
}

/* The claim at index `at`; true when it was handed over. It has left the list unless it waits. */
static bool try_claim(struct control_dir *c, unsigned at)
{
	uint64_t number = c->claims[at];
	struct release_errors errors = {0};
	_cleanup_free_ char *text = NULL;
	struct release *release;
	size_t len = 0;
	char why[300];

	int r = read_claim(c, number, &text, &len, why, sizeof why);
	if (r == -EAGAIN)
		return false;
	control_forget_claim(c, at);
	if (r == -EBADMSG) {
		control_reject_claim(c, number, NULL, 0, why);
		control_notice(c, NOTICE_REFUSED, "release rejected: %s", why);
	}
	if (!text)
		return false;

	/* Committed just before a crash, which left its claim. */
	if (number <= c->last_leftover && c->in_force && len == c->in_force_len &&
		memcmp(text, c->in_force, len) == 0) {
		(void)control_claim_end(c, number, false);
		return false;
	}
	r = release_parse(text, len, &release, &errors);
	if (r == -EINVAL) {
		reject_document(c, number, text, len, &errors);
		release_errors_done(&errors);
		return false;
	}
	release_errors_done(&errors);
	if (r == 0) {
		/* It overtakes all that came before it. */
		for (; at > 0; at--) {
			control_remove_claim(c, c->claims[0]);
			control_forget_claim(c, 0);
		}
		r = control_hand_over(c, number, TAKE_PTR(text), len, NULL, release);
		if (r == 0)
			return true;
		(void)release_unref(release);
	}
	control_notice(c, NOTICE_ERROR, "a submission was lost: %s", err_name(r));
	control_remove_claim(c, number);
	return false;
}

/* From the newest to the oldest: one that is refused must not take a good one before it down, and
 * one whose writer is not done does not hold it up. */
void control_deliver(struct control_dir *c)
{
	for (unsigned at = c->n_claims; at > 0; at--) {
		/* Callbacks may have changed the list. */
		if (at > c->n_claims)
			continue;
		if (try_claim(c, at - 1))
			return;
	}
}
