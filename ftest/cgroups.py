"""Where boxes have their cgroups on this machine: in a hierarchy of the old kind for each controller and in a unified one
without any, or in a unified one alone."""
import pathlib

CGROUPS = pathlib.Path("/sys/fs/cgroup")
ALONE = (CGROUPS / "cgroup.procs").exists()
UNIFIED = CGROUPS if ALONE else CGROUPS / "unified"


def hierarchy(controller):
    return CGROUPS if ALONE else CGROUPS / controller


# Those where a box without limits has a cgroup.
WITHOUT_LIMITS = sorted({hierarchy("memory"), UNIFIED})


def of_boxes(pattern):
    """In all hierarchies, of the boxes with such names."""
    return sorted([*CGROUPS.glob(f"hsup/{pattern}"), *CGROUPS.glob(f"*/hsup/{pattern}")])


def parents():
    """Those that all boxes share."""
    return sorted([*CGROUPS.glob("hsup"), *CGROUPS.glob("*/hsup")])
