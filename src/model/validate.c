#include "model/validate.h"

#include "base/limits.h"
#include "base/parse.h"
#include "base/str.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define LETTERS	      "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	      "0123456789"
#define WORD	      LETTERS CAPITALS DIGITS "_-"
#define APP_NAME_MAX  128
#define USER_NAME_MAX 32

static bool made_of(const char *text, const char *set, size_t max)
{
	size_t len = strlen(text);

	return len > 0 && len <= max && strspn(text, set) == len;
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

static bool has_dot_dot(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += len;
		path += strspn(path, "/");
	}
	return false;
}

/* The length of "scheme://" in front of a URL, 0 when there is none. */
static size_t scheme_length(const char *text)
{
	size_t n = strspn(text, LETTERS CAPITALS DIGITS "+.-");

	return n > 0 && strncmp(text + n, "://", 3) == 0 ? n + 3 : 0;
}

static bool is_http_url(const char *text)
{
	size_t n = scheme_length(text);

	if (!(n == 7 && strncasecmp(text, "http://", n) == 0) &&
		!(n == 8 && strncasecmp(text, "https://", n) == 0))
		return false;
	return strcspn(text + n, "/?#") > 0 && !has_control(text) && !strchr(text, ' ');
}

const char *rule_type(const char *text)
{
	return made_of(text, WORD, LIMIT_TYPE_NAME)
		       ? NULL
		       : "must be 1 to 63 letters, digits, \"-\" or \"_\"";
}

const char *rule_app_name(const char *text)
{
	bool fine = made_of(text, WORD ".", APP_NAME_MAX) && strcmp(text, ".") != 0 &&
		    strcmp(text, "..") != 0;

	return fine ? NULL : "must be 1 to 128 letters, digits, \".\", \"-\" or \"_\"";
}

const char *rule_slug(const char *text)
{
	size_t n = scheme_length(text);
	bool fine = n == 0 || is_http_url(text) ||
		    (n == 7 && strncasecmp(text, "file://", n) == 0 && text[n] == '/');

	return fine ? NULL
		    : "must be a path, or a URL that starts with file:///, http:// or https://";
}

const char *rule_checksum(const char *text)
{
	bool fine = strncasecmp(text, "SHA256:", 7) == 0 && strlen(text) == 7 + 64 &&
		    strspn(text + 7, DIGITS "abcdefABCDEF") == 64;

	return fine ? NULL : "must be \"SHA256:\" and 64 hexadecimal digits";
}

const char *rule_stack(const char *text)
{
	return has_control(text) ? "must be text without control characters" : NULL;
}

const char *rule_logplex_url(const char *text)
{
	return is_http_url(text) ? NULL : "must be a URL that starts with http:// or https://";
}

const char *rule_env_name(const char *text)
{
	bool fine = *text && !strchr(text, '=') && !has_control(text);

	return fine ? NULL
		    : "must be a name of a variable: not empty, no \"=\", no control characters";
}

const char *rule_env_file(const char *text)
{
	return *text ? NULL : "must be the path of a file";
}

const char *rule_directory(const char *text)
{
	bool fine = *text && (*text == '/' || !has_dot_dot(text));

	return fine ? NULL : "must be an absolute path, or a path below the slug without \"..\"";
}

const char *rule_user(const char *text)
{
	uint64_t number;
	bool fine = isdigit((unsigned char)*text)
			    ? parse_u64(text, UINT32_MAX - 1, &number) == 0
			    : made_of(text, LETTERS DIGITS "_-", USER_NAME_MAX) && *text != '-';

	return fine ? NULL
		    : "must be the name of a user (a-z, 0-9, \"_\", \"-\", at most 32) or a number "
		      "up to 4294967294";
}

const char *rule_signal(const char *text)
{
	return parse_signal(text) > 0
		       ? NULL
		       : "must be a signal by name (\"TERM\") or number from 1 to 64";
}

const char *rule_http_path(const char *text)
{
	bool fine = *text == '/' && !has_control(text) && !strpbrk(text, " #");

	return fine ? NULL : "must be a path that starts with \"/\", without blanks and \"#\"";
}

/* Of the placeholders only those that mean something: what is not known today may mean something
 * tomorrow. */
const char *rule_log_file(const char *text)
{
	const char *base = strrchr(text, '/');
	bool fine = *text && !has_dot_dot(text) && !has_control(text) && *(base ? base + 1 : text);

	for (const char *p = strchr(text, '%'); p && fine; p = strchr(p + 1, '%'))
		fine = p[1] == 'd' || p[1] == 's';
	return fine ? NULL
		    : "must be the path of a file, absolute or below the control directory, "
		      "without "
		      "\"..\"; of \"%\" only \"%d\" (the dyno's name) and \"%s\" (stdout or "
		      "stderr)";
}

const char *rule_owner(const char *text)
{
	char user[64];
	size_t len = strcspn(text, ":");
	bool fine = len < sizeof user;

	if (fine) {
		memcpy(user, text, len);
		user[len] = '\0';
		fine = !rule_user(user) && (!text[len] || !rule_user(text + len + 1));
	}
	return fine ? NULL : "must be \"user\" or \"user:group\", each by name or number";
}

const char *rule_bind(const char *text)
{
	const char *colon = strchr(text, ':'), *option = colon ? strchr(colon + 1, ':') : NULL;
	bool fine = colon && text[0] == '/' && colon[1] == '/' &&
		    (!option || strcmp(option, ":ro") == 0 || strcmp(option, ":rw") == 0);

	return fine ? NULL
		    : "must be \"/host/path:/container/path\", both absolute, or that and \":ro\"";
}

void bind_split(const char *text, size_t *ret_host, size_t *ret_container, bool *ret_read_only)
{
	const char *colon = strchr(text, ':'), *option = strchr(colon + 1, ':');

	*ret_host = (size_t)(colon - text);
	*ret_container = option ? (size_t)(option - colon) - 1 : strlen(colon + 1);
	*ret_read_only = option && strcmp(option, ":ro") == 0;
}

static bool fold(const char *text, char out[65])
{
	size_t len = strlen(text);

	if (len > 64)
		return false;
	for (size_t i = 0; i <= len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

const char *nearest_name(const char *given, const char *const *names, size_t n)
{
	char want[65], have[65];
	const char *best = NULL;
	size_t least = SIZE_MAX;

	if (!fold(given, want))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!fold(names[i], have))
			continue;
		size_t distance = str_distance(want, have);
		size_t slips = strlen(have) < 4 ? 1 : strlen(have) / 3 + 1;
		if (distance <= slips && distance < least) {
			best = names[i];
			least = distance;
		}
	}
	return best;
}
