#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_name(int code)
{
	/* Not translated: nobody has set a locale. */
	return strerror(code < 0 ? -code : code);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		va_start(ap, fmt);
		(void)vsnprintf(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
		e->code = code;
	}
	return code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		va_start(ap, fmt);
		int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof e->text)
			(void)snprintf(
				e->text + n, sizeof e->text - (size_t)n, ": %s", err_name(code));
		e->code = code;
	}
	return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -EIO;

	char context[sizeof e->text];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	if (n < 0)
		return e->code;

	char inner[sizeof e->text];
	memcpy(inner, e->text, sizeof inner);
	(void)snprintf(e->text, sizeof e->text, "%.200s: %.290s", context, inner);
	return e->code;
}
