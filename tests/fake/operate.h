/* A supervisor with two types and three dynos that takes every wish and notes it. */
#pragma once

#include "supervisor/operate.h"

struct supervisor {
	struct recorder *recorder;
	struct rings *rings;
	struct dyno dynos[4];
	size_t n_dynos;
	bool begins; /* does not know yet what runs */
	bool hides;
	bool daemon;
	unsigned quantity[2];
	int refuse;	 /* what every wish is answered with */
	unsigned wishes; /* that were taken */
	char last[400];	 /* the last of them */
};

void fake_supervisor_open(struct supervisor *s);
void fake_supervisor_close(struct supervisor *s);
