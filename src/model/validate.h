/* The rules for single values of a release, as pure functions on strings.
 *
 * A rule returns NULL when the text is fine, else what it must be: "must be ...", a static string
 * to which the reader adds what it got. Text holds no NUL (the reader has checked). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef const char *(*rule_fn)(const char *text);

const char *rule_type(const char *text);
const char *rule_app_name(const char *text);
const char *rule_slug(const char *text);
const char *rule_checksum(const char *text);
const char *rule_stack(const char *text);
const char *rule_logplex_url(const char *text);
const char *rule_env_name(const char *text);
const char *rule_env_file(const char *text);
const char *rule_directory(const char *text);
const char *rule_user(const char *text);
const char *rule_signal(const char *text);
const char *rule_http_path(const char *text);
const char *rule_log_file(const char *text);
const char *rule_owner(const char *text); /* "user" or "user:group" */
const char *rule_bind(const char *text);  /* "host:container", ":ro" or ":rw" behind it */
/* What rule_bind() has nothing against. The lengths of its paths. */
void bind_split(const char *text, size_t *ret_host, size_t *ret_container, bool *ret_read_only);

/* The one of `names` that was probably meant by `given` (a slip or two, or only the case differs);
 * NULL when none is near. */
const char *nearest_name(const char *given, const char *const *names, size_t n);
