/* After: which types wait for which. */
#include "model/reader.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>

static const char *const condition_names[] = {"started", "ready", "succeeded", NULL};

#define AT(member) offsetof(struct after, member)

static const struct field after_fields[] = {
	{"Type", read_text, AT(type), .required = "is required: the process type to wait for",
		.rule = rule_type},
	{"Condition", read_choice, AT(condition), .choices = condition_names},
};

static void read_one(struct reader *rd, uint32_t node, struct process *p)
{
	struct after *a = &p->after[p->n_after++];
	const struct field type = {.rule = rule_type};
	enum node_kind kind = reader_node(rd, node)->kind;

	a->condition = AFTER_READY;
	if (kind == NODE_OBJECT)
		reader_object(rd, node, after_fields, ARRAY_SIZE(after_fields), a);
	else if (kind == NODE_STRING)
		read_text(rd, node, &type, &a->type);
	else
		reader_wrong_kind(rd, node, "a process type, or {\"Type\", \"Condition\"}");
	for (struct after *b = p->after; a->type && b < a; b++)
		if (b->type && strcmp(b->type, a->type) == 0)
			reader_error(rd, reader_node(rd, node)->value,
				"\"%s\" is in the list already", a->type);
}

void read_after(struct reader *rd, uint32_t node, const struct field *f HSUP_UNUSED, void *process)
{
	bool single = reader_node(rd, node)->kind == NODE_STRING;
	struct process *p = process;
	size_t at = 0;

	if (!single && reader_node(rd, node)->kind != NODE_LIST) {
		reader_wrong_kind(rd, node, "a process type, or a list of them");
		return;
	}
	size_t n = single ? 1 : reader_list(rd, node, LIMIT_AFTER, "types to wait for");
	if (n == SIZE_MAX || n == 0)
		return;
	p->after = calloc(n, sizeof *p->after);
	if (!p->after) {
		rd->fault = -ENOMEM;
		return;
	}
	if (single) {
		read_one(rd, node, p);
		return;
	}
	for (uint32_t i = reader_node(rd, node)->child; i; i = reader_node(rd, i)->next) {
		size_t mark = reader_enter_index(rd, at++);
		read_one(rd, i, p);
		reader_leave(rd, mark);
	}
}

/* ---- what needs the whole document ---- */

static const char *nearest_type(const struct release *r, const char *given)
{
	const char *names[LIMIT_TYPES];
	size_t n = 0;

	for (size_t i = 0; i < r->n_processes; i++)
		if (r->processes[i].type)
			names[n++] = r->processes[i].type;
	return nearest_name(given, names, n);
}

static const struct process *find(const struct release *r, const char *type)
{
	for (size_t i = 0; i < r->n_processes; i++)
		if (r->processes[i].type && strcmp(r->processes[i].type, type) == 0)
			return &r->processes[i];
	return NULL;
}

static void check_one(
	struct reader *rd, size_t offset, const struct process *p, const struct after *a)
{
	const struct process *other = find(rd->release, a->type);
	const char *nearest;

	if (other == p) {
		reader_error(rd, offset, "\"%s\" cannot wait for itself", a->type);
	} else if (!other && !rd->type_fault) {
		nearest = nearest_type(rd->release, a->type);
		if (nearest && strcmp(nearest, p->type ? p->type : "") != 0)
			reader_error(rd, offset,
				"there is no type \"%s\" in Processes; did you mean \"%s\"?",
				a->type, nearest);
		else
			reader_error(rd, offset, "there is no type \"%s\" in Processes", a->type);
	} else if (other && process_is_phase(other)) {
		reader_error(rd, offset,
			"\"%s\" is the release phase: it has run before any dyno starts", a->type);
	} else if (other && a->condition == AFTER_SUCCEEDED && other->restart == RESTART_ALWAYS) {
		reader_error(rd, offset,
			"\"%s\" never succeeds: it is restarted whenever it ends; give it Restart "
			"\"on-failure\" or \"never\"",
			a->type);
	}
}

static void check_names(struct reader *rd, uint32_t node, const struct process *p)
{
	uint32_t member = json_text_member(rd->text, node, "After");
	bool single = member && reader_node(rd, member)->kind == NODE_STRING;
	uint32_t i = !member || single ? member : reader_node(rd, member)->child;
	size_t mark = reader_enter_key(rd, "After");

	for (size_t k = 0; k < p->n_after && i; k++, i = reader_node(rd, i)->next) {
		size_t inner = single ? rd->path_len : reader_enter_index(rd, k);

		if (p->after[k].type)
			check_one(rd, reader_node(rd, i)->value, p, &p->after[k]);
		reader_leave(rd, inner);
	}
	reader_leave(rd, mark);
}

/* Walks from a type to those it waits for. Each is entered once over all walks: 64 types with 16
 * each are 1,024 steps. */
struct walk {
	const struct release *release;
	unsigned char state[LIMIT_TYPES]; /* 0 = not seen, 1 = on the way, 2 = done */
	size_t way[LIMIT_TYPES], n;
};

/* *ret_from: where on the way the cycle begins. */
static bool find_cycle(struct walk *w, size_t index, size_t *ret_from)
{
	const struct process *p = &w->release->processes[index];

	w->state[index] = 1;
	w->way[w->n++] = index;
	for (size_t i = 0; i < p->n_after; i++) {
		const struct process *other =
			p->after[i].type ? find(w->release, p->after[i].type) : NULL;
		size_t next = other ? (size_t)(other - w->release->processes) : index;

		if (next == index || w->state[next] == 2)
			continue;
		if (w->state[next] == 1) {
			for (*ret_from = 0; w->way[*ret_from] != next; (*ret_from)++)
				;
			return true;
		}
		if (find_cycle(w, next, ret_from))
			return true;
	}
	w->n--;
	w->state[index] = 2;
	return false;
}

static void cycle_error(struct reader *rd, const struct walk *w, size_t from)
{
	const struct release *r = rd->release;
	struct strbuf text = STRBUF(220);
	uint32_t list = json_text_member(rd->text, 0, "Processes");
	uint32_t node = reader_node(rd, list)->child;

	for (size_t i = from; i < w->n; i++)
		(void)strbuf_printf(&text, i == from ? "%s waits for %s" : ", %s for %s",
			r->processes[w->way[i]].type,
			r->processes[w->way[i + 1 < w->n ? i + 1 : from]].type);
	for (size_t i = 0; i < w->way[from]; i++)
		node = reader_node(rd, node)->next;

	size_t mark = reader_enter_key(rd, "Processes");
	(void)reader_enter_index(rd, w->way[from]);
	(void)reader_enter_key(rd, "After");
	reader_error(rd, reader_node(rd, json_text_member(rd->text, node, "After"))->value,
		"none of them would ever start: %s%s", text.data ? text.data : "",
		text.error ? " ..." : "");
	reader_leave(rd, mark);
	strbuf_done(&text);
}

void check_after(struct reader *rd, uint32_t node, const struct process *p)
{
	if (p->n_after > 0)
		check_names(rd, node, p);
}

void check_cycles(struct reader *rd)
{
	struct walk w = {.release = rd->release};
	size_t from;

	for (size_t i = 0; i < rd->release->n_processes; i++)
		if (w.state[i] == 0 && rd->release->processes[i].type) {
			w.n = 0;
			if (find_cycle(&w, i, &from)) {
				cycle_error(rd, &w, from);
				return;
			}
		}
}
