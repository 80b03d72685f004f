/* Runs the engine through random histories of a machine, thousands a second, and checks what must
 * always hold (DESIGN 3, invariants.c) after every step.
 *
 *     sim [--histories N] [--seed S]        histories S, S+1, ... S+N-1
 *     sim --seed S [--steps M] --verbose    one history, step by step
 *     sim --mutant NAME [--expect WHAT]     with a bug on purpose: 0 when WHAT finds it */
#include "base/parse.h"
#include "mutants.h"
#include "world.h"

#include <getopt.h>

#define CALM_STEPS 4000
#define CALM_TIME  (UINT64_C(4) * 3600 * NSEC_PER_SEC)

struct args {
	uint64_t histories, seed, steps; /* steps 0: as the seed says */
	bool verbose;
	const struct mutant *mutant;
	const char *expect;
};

static void one_step(struct world *w)
{
	uint64_t next = world_next(w);

	if (next != NEVER && !world_chance(w, 20)) {
		world_advance(w);
		return;
	}
	/* Mostly in quick succession, at times after a while, never past what comes by itself. */
	uint64_t gap = world_random(w, (world_chance(w, 70) ? 2 : 100) * NSEC_PER_SEC);

	if (next == NEVER || w->now + gap <= next)
		w->now += gap;
	else if (next > w->now)
		w->now = next;
	operator_acts(w);
}

/* No faults any more: it must come to rest, and what runs then must be what is wanted. */
static void calm_down(struct world *w)
{
	uint64_t end;

	w->faults = false;
	w->disturbed = true;
	end = w->now + CALM_TIME;
	process_calm(w);
	if (!w->oneshot && world_chance(w, 70)) {
		for (size_t i = 0; i < engine_dynos(w->engine); i++) {
			const struct dyno *d = engine_dyno(w->engine, i);

			if (d->desired == DESIRED_REST)
				world_handle(w, (struct engine_event){
							.type = ENGINE_START_DYNO, .id = d->id});
		}
	}
	for (unsigned i = 0; world_next(w) != NEVER && !w->broken && !w->left; i++) {
		if (i == CALM_STEPS || w->now > end) {
			world_broken(
				w, "restless", "%u steps without faults, and still no rest", i);
			return;
		}
		world_advance(w);
	}
	if (!w->broken && !w->left)
		promises_converged(w);
	invariants_converged(w);
}

/* Returns the invariant that broke, NULL = none. */
static const char *run(
	struct world *w, const struct args *args, uint64_t seed, const dyno_grid *grid)
{
	uint64_t steps;

	world_begin(w, seed, grid);
	steps = 40 + world_random(w, 120);
	if (args->steps)
		steps = args->steps;
	while (w->steps < steps && !w->broken && !w->left)
		one_step(w);
	if (!w->broken && !w->left)
		calm_down(w);
	world_end(w);
	if (w->broken)
		(void)printf("seed %" PRIu64 ", step %u: %s: %s\n"
			     "replay: sim --seed %" PRIu64 " --steps %" PRIu64 "%s%s --verbose\n",
			seed, w->steps, w->broken, w->why, seed, steps,
			args->mutant ? " --mutant " : "", args->mutant ? args->mutant->name : "");
	return w->broken;
}

static int run_all(const struct args *args)
{
	static struct world w;
	static dyno_grid grid;
	const char *broken = NULL;
	uint64_t steps = 0, i;
	uint64_t start = clock_now();

	if (args->mutant)
		mutant_grid(args->mutant, &grid);
	world_init(&w);
	w.verbose = args->verbose;
	w.lost = args->mutant ? args->mutant->lost : 0;
	world_bug = args->mutant ? args->mutant->bug : BUG_NONE;
	for (i = 0; i < args->histories && !broken; i++) {
		broken = run(&w, args, args->seed + i, args->mutant ? &grid : NULL);
		steps += w.steps;
	}
	world_done(&w);

	double seconds = (double)(clock_now() - start) / (double)NSEC_PER_SEC;
	(void)printf("%" PRIu64 " histories, %" PRIu64 " steps, %.2f s, %.0f histories/s, "
		     "%" PRIu64 " times no memory\n",
		i, steps, seconds, (double)i / seconds, w.starved);
	if (!args->expect)
		return broken ? 1 : 0;
	if (broken && strcmp(broken, args->expect) == 0)
		return 0;
	(void)printf("%s was expected to be found by %s\n", args->mutant->name, args->expect);
	return 1;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: sim [--histories N] [--seed S] [--steps M] [--verbose]\n"
			      "           [--mutant NAME [--expect INVARIANT]]\nmutants:\n");
	for (size_t i = 0; mutant_at(i); i++)
		(void)fprintf(stderr, "  %-14s %s\n", mutant_at(i)->name, mutant_at(i)->what);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"histories", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'}, {"steps", required_argument, NULL, 'm'},
		{"verbose", no_argument, NULL, 'v'}, {"mutant", required_argument, NULL, 'u'},
		{"expect", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
	struct args args = {.histories = 20000, .seed = 1};
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			r |= parse_u64(optarg, UINT32_MAX, &args.histories);
		else if (c == 's')
			r |= parse_u64(optarg, UINT64_MAX, &args.seed);
		else if (c == 'm')
			r |= parse_u64(optarg, 1000000, &args.steps);
		else if (c == 'v')
			args.verbose = true;
		else if (c == 'u' && (args.mutant = mutant_find(optarg)))
			continue;
		else if (c == 'e')
			args.expect = optarg;
		else
			return usage();
	}
	if (r < 0 || optind < argc || (args.expect && !args.mutant))
		return usage();
	if (args.verbose)
		args.histories = 1;
	return run_all(&args);
}
