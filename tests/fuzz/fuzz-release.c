/* Release documents: whatever the bytes are, the parser takes or refuses them, and what it takes
 * keeps its own promises. */
#include "model/diff.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_taken(const struct release *r)
{
	struct type_diff changes[2 * LIMIT_TYPES];
	struct formation *f = formation_new(r), *again = formation_new(r);
	size_t total = 0;

	demand(f && again && f->n_types <= LIMIT_TYPES);
	for (unsigned i = 0; i < f->n_types; i++) {
		demand(formation_find(f, f->types[i].name) == &f->types[i]);
		demand(r->processes[i].n_args > 0 && r->processes[i].args[0]);
		total += f->types[i].quantity;
	}
	demand(total <= LIMIT_QUANTITY);
	demand(formation_diff(f, again, changes) == f->n_types);
	for (unsigned i = 0; i < f->n_types; i++)
		demand(changes[i].change == CHANGE_SAME);
	free(f);
	free(again);
}

static void check_refused(const struct release_errors *errors)
{
	char line[600];

	demand(errors->n > 0 && errors->n <= LIMIT_RELEASE_ERRORS);
	for (size_t i = 0; i < errors->n; i++) {
		const struct release_error *e = &errors->list[i];
		const struct release_error *before = i ? e - 1 : e;

		demand(e->text[0] && e->line > 0 && e->column > 0);
		demand(before->line < e->line ||
			(before->line == e->line && before->column <= e->column));
		for (const char *p = release_error_format(e, line, sizeof line); *p; p++)
			demand((unsigned char)*p >= 0x20 && *p != 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct release_errors errors = {0};
	struct release *r = NULL;
	int result = release_parse((const char *)data, size, &r, &errors);

	demand(result == 0 || result == -EINVAL);
	demand((r != NULL) == (result == 0));
	if (r)
		check_taken(r);
	else
		check_refused(&errors);
	release_unref(r);
	release_errors_done(&errors);
	return 0;
}
