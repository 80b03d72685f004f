/* Text in columns, as wide as what is in them. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>

#define TABLE_COLUMNS 10

enum tone {
	TONE_NONE,
	TONE_GOOD,
	TONE_BUSY,
	TONE_BAD,
	TONE_QUIET,
};

struct table {
	size_t columns;
	const char *titles[TABLE_COLUMNS];
	bool right[TABLE_COLUMNS]; /* numbers */
	char **cells;		   /* row by row; owned */
	enum tone *tones;	   /* of each cell */
	size_t n, cap_cells, cap_tones;
	bool failed; /* out of memory */
};

void table_cell(struct table *t, enum tone tone, const char *text); /* copied */
void table_cellf(struct table *t, enum tone tone, const char *fmt, ...) HSUP_PRINTF(3, 4);
/* With titles; nothing when there is no row. -ENOMEM when one was lost. */
int table_print(const struct table *t, FILE *out, bool color);
void table_done(struct table *t);

bool color_wanted(int when, int fd); /* enum color_mode */

/* "12s", "3m 2s", "1h 4m", "2d 3h". */
const char *show_duration(double seconds, char ret_text[24]);
const char *show_size(double bytes, char ret_text[24]);
