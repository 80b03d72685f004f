/* Reading a document by tables: each object of a release is a table of fields, and the same table
 * tells the known keys, what is required, how a value is read and where it goes.
 *
 * A reader collects every fault and goes on, until there is no room for more; nothing it read is
 * used when there was one. */
#pragma once

#include "model/json_text.h"
#include "model/release.h"
#include "model/validate.h"

struct reader {
	struct json_text *text;
	struct release_errors *errors;
	int fault; /* -ENOMEM: sticky */
	char path[sizeof(((struct release_error *)NULL)->path)];
	size_t path_len;

	struct config *config;
	struct release *release;
	unsigned quantity; /* of all types so far */
	bool type_fault;   /* a process type could not be read: names may be missing */
	uint32_t rollout;  /* read last: it names process types; 0 = not given */
};

struct field;
typedef void (*field_fn)(struct reader *rd, uint32_t node, const struct field *field, void *member);

struct field {
	const char *key;
	field_fn read;
	size_t offset;	      /* of the member in the struct that read gets */
	const char *required; /* what to say when it is missing; NULL = optional */
	rule_fn rule;	      /* of a string */
	bool empty;	      /* "" is allowed and means: not given */
	int64_t min, max;
	const char *const *choices; /* in the order of the enum, NULL-terminated */
};

/* Adds an error at the key or the value of a node, or at a byte. */
void reader_error(struct reader *rd, size_t offset, const char *fmt, ...) HSUP_PRINTF(3, 4);

/* At the member `key` of an object, or at its member `inner`, when they are there. */
void reader_member_error(struct reader *rd, uint32_t object, const char *key, const char *text);
void reader_inner_error(
	struct reader *rd, uint32_t object, const char *key, const char *inner, const char *text);

/* Goes into a member or an element; give what it returns to reader_leave(). */
size_t reader_enter_key(struct reader *rd, const char *key);
size_t reader_enter_index(struct reader *rd, size_t index);
void reader_leave(struct reader *rd, size_t mark);

static inline const struct json_node *reader_node(const struct reader *rd, uint32_t node)
{
	return &rd->text->nodes[node];
}

/* False, and an error, when the node is not of this kind. */
bool reader_is(struct reader *rd, uint32_t node, enum node_kind kind);

/* "must be <wanted>, not a list" */
void reader_wrong_kind(struct reader *rd, uint32_t node, const char *wanted);

/* Whether a member of an object is to be read; equal keys are an error at the second. */
bool reader_member(struct reader *rd, uint32_t node);

/* The scalar as the document has it, printable and cut. Returns ret_text. */
#define READER_SHOWN 64
char *reader_shown(const struct reader *rd, uint32_t node, char ret_text[READER_SHOWN]);

/* The elements of a list (their number in *ret_n), SIZE_MAX after an error: not a list, or more
 * than max; `what` names them. */
size_t reader_list(struct reader *rd, uint32_t node, size_t max, const char *what);

/* A string that keeps `rule`; NULL after an error, else owned by the document. */
const char *reader_string(struct reader *rd, uint32_t node, rule_fn rule);

/* A copy of text for the release; NULL (and the fault set) when out of memory. */
char *reader_copy(struct reader *rd, const char *text);

/* Reads all fields of an object into `object`. */
void reader_object(
	struct reader *rd, uint32_t node, const struct field *fields, size_t n, void *object);

/* Field readers: what `member` must point to stands behind each. */
void read_text(struct reader *rd, uint32_t node, const struct field *f, void *member); /* char * */
void read_int(struct reader *rd, uint32_t node, const struct field *f, void *member);  /* int */
void read_unsigned(struct reader *rd, uint32_t node, const struct field *f, void *member);
void read_int64(struct reader *rd, uint32_t node, const struct field *f, void *member);
void read_boolean(struct reader *rd, uint32_t node, const struct field *f, void *member); /* bool */
void read_choice(struct reader *rd, uint32_t node, const struct field *f, void *member);  /* enum */
/* uint64_t ns; min is in nanoseconds and 0 or 1: 1 = more than 0 */
void read_seconds(struct reader *rd, uint32_t node, const struct field *f, void *member);

/* A list of strings of which one at least is not empty: a command. */
void read_words(struct reader *rd, uint32_t node, char ***ret_words, size_t *ret_n);
/* uint64_t bytes: a whole number, or a string like "512M" (K, M, G, T: of 1,024 each) */
void read_size(struct reader *rd, uint32_t node, const struct field *f, void *member);
/* uint64_t ns: a number of seconds, or a string like "1d" (s, m, h, d, w) */
void read_age(struct reader *rd, uint32_t node, const struct field *f, void *member);
/* int: "022", at most 0777 */
void read_octal(struct reader *rd, uint32_t node, const struct field *f, void *member);

void read_env(
	struct reader *rd, uint32_t node, const struct field *f, void *member); /* struct env */

/* One element of Processes, and what can be said of it when all of the document is read. */
void read_process(struct reader *rd, uint32_t node, struct process *p);
void check_process(struct reader *rd, uint32_t node, const struct process *p);

/* Its members of several kinds, and what of them needs the rest of the document. */
void read_ready(struct reader *rd, uint32_t node, const struct field *f, void *check);
void read_healthy(struct reader *rd, uint32_t node, const struct field *f, void *check);
void check_checks(struct reader *rd, uint32_t node, const struct process *p);
void read_log(struct reader *rd, uint32_t node, const struct field *f, void *log);
void check_log(struct reader *rd, uint32_t node, const struct process *p);
void read_after(struct reader *rd, uint32_t node, const struct field *f, void *process);
void check_after(struct reader *rd, uint32_t node, const struct process *p);
void check_cycles(struct reader *rd); /* of all types */

/* The whole document into rd->release. */
void read_release(struct reader *rd);

/* The whole document into rd->config. */
void read_config(struct reader *rd);
