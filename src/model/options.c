#include "model/options.h"

#include "base/hash.h"

#include <errno.h>
#include <stdio.h>

int options_path_of(const char *runtime_dir, const char *of, char **ret_path)
{
	const char *slash = strrchr(of, '/');
	char *path;

	if (asprintf(&path, "%s/%.40s-%016llx", runtime_dir, slash && slash[1] ? slash + 1 : "root",
		    (unsigned long long)hash_str(HASH_INIT, of)) < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}
