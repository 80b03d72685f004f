/* Any bytes as a launch spec. The copy has exactly their size, so that a read behind them is seen.
 */
#include "wire/spec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where every byte ends up that a reader of the spec would look at. */
extern volatile size_t fuzz_seen;
volatile size_t fuzz_seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct spec spec;

	if (size == 0)
		return 0;
	char *copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (spec_parse(copy, size, &spec) == 0) {
		size_t total = strlen(spec.program);

		if (spec.n_args == 0 || spec.argv[spec.n_args] || spec.env[spec.n_env] ||
			spec.n_groups > LIMIT_GROUPS || spec.umask > 0777 ||
			spec.session > SPEC_SESSION_FOREGROUND ||
			(spec.has_user && (spec.uid == UINT32_MAX || spec.gid == UINT32_MAX)))
			abort();
		for (char **p = spec.argv; *p; p++)
			total += strlen(*p);
		for (char **p = spec.env; *p; p++)
			if (!strchr(*p, '='))
				abort();
		if (spec.directory)
			total += strlen(spec.directory);
		fuzz_seen = total;
	}
	free(copy);
	return 0;
}
