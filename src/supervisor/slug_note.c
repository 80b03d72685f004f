/* Which slugs the release in force and the one before it are made of: a line each. */
#include "supervisor/slug_store.h"

#include "base/file.h"
#include "base/str.h"

#include <stdio.h>

#define NOTE	   "../in-force"
#define LINE_BYTES (16 + 1 + SLUG_DIGEST_SIZE - 1 + 1)

/* "<key> <digest>\n" */
static int compose(uint64_t key, const char *digest, char ret_line[LINE_BYTES + 1])
{
	return snprintf(ret_line, LINE_BYTES + 1, "%016llx %s\n", (unsigned long long)key, digest);
}

static int read_note(const struct slug_store *s, char **ret_text, size_t *ret_len)
{
	int r = file_read(s->dir, NOTE, 2 * LINE_BYTES, ret_text, ret_len);

	return r < 0 || *ret_len % LINE_BYTES ? -1 : 0;
}

void slug_store_note(const struct slug_store *s, uint64_t key, const char *digest)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) note = STRBUF(2 * LINE_BYTES);
	_cleanup_free_ char *old = NULL;
	char line[LINE_BYTES + 1];
	size_t len = 0;

	if (compose(key, digest, line) != LINE_BYTES || strbuf_add(&note, line, LINE_BYTES) < 0)
		return;
	if (read_note(s, &old, &len) == 0 && len >= LINE_BYTES) {
		if (memcmp(old, line, LINE_BYTES) == 0)
			return;
		if (strbuf_add(&note, old, LINE_BYTES) < 0)
			return;
	}
	int r = file_replace(s->dir, NOTE, note.data, note.len, 0600);
	(void)r; /* best effort, as said in slug_store.h */
}

bool slug_store_noted(
	const struct slug_store *s, unsigned which, uint64_t key, char ret_digest[SLUG_DIGEST_SIZE])
{
	_cleanup_free_ char *text = NULL;
	char wanted[LINE_BYTES + 1];
	size_t len = 0;

	if (read_note(s, &text, &len) < 0 || len < (which + 1) * LINE_BYTES)
		return false;
	char *line = text + which * LINE_BYTES;
	(void)compose(key, "", wanted);
	line[LINE_BYTES - 1] = '\0';
	if (strncmp(line, wanted, 17) != 0 || !slug_store_is_digest(line + 17))
		return false;
	memcpy(ret_digest, line + 17, SLUG_DIGEST_SIZE);
	return true;
}
