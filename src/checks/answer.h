/* The first line of an answer to an HTTP request, out of whatever a stranger sends: pure.
 *
 * The house's HTTP client is libcurl; here it would cost the supervisor 1.2 MB of private memory
 * (measured: global, multi and one easy handle, without TLS), half of what it has, for the three
 * digits behind "HTTP/1.1 ". No header, body, redirect or encoding is looked at. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_LINE_MAX  256	   /* a longer status line is no HTTP */
#define HTTP_BYTES_MAX (16 * 1024) /* before the final status: of interim answers (1xx) */

/* Zero-initialise. */
struct http_answer {
	char line[HTTP_LINE_MAX + 1]; /* what there is of the line at hand */
	size_t len, taken;
	bool skipping; /* the headers of an interim answer */
};

/* The next bytes. The final status (200..599, also 101); 0 = go on; -EBADMSG: that is no HTTP/1,
 * and a->line has how it begins; -E2BIG. */
int http_answer_feed(struct http_answer *a, const char *data, size_t len);
