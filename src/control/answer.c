#include "control/answer.h"

#include "control/view.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct page *page_new(size_t limit)
{
	struct page *p = calloc(1, sizeof *p);

	if (p) {
		p->refs = 1;
		p->body.limit = limit;
	}
	return p;
}

struct page *page_ref(struct page *p)
{
	p->refs++;
	return p;
}

struct page *page_unref(struct page *p)
{
	if (p && --p->refs == 0) {
		strbuf_done(&p->body);
		free(p);
	}
	return NULL;
}

void answer_done(struct answer *a)
{
	a->page = page_unref(a->page);
	if (a->stream)
		a->stream->ops->free(a->stream);
	*a = (struct answer){0};
}

struct strbuf *answer_body(struct answer *a, unsigned status, enum answer_type type)
{
	answer_done(a);
	a->page = page_new(0);
	/* Without a page it is answered as 500 without a body. */
	a->status = a->page ? status : 500;
	a->type = type;
	return a->page ? &a->page->body : NULL;
}

const char *answer_id(unsigned status)
{
	static const struct {
		unsigned status;
		const char *id;
	} ids[] = {
		{400, "bad_request"},
		{401, "unauthorized"},
		{403, "forbidden"},
		{404, "not_found"},
		{405, "method_not_allowed"},
		{409, "conflict"},
		{413, "too_large"},
		{422, "invalid"},
		{429, "too_many"},
		{503, "unavailable"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i].status == status)
			return ids[i].id;
	return "failed";
}

void answer_error(struct answer *a, unsigned status, const char *fmt, ...)
{
	struct strbuf *b = answer_body(a, status, ANSWER_JSON);
	char text[sizeof((struct err *)0)->text + 100];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!b)
		return;
	view_raw(b, "{");
	view_member_text(b, "id", answer_id(status));
	view_member_text(b, "message", text);
	view_end(b, '}');
	view_finish(b);
}

void answer_failed(struct answer *a, int code, const struct err *err)
{
	static const struct {
		int code;
		unsigned status;
	} known[] = {
		{-ENOENT, 404},
		{-EINVAL, 422},
		{-ERANGE, 422},
		{-E2BIG, 422},
		{-ESHUTDOWN, 409},
		{-EAGAIN, 409},
		{-EBUSY, 409},
		{-ENXIO, 409},
		{-EPERM, 403},
	};
	unsigned status = 500;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].code == code)
			status = known[i].status;
	answer_error(a, status, "%s", err->text[0] ? err->text : err_name(code));
	a->retry = code == -EAGAIN || code == -EBUSY;
}

void answer_not_known_yet(struct answer *a)
{
	struct err err;

	(void)err_set(&err, -EAGAIN, "what runs is not known yet; try again");
	answer_failed(a, -EAGAIN, &err);
}
