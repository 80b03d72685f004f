/* What `hsup gc` asks of a driver: to remove what dead supervisors left with its engine. Plain
 * data: the command line knows who is alive here, the driver what lies there. */
#pragma once

#include <stdbool.h>

enum gc_owner {
	GC_HELD,   /* a supervisor holds this control directory now */
	GC_HIDDEN, /* or perhaps does: it cannot be looked at */
	GC_FREE,   /* it is there, and nobody holds it */
	GC_GONE,   /* there is no such directory on this machine */
};

struct gc_order {
	bool kill; /* also what still runs */
	bool dry;  /* nothing is removed, only said */
	enum gc_owner (*owner)(const char *control_dir);
	/* Where a program of ours is, in PATH_MAX bytes; negative errno: said in the log. NULL:
	 * nowhere. */
	int (*find)(const char *program, char *ret_path);
	void (*say)(const char *line); /* of each thing that goes, or stays for a reason */
};
