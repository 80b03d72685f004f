/* Names: of the stack's image, and of ours. Pure. */
#include "drivers/docker/image_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define NAME_MAX_LEN 255 /* of a repository, with its host */
#define TAG_MAX_LEN  128
#define APP_MAX_LEN  64

/* "cedar-14", "heroku-24": a family and a number. */
static bool is_family(const char *stack, const char *family, const char **ret_number)
{
	size_t len = strlen(family);

	if (strncmp(stack, family, len) != 0 || stack[len] != '-')
		return false;
	*ret_number = stack + len + 1;
	size_t digits = strspn(*ret_number, "0123456789");
	return digits > 0 && digits <= 4 && (*ret_number)[digits] == '\0';
}

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One component of a path: words of [a-z0-9] with ".", "_", "__" or dashes between them. */
static bool is_component(const char *s, size_t len)
{
	size_t i = 0;

	for (;;) {
		size_t word = i;
		while (i < len && is_lower(s[i]))
			i++;
		if (i == word)
			return false;
		if (i == len)
			return true;
		char c = s[i];
		size_t from = i;
		while (i < len && s[i] == c)
			i++;
		size_t run = i - from;
		if (!(c == '-' || (c == '_' && run <= 2) || (c == '.' && run == 1)))
			return false;
	}
}

/* "registry.example", "localhost", with ":5000" or not: what stands before the first slash. */
static bool is_host(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && (isalnum((unsigned char)s[i]) || s[i] == '.' || s[i] == '-'))
		i++;
	if (i == 0)
		return false;
	if (i == len)
		return true;
	if (s[i++] != ':' || i == len)
		return false;
	return strspn(s + i, "0123456789") >= len - i;
}

static bool is_path(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);
	bool first = true;

	while (slash) {
		size_t n = (size_t)(slash - s);
		if (!is_component(s, n) && !(first && is_host(s, n)))
			return false;
		first = false;
		s += n + 1;
		len -= n + 1;
		slash = memchr(s, '/', len);
	}
	return is_component(s, len);
}

static bool is_tag(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > TAG_MAX_LEN || *s == '.' || *s == '-')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static bool is_digest(const char *s)
{
	const char *colon = strchr(s, ':');

	if (!colon || colon == s)
		return false;
	for (const char *c = s; c < colon; c++)
		if (!isalnum((unsigned char)*c) && !strchr("+._-", *c))
			return false;
	size_t len = strlen(colon + 1);
	return len >= 32 && len <= 128 && strspn(colon + 1, "0123456789abcdef") == len;
}

/* Where the tag of a reference begins: behind a colon in its last component; NULL = it has none. */
static const char *tag_of(const char *s)
{
	const char *slash = strrchr(s, '/');

	return strchr(slash ? slash : s, ':');
}

static bool is_reference(const char *text)
{
	char copy[IMAGE_REFERENCE_SIZE];

	if (image_is_id(text))
		return true;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return false;
	char *at = strchr(copy, '@');
	if (at) {
		*at = '\0';
		if (!is_digest(at + 1))
			return false;
	}
	const char *colon = tag_of(copy);
	if (colon && !is_tag(colon + 1))
		return false;
	size_t len = colon ? (size_t)(colon - copy) : strlen(copy);
	return len <= NAME_MAX_LEN && is_path(copy, len);
}

bool image_is_id(const char *reference)
{
	if (strncmp(reference, "sha256:", 7) == 0)
		reference += 7;
	return strlen(reference) == 64 && strspn(reference, "0123456789abcdef") == 64;
}

bool image_wants_tag(const char *reference)
{
	return !strchr(reference, '@') && !tag_of(reference);
}

int image_of_stack(const char *stack, char *ret_reference, size_t size, struct err *err)
{
	char shown[100];
	const char *number;
	int n;

	if (is_family(stack, "cedar", &number))
		n = snprintf(ret_reference, size, "heroku/cedar:%s", number);
	else if (is_family(stack, "heroku", &number))
		n = snprintf(ret_reference, size, "heroku/heroku:%s", number);
	else if (is_reference(stack))
		n = snprintf(ret_reference, size, "%s", stack);
	else
		return err_set(err, -EINVAL,
			"Stack: \"%s\" is neither a stack such as heroku-24 nor the name of an "
			"image: name/name:tag, in lower case",
			str_printable(stack, strlen(stack), shown, sizeof shown));
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -EINVAL, "Stack: it is too long for the name of an image");
	return 0;
}

void image_repository(const char *app, char *ret_name, size_t size)
{
	char name[APP_MAX_LEN + 1];
	size_t n = 0;

	/* The engine takes lower case only, and no two separators side by side. */
	for (; *app && n < APP_MAX_LEN; app++) {
		char c = (char)tolower((unsigned char)*app);

		if (is_lower(c))
			name[n++] = c;
		else if (n > 0 && name[n - 1] != '-')
			name[n++] = '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
	(void)snprintf(ret_name, size, "hsup/%s", n > 0 ? name : "app");
}
