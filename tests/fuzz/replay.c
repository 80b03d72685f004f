/* Runs a fuzz target over the files of its corpus, as a plain test: each file, and each of its
 * beginnings that a fuzzer would try first (empty, one byte less). Prints how many. A folder
 * without a file is an error: nothing would be tested. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_BYTES ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of exactly its size, so that a sanitizer sees every byte read behind it. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int replay(const char *path)
{
	static uint8_t data[MAX_BYTES];
	FILE *f = fopen(path, "rbe");

	if (!f) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size_t size = fread(data, 1, sizeof data, f);
	int failed = ferror(f);
	(void)fclose(f);
	if (failed) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	run(data, size);
	if (size > 0)
		run(data, size - 1);
	return 0;
}

static int replay_folder(const char *folder)
{
	struct dirent **list;
	int n = scandir(folder, &list, NULL, alphasort), count = 0;

	if (n < 0) {
		(void)fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char path[4096];
		struct stat st;

		(void)snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
		free(list[i]);
		if (count < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		count = replay(path) < 0 ? -1 : count + 1;
	}
	free(list);
	return count;
}

int main(int argc, char **argv)
{
	uint8_t nothing = 0;

	run(&nothing, 0);
	for (int i = 1; i < argc; i++) {
		int n = replay_folder(argv[i]);

		if (n == 0)
			(void)fprintf(stderr, "%s: holds no file\n", argv[i]);
		if (n <= 0)
			return 1;
		(void)printf("%s: %d inputs\n", argv[i], n);
	}
	return argc > 1 ? 0 : 2;
}
