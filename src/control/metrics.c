/* /metrics: OpenMetrics 1.0. */
#include "control/private.h"

static void family(struct strbuf *b, const char *name, const char *type, const char *help)
{
	(void)strbuf_printf(b, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void counter(struct strbuf *b, const char *name, const char *help, uint64_t value)
{
	family(b, name, "counter", help);
	(void)strbuf_printf(b, "%s_total %llu\n", name, (unsigned long long)value);
}

static void gauge(struct strbuf *b, const char *name, const char *help, uint64_t value)
{
	family(b, name, "gauge", help);
	(void)strbuf_printf(b, "%s %llu\n", name, (unsigned long long)value);
}

static void seconds(struct strbuf *b, uint64_t ns)
{
	(void)strbuf_printf(b, " %llu.%09llu\n", (unsigned long long)(ns / NSEC_PER_SEC),
		(unsigned long long)(ns % NSEC_PER_SEC));
}

static void app_metrics(struct control *c, struct strbuf *b, uint64_t now)
{
	static const char *const statuses[] = {
		"none", "restoring", "preparing", "rolling", "up", "stopping"};
	struct app_view v;

	operate_app(c->s, &v);
	family(b, "hsup_build", "info", "The program.");
	view_raw(b, "hsup_build_info{software=");
	view_text(b, v.software);
	view_raw(b, "} 1\n");
	gauge(b, "hsup_release_version", "The release in force; 0: none.", (uint64_t)v.version);
	family(b, "hsup_status", "stateset", "What it is at.");
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		(void)strbuf_printf(b, "hsup_status{hsup_status=\"%s\"} %d\n", statuses[i],
			v.status && strcmp(v.status, statuses[i]) == 0);
	gauge(b, "hsup_dynos", "Dynos.", v.n_dynos);
	gauge(b, "hsup_dynos_ready", "Dynos that are ready.", v.n_ready);
	family(b, "hsup_uptime_seconds", "gauge", "Age of this supervisor.");
	view_raw(b, "hsup_uptime_seconds");
	seconds(b, now > v.started ? now - v.started : 0);
}

static void type_metrics(struct control *c, struct strbuf *b)
{
	size_t n = operate_types(c->s);

	family(b, "hsup_type_quantity", "gauge", "Dynos of a type that are wanted.");
	for (size_t i = 0; i < n; i++) {
		struct type_view t;

		operate_type(c->s, i, &t);
		(void)strbuf_printf(b, "hsup_type_quantity{type=\"%s\"} %u\n", t.name, t.quantity);
	}
}

static void state_metrics(struct control *c, struct strbuf *b)
{
	size_t counts[DYNO_STATE_MAX] = {0}, gave_up = 0, n = operate_dynos(c->s);

	for (size_t i = 0; i < n; i++) {
		struct dyno_view v;

		operate_dyno(c->s, i, &v);
		counts[v.dyno->state]++;
		gave_up += v.dyno->gave_up;
	}
	family(b, "hsup_dynos_by_state", "gauge", "Dynos in each state.");
	for (int s = 0; s < DYNO_STATE_MAX; s++)
		(void)strbuf_printf(b, "hsup_dynos_by_state{state=\"%s\"} %zu\n",
			dyno_state_text((enum dyno_state)s), counts[s]);
	gauge(b, "hsup_dynos_gave_up", "Dynos that are not tried again.", gave_up);
}

static void labels(struct strbuf *b, const char *name, const struct dyno_view *v)
{
	(void)strbuf_printf(
		b, "%s{dyno=\"%s\",id=\"%llu\"}", name, v->name, (unsigned long long)v->dyno->id);
}

enum dyno_metric {
	METRIC_UP,
	METRIC_RESTARTS,
	METRIC_MEMORY,
	METRIC_CPU,
	METRIC_PROCESSES,
	METRIC_MEMORY_PRESSURE,
	METRIC_CPU_PRESSURE,
	METRIC_MAX,
};

static void known(struct strbuf *b, const char *name, const struct dyno_view *v, uint64_t value)
{
	if (value == USAGE_UNKNOWN)
		return;
	labels(b, name, v);
	(void)strbuf_printf(b, " %llu\n", (unsigned long long)value);
}

static void part(struct strbuf *b, const char *name, const struct dyno_view *v, uint64_t of_10000)
{
	if (of_10000 == USAGE_UNKNOWN)
		return;
	labels(b, name, v);
	(void)strbuf_printf(b, " %llu.%04llu\n", (unsigned long long)of_10000 / 10000,
		(unsigned long long)of_10000 % 10000);
}

static void dyno_metric(struct strbuf *b, enum dyno_metric which, const struct dyno_view *v)
{
	switch (which) {
	case METRIC_UP:
		known(b, "hsup_dyno_up", v, v->dyno->state == DYNO_UP);
		break;
	case METRIC_RESTARTS:
		known(b, "hsup_dyno_restarts_total", v, v->dyno->restarts);
		break;
	case METRIC_MEMORY:
		known(b, "hsup_dyno_memory_bytes", v, v->used.memory);
		break;
	case METRIC_CPU:
		if (v->used.cpu == USAGE_UNKNOWN)
			break;
		labels(b, "hsup_dyno_cpu_seconds_total", v);
		seconds(b, v->used.cpu);
		break;
	case METRIC_PROCESSES:
		known(b, "hsup_dyno_processes", v, v->used.processes);
		break;
	case METRIC_MEMORY_PRESSURE:
		part(b, "hsup_dyno_memory_pressure_ratio", v, v->used.memory_pressure);
		break;
	case METRIC_CPU_PRESSURE:
		part(b, "hsup_dyno_cpu_pressure_ratio", v, v->used.cpu_pressure);
		break;
	case METRIC_MAX:
		break;
	}
}

/* All of a family stand together. */
static void dyno_metrics(struct control *c, struct strbuf *b)
{
	static const char *const heads[METRIC_MAX][3] = {
		[METRIC_UP] = {"hsup_dyno_up", "gauge", "1: it is up."},
		[METRIC_RESTARTS] = {"hsup_dyno_restarts", "counter", "Lives after its first."},
		[METRIC_MEMORY] = {"hsup_dyno_memory_bytes", "gauge", "Memory in use."},
		[METRIC_CPU] = {"hsup_dyno_cpu_seconds", "counter", "Time of a processor used."},
		[METRIC_PROCESSES] = {"hsup_dyno_processes", "gauge", "Processes and threads."},
		[METRIC_MEMORY_PRESSURE] = {"hsup_dyno_memory_pressure_ratio", "gauge",
			"Of ten seconds, the part in which some of it waited for memory."},
		[METRIC_CPU_PRESSURE] = {"hsup_dyno_cpu_pressure_ratio", "gauge",
			"Of ten seconds, the part in which some of it waited for a processor."},
	};
	size_t n = operate_dynos(c->s);

	for (int which = 0; which < METRIC_MAX; which++) {
		family(b, heads[which][0], heads[which][1], heads[which][2]);
		for (size_t i = 0; i < n; i++) {
			struct dyno_view v;

			operate_dyno(c->s, i, &v);
			dyno_metric(b, (enum dyno_metric)which, &v);
		}
	}
}

static void event_metrics(struct strbuf *b, const struct operate_counts *n)
{
	const struct {
		const char *reason;
		uint64_t value;
	} exits[] = {
		{"code", n->exits_code},
		{"signal", n->exits_signal},
		{"stage", n->exits_stage},
		{"unknown", n->exits_unknown},
	};

	counter(b, "hsup_starts", "Processes of dynos started.", n->starts);
	counter(b, "hsup_restarts", "Of those, lives after the first.", n->restarts);
	family(b, "hsup_exits", "counter", "Ends of lives, by their kind.");
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
		(void)strbuf_printf(b, "hsup_exits_total{reason=\"%s\"} %llu\n", exits[i].reason,
			(unsigned long long)exits[i].value);
	counter(b, "hsup_stops", "Dynos told to stop.", n->stops);
	counter(b, "hsup_out_of_memory", "Dynos that took too much memory (R14, R15).", n->oom);
	counter(b, "hsup_unhealthy", "Dynos whose health checks failed.", n->unhealthy);
	counter(b, "hsup_start_timeouts", "Dynos not up in time (R10).", n->start_timeouts);
	counter(b, "hsup_stop_timeouts", "Dynos not stopped in time (R12).", n->stop_timeouts);
	counter(b, "hsup_rollouts", "Releases rolled out.", n->rollouts);
	counter(b, "hsup_rollbacks", "Releases rolled back.", n->rollbacks);
	counter(b, "hsup_log_bytes", "Bytes of log lines.", n->log_bytes);
	counter(b, "hsup_log_lines", "Log lines.", n->log_lines);
	counter(b, "hsup_log_dropped", "Log lines dropped.", n->log_dropped);
	counter(b, "hsup_engine_wrong", "Invariants broken: must stay 0.", n->wrong);
	counter(b, "hsup_engine_stale", "Events of lives long gone.", n->stale);
}

static void loop_metrics(struct strbuf *b, const struct operate_counts *n)
{
	family(b, "hsup_loop_latency_seconds", "summary", "How long turns of the loop took.");
	view_raw(b, "hsup_loop_latency_seconds_sum");
	seconds(b, n->loop_latency_sum);
	(void)strbuf_printf(
		b, "hsup_loop_latency_seconds_count %llu\n", (unsigned long long)n->loop_turns);
	family(b, "hsup_loop_latency_max_seconds", "gauge", "The longest of them.");
	view_raw(b, "hsup_loop_latency_max_seconds");
	seconds(b, n->loop_latency_max);
}

void get_metrics(struct control *c, const struct request *r, struct answer *a)
{
	struct strbuf *b = answer_body(a, 200, ANSWER_METRICS);
	struct operate_counts counts;

	(void)r;
	if (!b)
		return;
	operate_counts(c->s, &counts);
	app_metrics(c, b, clock_now());
	type_metrics(c, b);
	state_metrics(c, b);
	dyno_metrics(c, b);
	event_metrics(b, &counts);
	loop_metrics(b, &counts);
	view_raw(b, "# EOF\n");
}
