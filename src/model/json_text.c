#include "model/json_text.h"

#include "base/hash.h"

#include <errno.h>

struct scan {
	struct json_text *t;
	size_t at;
	unsigned depth;
};

static char peek(const struct scan *s)
{
	return s->at < s->t->len ? s->t->data[s->at] : '\0';
}

static void skip_space(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		s->at++;
}

/* The offset behind the string that begins at `at`; len when it does not end. */
static size_t string_end(const char *data, size_t len, size_t at)
{
	for (at++; at < len; at++) {
		if (data[at] == '\\')
			at++;
		else if (data[at] == '"')
			return at + 1;
	}
	return len;
}

static size_t scalar_end(const char *data, size_t len, size_t at)
{
	if (at < len && data[at] == '"')
		return string_end(data, len, at);
	while (at < len && !strchr(" \t\r\n,:]}", data[at]))
		at++;
	return at;
}

int json_text_measure(const char *data, size_t len, size_t *ret_values, size_t *ret_at)
{
	size_t values = 1, depth = 0;

	for (size_t at = 0; at < len; at++) {
		switch (data[at]) {
		case '"':
			at = string_end(data, len, at) - 1;
			break;
		case '{':
		case '[':
			if (++depth > LIMIT_RELEASE_DEPTH) {
				*ret_at = at;
				return -ELOOP;
			}
			values++;
			break;
		case '}':
		case ']':
			depth -= depth > 0;
			break;
		case ',':
			values++;
			break;
		default:
			break;
		}
	}
	*ret_values = values;
	return 0;
}

static size_t slot_of(const struct json_text *t, uint32_t parent, const char *name)
{
	size_t mask = t->n_slots - 1;
	uint64_t h = hash_str(hash_u64(HASH_INIT, parent), name);

	for (size_t i = (h ^ h >> 32) & mask;; i = (i + 1) & mask) {
		const struct json_node *node = &t->nodes[t->slots[i]];
		if (t->slots[i] == 0 || (node->parent == parent && strcmp(node->name, name) == 0))
			return i;
	}
}

uint32_t json_text_member(const struct json_text *t, uint32_t object, const char *name)
{
	return t->slots[slot_of(t, object, name)];
}

static int add_node(struct json_text *t, struct json_node node, uint32_t *last)
{
	if (t->n == t->cap)
		return -EINVAL;

	uint32_t number = (uint32_t)t->n++;
	t->nodes[number] = node;
	if (*last)
		t->nodes[*last].next = number;
	else if (number)
		t->nodes[node.parent].child = number;
	*last = number;
	if (node.name) {
		uint32_t *slot = &t->slots[slot_of(t, node.parent, node.name)];
		if (*slot) {
			t->nodes[*slot].overridden = true;
			t->nodes[number].repeated = true;
		}
		*slot = number;
	}
	return 0;
}

/* Reads `"key" :` and leaves the scan at the value. */
static int scan_key(struct scan *s, struct json_node *node)
{
	struct json_text *t = s->t;

	if (peek(s) != '"')
		return -EINVAL;
	node->key = (uint32_t)s->at;
	s->at = string_end(t->data, t->len, s->at);
	char *name = t->names + t->names_len;
	char *end = json_name_decode(t->data + node->key + 1, t->data + s->at - 1, name);
	if (!end)
		return -EINVAL;
	*end++ = '\0';
	t->names_len += (size_t)(end - name);
	node->name = name;
	skip_space(s);
	if (peek(s) != ':')
		return -EINVAL;
	s->at++;
	skip_space(s);
	return 0;
}

static int scan_members(struct scan *s, uint32_t parent, char close);

static int scan_value(struct scan *s, uint32_t number)
{
	char c = peek(s);

	if (c == '{' || c == '[') {
		if (++s->depth > LIMIT_RELEASE_DEPTH)
			return -EINVAL;
		s->at++;
		int r = scan_members(s, number, c == '{' ? '}' : ']');
		s->depth--;
		return r;
	}
	size_t end = scalar_end(s->t->data, s->t->len, s->at);
	if (end == s->at)
		return -EINVAL;
	s->at = end;
	return 0;
}

static int scan_members(struct scan *s, uint32_t parent, char close)
{
	uint32_t last = 0;

	skip_space(s);
	if (peek(s) == close) {
		s->at++;
		return 0;
	}
	for (;;) {
		struct json_node node = {.parent = parent, .key = (uint32_t)s->at};
		int r = close == '}' ? scan_key(s, &node) : 0;
		node.value = (uint32_t)s->at;
		if (r == 0)
			r = add_node(s->t, node, &last);
		if (r == 0)
			r = scan_value(s, last);
		if (r < 0)
			return r;
		skip_space(s);
		char c = peek(s);
		s->at++;
		if (c == close)
			return 0;
		if (c != ',')
			return -EINVAL;
		skip_space(s);
	}
}

int json_text_index(struct json_text *t, const char *data, size_t len, size_t values)
{
	struct scan s = {.t = t};
	uint32_t last = 0;

	*t = (struct json_text){.data = data, .len = len, .cap = values, .n_slots = 2, .line = 1};
	while (t->n_slots < 2 * values)
		t->n_slots *= 2;
	t->nodes = calloc(values, sizeof *t->nodes);
	t->slots = calloc(t->n_slots, sizeof *t->slots);
	t->names = malloc(len + 1);
	if (!t->nodes || !t->slots || !t->names)
		return -ENOMEM;

	skip_space(&s);
	int r = add_node(
		t, (struct json_node){.key = (uint32_t)s.at, .value = (uint32_t)s.at}, &last);
	return r < 0 ? r : scan_value(&s, 0);
}

void json_text_done(struct json_text *t)
{
	free(t->nodes);
	free(t->slots);
	free(t->names);
	*t = (struct json_text){0};
}

size_t json_text_scalar(const struct json_text *t, uint32_t node)
{
	size_t at = t->nodes[node].value;

	return scalar_end(t->data, t->len, at) - at;
}

void json_text_place(struct json_text *t, size_t offset, unsigned *ret_line, unsigned *ret_column)
{
	if (offset < t->seen || t->line == 0) {
		t->seen = t->line_start = 0;
		t->line = 1;
	}
	if (offset > t->len)
		offset = t->len;
	while (t->seen < offset) {
		const char *newline = memchr(t->data + t->seen, '\n', offset - t->seen);
		if (!newline) {
			t->seen = offset;
			break;
		}
		t->seen = t->line_start = (size_t)(newline - t->data) + 1;
		t->line++;
	}
	*ret_line = t->line;
	*ret_column = (unsigned)(offset - t->line_start) + 1;
}
