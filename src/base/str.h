/* A growing byte string with a cap. */
#pragma once

#include "base/mem.h"

#include <stddef.h>

/* Zero-initialise, or STRBUF(cap). Owner frees with strbuf_done(). data is always
 * NUL-terminated once anything was appended (NULL before); len does not count the NUL. A failed
 * append (-ENOMEM, -E2BIG) is remembered in `error`, so a caller may append many times and look
 * once. */
struct strbuf {
	char *data;
	size_t len, cap;
	size_t limit; /* bytes, 0 = 64 MiB */
	int error;
};

#define STRBUF(bytes) ((struct strbuf){.limit = (bytes)})

int strbuf_add(struct strbuf *b, const void *data, size_t len);
int strbuf_puts(struct strbuf *b, const char *text);
int strbuf_printf(struct strbuf *b, const char *fmt, ...) HSUP_PRINTF(2, 3);
/* Text as one component of a URL's path or query (RFC 3986). */
void strbuf_escape(struct strbuf *b, const char *text);
void strbuf_reset(struct strbuf *b); /* empties, keeps the memory */
void strbuf_done(struct strbuf *b);  /* frees; b is usable again */

#define _cleanup_strbuf_ HSUP_CLEANUP(strbuf_done)

/* Text that may hold anything, made fit for one terminal line: control characters, DEL and bytes
 * that are not UTF-8 become \xNN; at most size-1 bytes, cut at a character border, "..." at the
 * end when cut. Returns ret_text. */
char *str_printable(const char *text, size_t len, char *ret_text, size_t size);

/* Bytes of the longest prefix of data that ends on a UTF-8 character border (bytes that are not
 * UTF-8 count as characters of their own): where to cut a line without cutting a character. */
size_t utf8_cut(const char *data, size_t len);

/* The byte offset of the first byte that is not valid UTF-8 (RFC 3629), or len. */
size_t utf8_valid_prefix(const char *data, size_t len);

/* Levenshtein distance, bounded: strings over 64 bytes give SIZE_MAX. For "did you mean". */
size_t str_distance(const char *a, const char *b);
