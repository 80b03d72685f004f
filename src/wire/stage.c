#include "wire/spec.h"

const char *wire_stage_text(unsigned stage)
{
	static const char *const texts[WIRE_STAGE_MAX] = {
		[WIRE_STAGE_REFUSED] = "asking the launcher",
		[WIRE_STAGE_FORK] = "starting a process",
		[WIRE_STAGE_SPEC] = "reading the launch spec",
		[WIRE_STAGE_POLICY] = "checking the launcher's policy",
		[WIRE_STAGE_SESSION] = "making a session",
		[WIRE_STAGE_OUTPUT] = "connecting the output",
		[WIRE_STAGE_TERMINAL] = "taking the terminal",
		[WIRE_STAGE_LIMITS] = "setting the limits",
		[WIRE_STAGE_GROUPS] = "setting the groups",
		[WIRE_STAGE_USER] = "becoming the user",
		[WIRE_STAGE_DIRECTORY] = "entering the directory",
		[WIRE_STAGE_EXEC] = "executing the program",
		[WIRE_STAGE_BOX] = "starting hsup-box",
		[WIRE_STAGE_UID] = "taking a uid of its own",
		[WIRE_STAGE_CGROUP] = "making its cgroup",
		[WIRE_STAGE_NAMESPACES] = "making its namespaces",
		[WIRE_STAGE_STACK] = "mounting the stack",
		[WIRE_STAGE_APP] = "mounting /app",
		[WIRE_STAGE_MOUNTS] = "mounting /proc, /sys, /dev and /tmp",
		[WIRE_STAGE_BINDS] = "mounting the binds",
		[WIRE_STAGE_PIVOT] = "entering its root",
		[WIRE_STAGE_NETWORK] = "making its network",
		[WIRE_STAGE_SANDBOX] = "giving up privileges",
		[WIRE_STAGE_SWEEP] = "removing what it left",
		[WIRE_STAGE_WARM] = "taking a parked box",
	};

	return stage < WIRE_STAGE_MAX && texts[stage] ? texts[stage] : "an unknown stage";
}
