#include "model/release.h"

#include <errno.h>

int env_append(struct env *e, const char *name, const char *value)
{
	int r = mem_grow(&e->vars, &e->cap, e->n + 1, LIMIT_ENV, sizeof *e->vars);

	if (r < 0)
		return r;
	struct env_var var = {.name = strdup(name), .value = strdup(value)};
	if (!var.name || !var.value) {
		free(var.name);
		free(var.value);
		return -ENOMEM;
	}
	e->vars[e->n++] = var;
	return 0;
}

int env_set(struct env *e, const char *name, const char *value)
{
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->vars[i].name, name) != 0)
			continue;
		char *text = strdup(value);
		if (!text)
			return -ENOMEM;
		free(e->vars[i].value);
		e->vars[i].value = text;
		return 0;
	}
	return env_append(e, name, value);
}

size_t env_bytes(const struct env *e)
{
	size_t bytes = 0;

	for (size_t i = 0; i < e->n; i++)
		bytes += strlen(e->vars[i].name) + strlen(e->vars[i].value) + 2;
	return bytes;
}

const char *env_get(const struct env *e, const char *name)
{
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->vars[i].name, name) == 0)
			return e->vars[i].value;
	}
	return NULL;
}

void env_done(struct env *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->vars[i].name);
		free(e->vars[i].value);
	}
	free(e->vars);
	*e = (struct env){0};
}
