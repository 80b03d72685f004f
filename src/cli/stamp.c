#include "cli/stamp.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

static int parse_offset(const char *text, int *ret_seconds)
{
	int hours, minutes, n = 0;

	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if ((text[0] != '+' && text[0] != '-') ||
		sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || text[1 + n])
		return -EINVAL;
	*ret_seconds = (hours * 60 + minutes) * (text[0] == '-' ? -60 : 60);
	return 0;
}

int stamp_parse(const char *text, uint64_t *ret_wall_ns)
{
	struct tm tm = {0};
	uint64_t fraction = 0, unit = NSEC_PER_SEC / 10;
	int offset;
	char t;

	const char *rest = strptime(text, "%Y-%m-%d", &tm);
	if (!rest || ((t = *rest) != 'T' && t != 't' && t != ' '))
		return -EINVAL;
	rest = strptime(rest + 1, "%H:%M:%S", &tm);
	if (!rest)
		return -EINVAL;
	if (*rest == '.')
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			fraction += (uint64_t)(*rest - '0') * unit;
	if (parse_offset(rest, &offset) < 0)
		return -EINVAL;
	time_t seconds = timegm(&tm) - offset;
	if (seconds < 0)
		return -EINVAL;
	*ret_wall_ns = (uint64_t)seconds * NSEC_PER_SEC + fraction;
	return 0;
}

int stamp_parse_since(const char *text, uint64_t now, uint64_t *ret_wall_ns)
{
	unsigned long long number;
	char unit = 's', more;
	uint64_t factor;

	int n = isdigit((unsigned char)*text) ? sscanf(text, "%10llu%c%c", &number, &unit, &more)
					      : 0;
	if (n != 1 && n != 2)
		return stamp_parse(text, ret_wall_ns);
	switch (unit) {
	case 's':
		factor = 1;
		break;
	case 'm':
		factor = 60;
		break;
	case 'h':
		factor = 3600;
		break;
	case 'd':
		factor = 86400;
		break;
	default:
		return -EINVAL;
	}
	uint64_t ago = number * factor;
	*ret_wall_ns = ago >= now / NSEC_PER_SEC ? 0 : now - ago * NSEC_PER_SEC;
	return 0;
}
