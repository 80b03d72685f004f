/* The daemon's own settings, hsup.json: read as a release is, with the same kind of errors. */
#pragma once

#include "model/release.h"

struct config {
	bool has_autolaunch; /* none given: every app starts with the daemon */
	char **autolaunch;   /* names of apps; NULL-terminated, or NULL */
	size_t n_autolaunch;
};

/* As release_parse(); *ret is untouched on failure, else the caller's to end with config_done(). */
int config_parse(const char *text, size_t len, struct config *ret,
	struct release_errors *errors) HSUP_MUST_CHECK;

/* Whether the app starts with the daemon. */
bool config_launches(const struct config *c, const char *app);
void config_done(struct config *c);
