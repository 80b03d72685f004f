/* Any bytes as a launch spec. The copy has exactly their size, so that a read behind them is seen.
 */
#include "wire/spec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where every byte ends up that a reader of the spec would look at. */
extern volatile size_t fuzz_seen;
volatile size_t fuzz_seen;

/* What hsup-box takes for names and paths is what they are. */
static size_t look_at_box(const struct spec *s)
{
	const char *const names[] = {s->box_name, s->box_stack, s->hostname};
	size_t total = 0;

	if (!s->has_box) {
		if (s->box_name || s->box_stack || s->box_slug || s->hostname || s->n_binds > 0)
			abort();
		return 0;
	}
	if (s->box.mode == 0 || s->box.mode >= SPEC_BOX_MODE_MAX ||
		s->box.network >= SPEC_BOX_NET_MAX || s->box.target < 0 ||
		s->n_binds > SPEC_BOX_BINDS || (s->box_slug && s->box_slug[0] != '/') ||
		((s->box.mode == SPEC_BOX_RUN || s->box.mode == SPEC_BOX_PARK) &&
			(!s->box_name || !s->box_stack)))
		abort();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i] && (strchr(names[i], '/') || names[i][0] == '.' ||
					strlen(names[i]) > SPEC_BOX_NAME_MAX))
			abort();
	for (unsigned i = 0; i < s->n_binds; i++)
		total += strlen(s->binds[i]);
	return total + (s->box_slug ? strlen(s->box_slug) : 0);
}

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
		total += look_at_box(&spec);
		fuzz_seen = total;
	}
	free(copy);
	return 0;
}
