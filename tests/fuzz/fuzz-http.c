/* Requests to the control API: "METHOD TARGET\n" and a body. Whatever they are, each is answered,
 * with a status that is known, and what is said is JSON where it says so. */
#include "control/private.h"
#include "control/tail.h"
#include "fake/operate.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_answer(const struct answer *a)
{
	static const unsigned known[] = {200, 202, 400, 403, 404, 405, 409, 413, 422, 429, 500};
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		found |= a->status == known[i];
	demand(found && (a->page || a->stream));
	demand((a->status == 405) == (a->allow != NULL));
	if (a->stream) {
		char part[8192];

		demand(a->stream->ops->read(a->stream, part, sizeof part) <= (ssize_t)sizeof part);
	} else if (a->type == ANSWER_JSON) {
		json_t *j =
			json_loadb(a->page->body.data, a->page->body.len, JSON_DECODE_ANY, NULL);

		demand(!a->page->body.error && j);
		json_decref(j);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct supervisor supervisor;
	struct control c = {.s = &supervisor};
	struct request r = {.role = ROLE_OPERATE, .asker = {"a fuzzer"}};
	struct answer a = {0};
	struct err err = {0};

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	char *line = memchr(text, '\n', size), *target = memchr(text, ' ', size);
	if (!line || !target || target > line)
		return 0;
	*line = *target++ = '\0';
	r.method = text;
	r.body = line + 1;
	r.body_len = (size_t)(text + size - r.body);
	if (r.body_len > LIMIT_CONTROL_WORDS)
		return 0;
	fake_supervisor_open(&supervisor);
	demand(rings_open(NULL, &supervisor.rings, &err) == 0);
	int k = request_parse(&r, target, &err);
	demand(k == 0 || err.text[0]);
	if (k == 0) {
		route_answer(&c, &r, &a);
		check_answer(&a);
	}
	answer_done(&a);
	(void)page_unref(c.dynos);
	request_done(&r);
	supervisor.rings = rings_free(supervisor.rings);
	fake_supervisor_close(&supervisor);
	return 0;
}
