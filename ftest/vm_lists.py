"""Of the native-only tests: what cannot be run in the virtual machine of vm_suite.py, and why; and what always is, beside
the part of the drivers' suite. A name without its parameters is of all of them."""
OLD_KIND = "cgroups of the old kind: test_native_vm.py looks at what stands for it"
JOINED_LATE = "where cgroups are joined late, which is where they are of the old kind"
A_MACHINE = "it is about a virtual machine of its own"
NO_PROGRAM = "no such program in there"

LACKS = {
    "test_box_cgroup.py::test_limits_are_set": OLD_KIND,
    "test_box_cgroup.py::test_without_limits_only_memory_is_joined": OLD_KIND,
    "test_box_cgroup.py::test_all_of_its_processes_are_joined": JOINED_LATE,
    "test_box_cgroup.py::test_more_than_can_be_counted": JOINED_LATE,
    "test_box_cgroup.py::test_unified": A_MACHINE,
    "test_box_cgroup.py::test_a_unified_hierarchy_that_lacks_a_controller": A_MACHINE,
    "test_native_programs.py::test_a_program_runs_unmodified[gdb]": NO_PROGRAM,
    "test_native_programs.py::test_a_program_runs_unmodified[go]": NO_PROGRAM,
    "test_native_programs.py::test_a_program_runs_unmodified[java]": NO_PROGRAM,
    "test_native_programs.py::test_a_program_runs_unmodified[node]": NO_PROGRAM,
    "test_native_programs.py::test_a_program_runs_unmodified[ruby]": NO_PROGRAM,
    "test_native_security.py::test_every_step_has_a_probe": "it looks at the sources, which are not in there",
    "test_native_security.py::test_less_is_open_than_with_docker_and_crun": NO_PROGRAM,
}


ALWAYS = {
    "test_native_rootless.py::test_a_dyno_is_apart",
    "test_native_rootless.py::test_a_cgroup_that_was_delegated",
    "test_native_security.py::test_nothing_is_open",
    "test_native_security.py::test_nothing_is_open_in_what_hsup_runs",
    "test_native_warm.py::test_a_warm_dyno_is_as_a_cold_one",
    "test_native_warm.py::test_limits",
}


def _found(item, names):
    """By which of them."""
    with_its_parameters = f"{item.path.name}::{item.name}"
    return next((name for name in (with_its_parameters, with_its_parameters.partition("[")[0]) if name in names), None)


def why_not(item):
    """None: it can."""
    return LACKS.get(_found(item, LACKS))


def is_always_run(item):
    return _found(item, ALWAYS) is not None
