/* Values with a unit: sizes, ages, modes. */
#include "model/reader.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define AGE_MAX (INT64_C(10) * 366 * 86400)

static int64_t unit_of(const char *units, const int64_t *factors, const char *text)
{
	const char *at = *text ? strchr(units, *text) : NULL;

	return !*text ? 1 : at && !text[1] ? factors[at - units] : 0;
}

/* "512M": digits and a unit, or none. False when it is none, or above max. */
static bool with_unit(const char *text, const char *units, const int64_t *factors, int64_t max,
	int64_t *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	int64_t value = 0, factor = unit_of(units, factors, text + digits);

	if (digits == 0 || factor == 0)
		return false;
	for (size_t i = 0; i < digits; i++) {
		value = value * 10 + (text[i] - '0');
		if (value > max)
			return false;
	}
	if (value > max / factor)
		return false;
	*ret_value = value * factor;
	return true;
}

/* The text of a string without NUL; "" of anything else. */
static const char *text_of(const struct json_node *n)
{
	bool fine = n->kind == NODE_STRING && strlen(n->string.data) == n->string.len;

	return fine ? n->string.data : "";
}

static void refuse(struct reader *rd, uint32_t node, const char *wanted)
{
	const struct json_node *n = reader_node(rd, node);
	char shown[READER_SHOWN];

	if (n->kind == NODE_INTEGER || n->kind == NODE_REAL || n->kind == NODE_STRING)
		reader_error(
			rd, n->value, "must be %s, not %s", wanted, reader_shown(rd, node, shown));
	else
		reader_wrong_kind(rd, node, wanted);
}

/* 1048576 -> "1M" */
static const char *size_text(int64_t size, char ret_text[24])
{
	static const char units[] = "\0KMGT";
	unsigned i = 0;

	for (; i < 4 && size > 0 && size % 1024 == 0; i++)
		size /= 1024;
	(void)snprintf(ret_text, 24, "%" PRId64 "%.1s", size, &units[i]);
	return ret_text;
}

void read_size(struct reader *rd, uint32_t node, const struct field *f, void *member)
{
	static const int64_t factors[] = {INT64_C(1) << 10, INT64_C(1) << 20, INT64_C(1) << 30,
		INT64_C(1) << 40, INT64_C(1) << 10, INT64_C(1) << 20, INT64_C(1) << 30,
		INT64_C(1) << 40};
	const struct json_node *n = reader_node(rd, node);
	char wanted[120], least[24], most[24];
	int64_t size = n->kind == NODE_INTEGER ? n->integer : -1;
	bool fine = n->kind == NODE_INTEGER ||
		    with_unit(text_of(n), "KMGTkmgt", factors, f->max, &size);

	if (fine && size >= f->min && size <= f->max) {
		*(uint64_t *)member = (uint64_t)size;
		return;
	}
	(void)snprintf(wanted, sizeof wanted,
		"a number of bytes from %s to %s, or a string like \"512M\" (K, M, G, T)",
		size_text(f->min, least), size_text(f->max, most));
	refuse(rd, node, wanted);
}

void read_age(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *member)
{
	static const int64_t factors[] = {1, 60, 3600, 86400, 7 * 86400};
	const struct json_node *n = reader_node(rd, node);
	int64_t whole = 0;
	double seconds = n->kind == NODE_INTEGER ? (double)n->integer
			 : n->kind == NODE_REAL	 ? n->real
						 : -1;

	if (with_unit(text_of(n), "smhdw", factors, AGE_MAX, &whole))
		seconds = (double)whole;
	if (seconds >= 0 && seconds <= (double)AGE_MAX)
		*(uint64_t *)member = (uint64_t)(seconds * (double)NSEC_PER_SEC + 0.5);
	else
		refuse(rd, node,
			"a number of seconds, or a string like \"12h\" (s, m, h, d, w), up to 10 "
			"years");
}

void read_octal(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *member)
{
	const struct json_node *n = reader_node(rd, node);
	char shown[READER_SHOWN];
	int value = 0;

	const char *text = reader_string(rd, node, NULL);
	if (!text)
		return;
	size_t len = strlen(text);
	if (len < 1 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0')) {
		reader_error(rd, n->value,
			"must be octal digits like \"022\", at most \"777\", not %s",
			reader_shown(rd, node, shown));
		return;
	}
	for (; *text; text++)
		value = value * 8 + (*text - '0');
	*(int *)member = value;
}
