/* What the two halves of a container's body share. */
#pragma once

#include "drivers/docker/body.h"

/* What is being written; the first failure of it is remembered. */
struct body {
	const struct body_setup *setup;
	json_t *root, *host, *env;
	struct strbuf *first; /* NULL: config vars go into Env */
	unsigned n_lines;
	bool root_user;
	bool failed;
};

/* Both take the value, on failure too. */
void body_put(struct body *b, json_t *object, const char *name, json_t *value);
void body_add(struct body *b, json_t *array, json_t *value);

/* ---- body_host.c ---- */
int body_host(struct body *b, struct err *err) HSUP_MUST_CHECK;
