#include "slug/report.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define INTERVAL (100 * NSEC_PER_MSEC)
#define BAR	 24

static void draw(struct report *r, uint64_t now, uint64_t done, uint64_t total)
{
	static const char full[] = "########################";
	const char *what = r->phase == JOB_FETCHING ? "fetching" : "unpacking";
	double megabytes = (double)done / 1e6;
	double seconds = (double)(now - r->begun) / 1e9;
	double rate = seconds > 0 ? megabytes / seconds : 0;
	char line[160];
	int n;

	_Static_assert(sizeof full - 1 == BAR, "the bar's width");
	if (total > 0) {
		double part = done < total ? (double)done / (double)total : 1;
		n = snprintf(line, sizeof line,
			"\r%-9s [%-*.*s] %3.0f%%  %.1f of %.1f MB  %.1f MB/s\033[K", what, BAR,
			(int)(part * BAR), full, part * 100, megabytes, (double)total / 1e6, rate);
	} else {
		n = snprintf(line, sizeof line, "\r%-9s %.1f MB  %.1f MB/s\033[K", what, megabytes,
			rate);
	}
	if (n > 0)
		(void)!write(
			STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
	r->drawn = true;
}

void report_progress(struct report *r, enum job_phase phase, uint64_t done, uint64_t total)
{
	uint64_t now = clock_now();

	if (r->phase != phase) {
		r->phase = phase;
		r->begun = now;
	}
	if (r->last && now - r->last < INTERVAL)
		return;
	r->last = now;
	if (r->terminal)
		draw(r, now, done, total);
	if (r->socket >= 0) {
		struct job_progress progress = {.phase = phase, .done = done, .total = total};
		struct packet_part part = {&progress, sizeof progress};

		if (job_send(r->socket, JOB_PROGRESS, &part, 1, -1) < 0)
			r->gone = true;
	}
}

void report_end(struct report *r)
{
	if (r->drawn)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	r->drawn = false;
}
