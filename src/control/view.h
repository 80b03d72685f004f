/* JSON as the control API speaks it: written by hand, since a thousand dynos are written in a
 * millisecond that way; read by the JSON library, which is seen in view.c only. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "supervisor/operate.h"

/* ---- writing ---- */

static inline void view_raw(struct strbuf *b, const char *text)
{
	(void)strbuf_add(b, text, strlen(text));
}

/* Behind a value: what comes next is another member or element. view_end() takes the last comma
 * away again. */
void view_end(struct strbuf *b, char bracket);

/* A value; NULL = null. Bytes that are not UTF-8 become U+FFFD. */
void view_text(struct strbuf *b, const char *text);
void view_text_n(struct strbuf *b, const char *text, size_t len);
void view_u64(struct strbuf *b, uint64_t value);
void view_i64(struct strbuf *b, int64_t value);
void view_seconds(struct strbuf *b, uint64_t ns); /* "12.345" */
void view_stamp(struct strbuf *b, uint64_t wall_ns);

/* A member, with its comma behind it: view_end() of the object takes the last one away. `name` is
 * written as it is: it must need no escapes. */
void view_member(struct strbuf *b, const char *name); /* then a value, then ',' */
void view_member_text(struct strbuf *b, const char *name, const char *text);
void view_member_u64(struct strbuf *b, const char *name, uint64_t value);
void view_member_known(struct strbuf *b, const char *name, uint64_t value, uint64_t unknown);
void view_member_bool(struct strbuf *b, const char *name, bool value);
void view_member_seconds(struct strbuf *b, const char *name, uint64_t ns);
/* Of 10000; UINT64_MAX = null. */
void view_member_percent(struct strbuf *b, const char *name, uint64_t of_10000);
void view_member_stamp(struct strbuf *b, const char *name, uint64_t wall_ns); /* 0 = null */

/* {"kind", "code", ...}, or null; at: wall_ns, 0 = not known. */
void view_member_exit(struct strbuf *b, const char *name, const struct dyno_exit *e, uint64_t at);

/* The end of an answer. */
void view_finish(struct strbuf *b);

/* ---- reading ---- */

struct view_list {
	char **list; /* owned, each too */
	size_t n;
};
void view_list_done(struct view_list *l);

enum view_kind {
	VIEW_TEXT,  /* char **, owned by the caller */
	VIEW_TEXTS, /* struct view_list *: a text or a list of texts */
	VIEW_INT,   /* int64_t * */
	VIEW_BOOL,  /* bool * */
};

struct view_field {
	const char *name;
	enum view_kind kind;
	void *to;
};

/* An object with these members, each optional; nothing but blanks is an empty object. -EINVAL: it
 * is none, or a member is of another type or unknown; -ENOMEM. What was read before a fault is the
 * caller's to free. */
int view_read(const char *text, size_t len, const struct view_field *fields, size_t n,
	struct err *err) HSUP_MUST_CHECK;

/* {"web": 3, "worker": "+1"}. -EINVAL also when it is empty. The list is the caller's. */
int view_read_scale(const char *text, size_t len, struct scale **ret_list, size_t *ret_n,
	struct err *err) HSUP_MUST_CHECK;
