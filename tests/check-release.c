/* Prints what release_parse() says of files, one line per error: "file|path|line|column|text". A
 * tool of test_schema.py. Exit: 0 all are good, 1 one is not, 2 cannot tell. */
#include "base/file.h"
#include "model/release.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int check(const char *name)
{
	_cleanup_free_ char *text = NULL;
	HSUP_CLEANUP(release_unrefp) struct release *release = NULL;
	struct release_errors errors = {0};
	size_t len;
	int r = file_read(AT_FDCWD, name, 2 * LIMIT_RELEASE_BYTES, &text, &len);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", name, err_name(r));
		return 2;
	}
	r = release_parse(text, len, &release, &errors);
	for (size_t i = 0; i < errors.n; i++) {
		const struct release_error *e = &errors.list[i];
		printf("%s|%s|%u|%u|%s\n", name, e->path, e->line, e->column, e->text);
	}
	if (errors.more)
		printf("%s||0|0|there are more errors\n", name);
	release_errors_done(&errors);
	return r == 0 ? 0 : r == -EINVAL ? 1 : 2;
}

int main(int argc, char **argv)
{
	int worst = 0;

	for (int i = 1; i < argc; i++) {
		int r = check(argv[i]);
		if (r > worst)
			worst = r;
	}
	return worst;
}
