#include "cli/table.h"

#include "model/options.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define CELLS ((size_t)1 << 20)

static const char *const codes[] = {
	[TONE_NONE] = "",
	[TONE_GOOD] = "\033[32m",
	[TONE_BUSY] = "\033[33m",
	[TONE_BAD] = "\033[31m",
	[TONE_QUIET] = "\033[2m",
};

void table_cell(struct table *t, enum tone tone, const char *text)
{
	size_t len = strlen(text), size = 4 * len + 1;
	char *cell = malloc(size);

	if (!cell || mem_grow(&t->cells, &t->cap_cells, t->n + 1, CELLS, sizeof *t->cells) < 0 ||
		mem_grow(&t->tones, &t->cap_tones, t->n + 1, CELLS, sizeof *t->tones) < 0) {
		t->failed = true;
		free(cell);
		return;
	}
	/* What comes from a release or a dyno must not reach the terminal as it is. */
	str_printable(text, len, cell, size);
	t->cells[t->n] = cell;
	t->tones[t->n++] = tone;
}

void table_cellf(struct table *t, enum tone tone, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	table_cell(t, tone, text);
}

static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct table *t, FILE *out, const size_t *wide, char *const *cells,
	const enum tone *tones)
{
	size_t columns = t->columns;

	/* No blanks at the end of a line. */
	while (columns > 0 && !*cells[columns - 1])
		columns--;
	for (size_t i = 0; i < columns; i++) {
		int pad = (int)(wide[i] - width(cells[i]));
		enum tone tone = tones ? tones[i] : TONE_NONE;

		if (t->right[i])
			(void)fprintf(out, "%*s", pad, "");
		(void)fprintf(out, "%s%s%s", codes[tone], cells[i], tone ? "\033[0m" : "");
		if (i + 1 < columns)
			(void)fprintf(out, "%*s", (t->right[i] ? 0 : pad) + 2, "");
	}
	(void)fputc('\n', out);
}

int table_print(const struct table *t, FILE *out, bool color)
{
	size_t wide[TABLE_COLUMNS] = {0};
	char *titles[TABLE_COLUMNS];

	if (t->failed)
		return -ENOMEM;
	if (t->n == 0 || t->columns == 0)
		return 0;
	memcpy(titles, t->titles, sizeof titles);
	for (size_t i = 0; i < t->columns; i++)
		wide[i] = width(t->titles[i]);
	for (size_t i = 0; i < t->n; i++) {
		size_t w = width(t->cells[i]), column = i % t->columns;

		if (w > wide[column])
			wide[column] = w;
	}
	print_row(t, out, wide, titles, NULL);
	for (size_t i = 0; i < t->n; i += t->columns)
		print_row(t, out, wide, &t->cells[i], color ? &t->tones[i] : NULL);
	return 0;
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->tones);
	t->cells = NULL;
	t->tones = NULL;
	t->n = t->cap_cells = t->cap_tones = 0;
}

bool color_wanted(int when, int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

const char *show_duration(double seconds, char ret_text[24])
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;

	if (s < 60)
		(void)snprintf(ret_text, 24, "%lus", s);
	else if (s < 3600)
		(void)snprintf(ret_text, 24, "%lum %lus", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(ret_text, 24, "%luh %lum", s / 3600, s / 60 % 60);
	else
		(void)snprintf(ret_text, 24, "%lud %luh", s / 86400, s / 3600 % 24);
	return ret_text;
}

const char *show_size(double bytes, char ret_text[24])
{
	static const char units[] = "BKMGTP";
	size_t unit = 0;

	while (bytes >= 1024 && unit + 2 < sizeof units) {
		bytes /= 1024;
		unit++;
	}
	(void)snprintf(ret_text, 24, unit && bytes < 100 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
	return ret_text;
}
