/* A JSON document as a flat list of values in document order, each with its place in the text.
 *
 * The JSON library has no positions for values and keeps only the last of two equal keys; this is
 * what it lacks. Kind and value of a node are filled in from the library's tree
 * (release_json.c), so that the rules need to know neither it nor the syntax. */
#pragma once

#include "base/limits.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* More values than any valid release can have: such a document is refused before it is parsed. */
#define JSON_TEXT_VALUES ((size_t)(LIMIT_TYPES + 1) * (LIMIT_ENV + LIMIT_ARGS + 128))

enum node_kind {
	NODE_NULL,
	NODE_BOOLEAN,
	NODE_INTEGER,
	NODE_REAL,
	NODE_STRING,
	NODE_LIST,
	NODE_OBJECT,
};

struct json_node {
	enum node_kind kind;
	bool repeated;	 /* an earlier member of the same object has this name */
	bool overridden; /* a later one has: its value is the one in the library's tree */
	uint32_t key;	 /* byte offset of the key; that of the value when it has none */
	uint32_t value;	 /* byte offset */
	uint32_t parent, child, next; /* node numbers; 0 = none (0 is the document) */
	const char *name;	      /* the key decoded; NULL in a list */
	union {
		bool boolean;
		int64_t integer;
		double real;
		struct {
			const char *data; /* NUL-terminated, may hold more of them */
			size_t len;
		} string;
	};
};

struct json_text {
	const char *data; /* the caller's; must outlive this */
	size_t len;
	struct json_node *nodes;
	size_t n, cap;
	char *names;
	size_t names_len;
	uint32_t *slots; /* (parent, name) -> node: to find equal keys in linear time */
	size_t n_slots;
	size_t seen, line_start; /* json_text_place() goes on from where it was */
	unsigned line;
};

/* An upper bound for the number of values, for text that may not be JSON at all. -ELOOP with the
 * offset of the bracket that nests deeper than LIMIT_RELEASE_DEPTH. */
int json_text_measure(
	const char *data, size_t len, size_t *ret_values, size_t *ret_at) HSUP_MUST_CHECK;

/* Builds the list of a text that the JSON library took. 0, -ENOMEM; -EINVAL if it is no JSON after
 * all. json_text_done() frees, also after a failure. */
int json_text_index(
	struct json_text *t, const char *data, size_t len, size_t values) HSUP_MUST_CHECK;
void json_text_done(struct json_text *t);

/* Writes what stands between the quotes of a key to out, which has room for end - p bytes: decoded
 * text is never longer than its source. Returns the end of it (no NUL), NULL if it is malformed. */
char *json_name_decode(const char *p, const char *end, char *out);

/* The node of object's (last) member of this name; 0 = none. */
uint32_t json_text_member(const struct json_text *t, uint32_t object, const char *name);

/* How many bytes the scalar at this node has in the text. */
size_t json_text_scalar(const struct json_text *t, uint32_t node);

/* Line and column of a byte, both from 1; columns count bytes. */
void json_text_place(struct json_text *t, size_t offset, unsigned *ret_line, unsigned *ret_column);
