#include "launcher/versions.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_version(const char *text)
{
	return text[0] >= '0' && text[0] <= '9' && strlen(text) < VERSION_MAX &&
	       strspn(text, "0123456789.") == strlen(text);
}

static int compare(const char *a, const char *b)
{
	while (*a || *b) {
		char *a_end, *b_end;
		unsigned long long x = strtoull(a, &a_end, 10), y = strtoull(b, &b_end, 10);

		if (x != y)
			return x < y ? -1 : 1;
		a = *a_end ? a_end + 1 : a_end;
		b = *b_end ? b_end + 1 : b_end;
	}
	return 0;
}

bool versions_newest(const char *dir, const char *name, const char *except, char ret_path[PATH_MAX],
	char ret_version[VERSION_MAX])
{
	DIR *d = dir ? opendir(dir) : NULL;
	bool any = false;

	if (!d)
		return false;
	for (const struct dirent *e; (e = readdir(d));) {
		char path[PATH_MAX];

		if (!is_version(e->d_name) || strcmp(e->d_name, except) == 0 ||
			(any && compare(e->d_name, ret_version) <= 0))
			continue;
		int n = snprintf(path, sizeof path, "%s/%s/%s", dir, e->d_name, name);
		if (n < 0 || n >= (int)sizeof path || access(path, X_OK) < 0)
			continue;
		memcpy(ret_path, path, (size_t)n + 1);
		memcpy(ret_version, e->d_name, strlen(e->d_name) + 1);
		any = true;
	}
	(void)closedir(d);
	return any;
}
