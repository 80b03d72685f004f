/* The file of tokens: read anew when it has changed, so that what was taken out of it is stale at
 * once. */
#include "control/access.h"

#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 10)

struct token {
	enum role role;
	size_t len;
	char name[TOKEN_NAME + 1];
	char secret[TOKEN_MAX]; /* zeros behind it */
};

struct tokens {
	char *path;
	struct stat seen; /* .st_ino 0 = not read yet */
	int broken;	  /* what came of reading it */
	struct err why;
	size_t n;
	struct token list[LIMIT_CONTROL_TOKENS];
};

struct tokens *tokens_new(const char *path)
{
	struct tokens *t = calloc(1, sizeof *t);

	if (t)
		t->path = strdup(path);
	return t && t->path ? t : tokens_free(t);
}

static void forget(struct tokens *t)
{
	explicit_bzero(t->list, sizeof t->list);
	t->n = 0;
}

struct tokens *tokens_free(struct tokens *t)
{
	if (!t)
		return NULL;
	forget(t);
	free(t->path);
	free(t);
	return NULL;
}

static int parse_line(
	struct tokens *t, const char *line, size_t len, unsigned number, struct err *err)
{
	struct token token = {0};
	const char *end = line + len, *at;

	if (len > 8 && memcmp(line, "operate:", 8) == 0)
		token.role = ROLE_OPERATE;
	else if (len > 6 && memcmp(line, "watch:", 6) == 0)
		token.role = ROLE_WATCH;
	else
		return err_set(err, -EINVAL,
			"line %u is neither operate:TOKEN nor watch:TOKEN (a name may stand "
			"between: watch:ops:TOKEN)",
			number);
	line += token.role == ROLE_OPERATE ? 8 : 6;
	at = memchr(line, ':', (size_t)(end - line));
	if (at) {
		if (at == line || at - line > TOKEN_NAME)
			return err_set(err, -EINVAL, "line %u: a name has 1 to %d bytes", number,
				TOKEN_NAME);
		memcpy(token.name, line, (size_t)(at - line));
		line = at + 1;
	}
	token.len = (size_t)(end - line);
	if (token.len < TOKEN_MIN || token.len > TOKEN_MAX)
		return err_set(err, -EINVAL, "line %u: a token has %d to %d bytes, not %zu", number,
			TOKEN_MIN, TOKEN_MAX, token.len);
	for (size_t i = 0; i < token.len; i++)
		if (line[i] <= ' ' || line[i] > '~')
			return err_set(err, -EINVAL,
				"line %u: a token is of visible ASCII characters", number);
	if (t->n == LIMIT_CONTROL_TOKENS)
		return err_set(err, -E2BIG, "has more than %d tokens", LIMIT_CONTROL_TOKENS);
	memcpy(token.secret, line, token.len);
	t->list[t->n++] = token;
	explicit_bzero(&token, sizeof token);
	return 0;
}

int tokens_parse(struct tokens *t, const char *text, size_t len, struct err *err)
{
	const char *end = text + len;
	unsigned number = 0;
	int r = 0;

	forget(t);
	while (r == 0 && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ? newline : end) - text);
		const char *line = text;

		number++;
		text += n + (newline ? 1 : 0);
		while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		if (n && *line != '#')
			r = parse_line(t, line, n, number, err);
	}
	if (r < 0)
		forget(t);
	return r;
}

static int read_file(struct tokens *t, struct err *err)
{
	_cleanup_close_ int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, -errno, "token file %.300s", t->path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) ||
		(st.st_uid != geteuid() && st.st_uid != 0))
		return err_set(err, -EPERM,
			"token file %.300s must be a file of root's or of the supervisor's user "
			"that nobody else can read: chmod 600",
			t->path);
	int r = file_read_fd(fd, FILE_MAX, &text, &len);
	if (r < 0)
		return err_errno(err, r, "token file %.300s", t->path);
	t->seen = st;
	r = tokens_parse(t, text, len, err);
	explicit_bzero(text, len);
	return r < 0 ? err_wrap(err, "token file %.300s", t->path) : 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The clock that files are stamped by moves on some milliseconds at a time: what was written twice
 * within one step looks the same. */
static bool settled(const struct stat *st)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec > st->st_ctim.tv_sec + 1 || now.tv_sec < st->st_ctim.tv_sec;
}

int tokens_check(struct tokens *t, struct err *err)
{
	struct stat st;

	if (stat(t->path, &st) == 0 && t->seen.st_ino && same_file(&st, &t->seen) &&
		settled(&t->seen)) {
		if (t->broken < 0)
			*err = t->why;
		return t->broken;
	}
	t->seen = (struct stat){0};
	t->broken = read_file(t, err);
	if (t->broken < 0) {
		forget(t);
		t->why = *err;
	}
	return t->broken;
}

/* No branch on what the secret is, nor on how long. */
static unsigned differ(const struct token *t, const char given[TOKEN_MAX], size_t len)
{
	unsigned bits = (unsigned)(t->len ^ len);

	for (size_t i = 0; i < TOKEN_MAX; i++)
		bits |= (unsigned char)(t->secret[i] ^ given[i]);
	return bits;
}

enum role tokens_role(struct tokens *t, const char *authorization, char ret_name[TOKEN_NAME + 1])
{
	char given[TOKEN_MAX] = {0};
	const struct token *found = NULL;
	struct err err = {0};

	ret_name[0] = '\0';
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return ROLE_NONE;
	authorization += 7;
	size_t len = strlen(authorization);
	if (len > TOKEN_MAX || tokens_check(t, &err) < 0)
		return ROLE_NONE;
	memcpy(given, authorization, len);
	for (size_t i = 0; i < t->n; i++)
		if (!differ(&t->list[i], given, len))
			found = &t->list[i];
	explicit_bzero(given, sizeof given);
	if (!found)
		return ROLE_NONE;
	memcpy(ret_name, found->name, sizeof found->name);
	return found->role;
}
