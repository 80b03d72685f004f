/* Ready and Healthy: how to find out how a dyno is. */
#include "model/reader.h"

#include "base/parse.h"

#define PORT_MAX      65535
#define THRESHOLD_MAX 1000

static void note_kind(struct reader *rd, const struct field *f, struct check *c)
{
	/* Whoever names the key sets the kind; how many there are is counted where they all are
	 * seen. */
	(void)rd;
	c->kind = (enum check_kind)f->min;
}

static void read_listen(struct reader *rd, uint32_t node, const struct field *f, void *check)
{
	static const struct field port = {.min = 1, .max = PORT_MAX};
	const struct json_node *n = reader_node(rd, node);
	struct check *c = check;

	note_kind(rd, f, c);
	if (n->kind == NODE_INTEGER)
		read_unsigned(rd, node, &port, &c->port);
	else if (n->kind != NODE_BOOLEAN)
		reader_wrong_kind(rd, node, "true (the dyno's PORT) or a port from 1 to 65535");
	else if (!n->boolean)
		reader_error(rd, n->value,
			"must be true (the dyno's PORT) or a port from 1 to 65535, not false");
}

static void read_http(struct reader *rd, uint32_t node, const struct field *f, void *check)
{
	static const struct field path = {.rule = rule_http_path};
	struct check *c = check;

	note_kind(rd, f, c);
	read_text(rd, node, &path, &c->path);
}

static void read_command(struct reader *rd, uint32_t node, const struct field *f, void *check)
{
	struct check *c = check;

	note_kind(rd, f, c);
	read_words(rd, node, &c->args, &c->n_args);
}

static void read_notify(struct reader *rd, uint32_t node, const struct field *f, void *check)
{
	const struct json_node *n = reader_node(rd, node);
	struct check *c = check;

	note_kind(rd, f, c);
	if (n->kind != NODE_BOOLEAN)
		reader_wrong_kind(rd, node, "true");
	else if (!n->boolean)
		reader_error(rd, n->value, "must be true; leave the key out instead");
}

#define AT(member) offsetof(struct check, member)

static const struct field check_fields[] = {
	{"Listen", read_listen, 0, .min = CHECK_LISTEN},
	{"HTTP", read_http, 0, .min = CHECK_HTTP},
	{"Command", read_command, 0, .min = CHECK_COMMAND},
	{"Notify", read_notify, 0, .min = CHECK_NOTIFY},
	{"Port", read_unsigned, AT(port), .min = 1, .max = PORT_MAX},
	{"Interval", read_seconds, AT(interval), .min = 1},
	{"Timeout", read_seconds, AT(timeout), .min = 1},
	{"Threshold", read_unsigned, AT(threshold), .min = 1, .max = THRESHOLD_MAX},
	{"Cooldown", read_seconds, AT(cooldown), .min = 0},
};
#define KINDS	     4
#define READY_FIELDS 7

static void check_kinds(struct reader *rd, uint32_t node)
{
	uint32_t first = 0, second = 0;

	for (size_t i = 0; i < KINDS; i++) {
		uint32_t member = json_text_member(rd->text, node, check_fields[i].key);

		if (member && first)
			second = member;
		else if (member)
			first = member;
	}
	uint32_t port = json_text_member(rd->text, node, "Port");
	if (!first)
		reader_error(rd, reader_node(rd, node)->value,
			"must say how: one of Listen, HTTP, Command and Notify");
	else if (second)
		reader_error(rd, reader_node(rd, second)->key,
			"only one of Listen, HTTP, Command and Notify; %s is given already",
			reader_node(rd, first)->name);
	if (port && first && !json_text_member(rd->text, node, "HTTP"))
		reader_error(rd, reader_node(rd, port)->key,
			"Port belongs to HTTP; with Listen the port is its value");
}

static void read_one(struct reader *rd, uint32_t node, size_t n_fields, struct check *c)
{
	reader_object(rd, node, check_fields, n_fields, c);
	if (reader_node(rd, node)->kind == NODE_OBJECT)
		check_kinds(rd, node);
}

void read_ready(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *check)
{
	read_one(rd, node, READY_FIELDS, check);
}

void read_healthy(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *check)
{
	read_one(rd, node, ARRAY_SIZE(check_fields), check);
}

/* The operator's own PORT stands when there is one dyno: what it says can be known. */
static bool port_is_none(const struct reader *rd, const struct process *p, const struct check *c)
{
	const char *own = env_get(&p->env, "PORT");
	const char *port = own ? own : env_get(&rd->release->env, "PORT");
	unsigned number;

	return (c->kind == CHECK_LISTEN || c->kind == CHECK_HTTP) && c->port == 0 && port &&
	       p->quantity == 1 && (parse_uint(port, PORT_MAX, &number) < 0 || number == 0);
}

void check_checks(struct reader *rd, uint32_t node, const struct process *p)
{
	static const char text[] =
		"needs a port: PORT, as Env has it, is none; say the port here, or mend Env";

	if (port_is_none(rd, p, &p->ready))
		reader_member_error(rd, node, "Ready", text);
	if (port_is_none(rd, p, &p->healthy))
		reader_member_error(rd, node, "Healthy", text);
}
