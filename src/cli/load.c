/* Documents from files and standard input, and their errors. */
#include "cli/private.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void print_errors(const char *file, const struct release_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		const struct release_error *e = &errors->list[i];

		(void)printf("%s:%u:%u: %s%s%s\n", file, e->line, e->column, e->path,
			e->path[0] ? ": " : "", e->text);
	}
	if (errors->more)
		(void)printf("%s: and more: these are the first %zu errors\n", file, errors->n);
}

static int read_input(char **ret_text, size_t *ret_len)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) all = STRBUF(LIMIT_RELEASE_BYTES + 1);
	char piece[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (strbuf_add(&all, piece, (size_t)n) < 0)
			return all.error == -E2BIG ? -EFBIG : all.error;
	}
	if (all.len > LIMIT_RELEASE_BYTES)
		return -EFBIG;
	*ret_len = all.len;
	*ret_text = all.data ? TAKE_PTR(all.data) : strdup("");
	return *ret_text ? 0 : -ENOMEM;
}

int load_text(const struct command *c, const char *file, char **ret_text, size_t *ret_len)
{
	int r = strcmp(file, "-") == 0
			? read_input(ret_text, ret_len)
			: file_read(AT_FDCWD, file, LIMIT_RELEASE_BYTES, ret_text, ret_len);

	if (r == -EFBIG)
		(void)command_error(c, "%s: has more than the %zu bytes a release may have", file,
			LIMIT_RELEASE_BYTES);
	else if (r == -EINVAL)
		(void)command_error(c, "%s: is no regular file", file);
	else if (r < 0)
		(void)command_error(c, "%s: %s", file, err_name(r));
	return r;
}

struct release *parse_release(
	const struct command *c, const char *file, const char *text, size_t len)
{
	struct release_errors HSUP_CLEANUP(release_errors_done) errors = {0};
	struct release *release = NULL;
	int r = release_parse(text, len, &release, &errors);

	if (r == -EINVAL)
		print_errors(file, &errors);
	else if (r < 0)
		(void)command_error(c, "%s: %s", file, err_name(r));
	return r < 0 ? NULL : release;
}

struct release *load_release(const struct command *c, const char *file)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	return load_text(c, file, &text, &len) < 0 ? NULL : parse_release(c, file, text, len);
}
